"""Memory stays flat whatever the buffers hold: the highest resident size the process ever had (VmHWM) under 400 MiB."""

import queue
import threading

from harness import Http, Suite, until

suite = Suite("memory")
LIMIT_BYTES = 400 * 1024 * 1024
MIB = 1024 * 1024


def rows(size, seed):
    """About `size` bytes of lines that do not compress away."""
    import random

    rng, line = random.Random(seed), []
    while size > 0:
        row = b'{"n":%d,"text":"%s"}\n' % (rng.randrange(10**9), rng.randbytes(190).hex().encode())
        line.append(row)
        size -= len(row)
    return b"".join(line)


def post(http, stream, body):
    """Sends lines; a throttled request is sent again."""
    while True:
        status, _, raw = http.request("POST", f"/streams/{stream}/records", body)
        if status == 200:
            return
        assert status in (500, 503), (status, raw[:300])


def in_parallel(jobs, work, workers=8):
    waiting, troubles = queue.Queue(), []
    for job in jobs:
        waiting.put(job)

    def run():
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                work(job)
            except Exception as error:
                troubles.append((job, error))

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not troubles, troubles[:3]


def report(service, what):
    peak = service.peak_bytes()
    print(f"  {what}: VmHWM {peak / MIB:.0f} MiB", flush=True)
    assert peak < LIMIT_BYTES, f"{what}: {peak / MIB:.0f} MiB is over {LIMIT_BYTES / MIB:.0f} MiB"


@suite.test("1,000 streams with 1 MiB each waiting under 64 MiB hints, while deliveries run")
def many_streams(folder):
    service = folder.hydrant().start()
    waiting = [f"waiting-{number:04}" for number in range(1000)]
    active = [f"active-{number}" for number in range(4)]
    local = threading.local()

    def http():
        if not hasattr(local, "http"):
            local.http = Http(service.api)
        return local.http

    in_parallel(waiting, lambda name: service_create(http(), service, name, 64, 900))
    for number, name in enumerate(active):
        service_create(http(), service, name, 1, 1, compression=("GZIP", "UNCOMPRESSED")[number % 2])
    body = rows(MIB, 1)
    # The deliveries run all the while: a MiB to each active stream beside every twenty waiting ones.
    jobs = []
    for number, name in enumerate(waiting):
        jobs.append(name)
        if number % 20 == 0:
            jobs += active
    in_parallel(jobs, lambda name: post(http(), name, body))
    ledgers = service.drained(*active)
    per_request = body.count(b"\n")
    for name in active:
        assert ledgers[name]["delivered"] == 50 * per_request, (name, ledgers[name])
    samples = service.metrics()
    held = [samples[f'hydrant_stream_bytes{{stream="{name}",fate="in_flight"}}'] for name in waiting]
    assert min(held) == max(held) == len(body), (min(held), max(held), len(body))
    report(service, f"{sum(held) / MIB:.0f} MiB waiting in {len(waiting)} streams")
    # A restart reads positions, not payloads.
    service.kill()
    service.start()
    samples = service.metrics()
    again = sum(samples[f'hydrant_stream_bytes{{stream="{name}",fate="in_flight"}}'] for name in waiting)
    assert again == sum(held), (again, sum(held))
    report(service, "after kill -9 and recovery")


def service_create(http, service, name, size_mb, interval_s, compression="UNCOMPRESSED"):
    status, answer = http.call(
        "CreateDeliveryStream",
        {
            "DeliveryStreamName": name,
            "ExtendedS3DestinationConfiguration": {
                "RoleARN": "arn:aws:iam::000000000000:role/delivery",
                "BucketARN": f"arn:aws:s3:::{service.bucket}",
                "Prefix": f"{name}/data/",
                "CompressionFormat": compression,
                "BufferingHints": {"SizeInMBs": size_mb, "IntervalInSeconds": interval_s},
            },
        },
    )
    assert status == 200, (name, status, answer)


@suite.test("one stream taking 1 GiB")
def one_large_stream(folder):
    service = folder.hydrant().start()
    service.create("large", size_mb=128, interval_s=900, compression="GZIP")
    bodies = [rows(8 * MIB, seed) for seed in range(4)]
    local = threading.local()

    def send(number):
        if not hasattr(local, "http"):
            local.http = Http(service.api)
        post(local.http, "large", bodies[number % len(bodies)])

    in_parallel(range(128), send, workers=4)
    service.flush("large")
    ledger = service.drained("large", deadline_s=600)["large"]
    assert ledger["received"] == ledger["delivered"] == 32 * sum(body.count(b"\n") for body in bodies), ledger
    assert ledger["bytes"]["delivered"] >= 1024 * MIB, ledger
    report(service, f"{ledger['bytes']['delivered'] / MIB:.0f} MiB through one stream")


if __name__ == "__main__":
    suite.main()
