"""Memory stays flat whatever the buffers hold: the highest resident size the process ever had (VmHWM) under 400 MiB."""

import base64
import gzip
import json
import queue
import random
import threading
from collections import defaultdict

import oracle
from faulty_store import Kept
from harness import FULL, ROLE, Http, Suite, target, until
from partitioning import by

suite = Suite("memory")
LIMIT_BYTES = 400 * 1024 * 1024
MIB = 1024 * 1024


def rows(size, seed, text_bytes=190):
    """About `size` bytes of lines that do not compress away."""
    rng, line = random.Random(seed), []
    while size > 0:
        row = b'{"n":%d,"text":"%s"}\n' % (rng.randrange(10**9), rng.randbytes(text_bytes).hex().encode())
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


def report(service, what, limit_bytes=LIMIT_BYTES):
    peak = service.peak_bytes()
    print(f"  {what}: VmHWM {peak / MIB:.0f} MiB", flush=True)
    assert peak < limit_bytes, f"{what}: {peak / MIB:.0f} MiB is over {limit_bytes / MIB:.0f} MiB"


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


PARTITIONS, OPEN_LIMIT_BYTES = 5000, 300 * MIB


@suite.test(f"{PARTITIONS} open partitions: an object each, not one a record, and flat memory over a kill")
def many_partitions(folder):
    kept = Kept()
    service = folder.hydrant_with_store(between=lambda url: kept.url).start()
    # The first half cuts each MiB, and no partition comes to one: each waits, open, for its interval.
    members = by("s/data/k=!{partitionKeyFromQuery:k}/", "{k:.k}", size_mb=1, interval_s=900)
    service.create("s", compression="GZIP", **members)
    turns, local = 20 if FULL else 6, threading.local()

    def send(turn):
        if not hasattr(local, "http"):
            local.http = Http(service.api)
        order = random.Random(turn).sample(range(PARTITIONS), PARTITIONS)
        body = b"".join(b'{"k":"p%d","turn":%d,"pad":"%s"}\n' % (k, turn, b"x" * (k % 300)) for k in order)
        post(local.http, "s", body)
        return len(body)

    sizes, sent, closed = [], turns * PARTITIONS, 0
    for turn in range(0, turns, 2):
        in_parallel(range(turn, turn + 2), lambda turn: sizes.append(send(turn)), workers=2)
        assert sum(sizes[-2:]) > MIB, sizes
        # A seal of the first half is closed as soon as its chunk is kept; nothing else is sealed yet.
        closed = until("one more chunk in the spool", lambda: (n := service.metrics()["hydrant_closes_total"]) > closed and n)
    chunks = lambda: len(list(service.data_dir.glob("streams/*/outbox/*")))
    assert chunks() >= closed >= turns // 2 >= 3 and not kept.objects, (chunks(), closed, len(kept.objects))
    assert service.ledger("s")["in_flight"] == sent
    report(service, f"{sent} records of {PARTITIONS} partitions taken, {closed:.0f} chunks of them in the spool", OPEN_LIMIT_BYTES)
    service.kill().start()
    assert service.ledger("s")["in_flight"] == sent and chunks() >= closed and not kept.objects, (chunks(), closed)
    report(service, "all of them open again after kill -9", OPEN_LIMIT_BYTES)
    service.flush("s")
    assert service.drained("s")["s"]["delivered"] == sent
    report(service, f"{PARTITIONS} partitions delivered", OPEN_LIMIT_BYTES)
    assert not kept.troubles, kept.troubles[:3]
    objects = defaultdict(list)
    for key, body in kept.objects.items():
        rows_ = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        partition = key.split("/")[2].removeprefix("k=")
        assert {row["k"] for row in rows_} == {partition}, key
        objects[partition].append(sorted(row["turn"] for row in rows_))
    assert len(objects) == PARTITIONS, len(objects)
    for partition, turns_ in objects.items():
        # The flush may find what was still in the log after it has sent the partition.
        assert sorted(sum(turns_, [])) == list(range(turns)) and len(turns_) <= 2, (partition, turns_)


TABLE = "CREATE EXTERNAL TABLE tests.large (n bigint, text string)\n"
# One stream takes so much.
LARGE_BYTES = (1024 if FULL else 256) * MIB
# In the short form the bounds are tighter: two runs of 128 MiB are cut, and a service that held one of them in its memory
# would be over them.
GZIP_LIMIT_BYTES, PARQUET_LIMIT_BYTES = (LIMIT_BYTES, LIMIT_BYTES) if FULL else (180 * MIB, 300 * MIB)


def batch(rows_, stream):
    """A PutRecordBatch of these rows, as it goes over the line."""
    records = [{"Data": base64.b64encode(row).decode()} for row in rows_]
    return json.dumps({"DeliveryStreamName": stream, "Records": records}).encode()


def large_stream(folder, limit_bytes, **conversion):
    """Takes LARGE_BYTES through PutRecordBatch under hints of 128 MiB, while its deliveries run."""
    (folder / "schemas").mkdir()
    (folder / "schemas" / "tests.large.sql").write_text(TABLE)
    service = folder.hydrant(arguments=["--schemas-dir", str(folder / "schemas")]).start()
    service.create("large", size_mb=128, interval_s=900, **conversion)
    # 500 rows of about 8 KiB: the most that a request may hold.
    batches = [[b"%s\n" % row for row in rows(4 * 1000 * 1000, seed, text_bytes=4000).splitlines()] for seed in range(4)]
    bodies, sizes = [batch(each, "large") for each in batches], [sum(map(len, each)) for each in batches]
    assert max(len(each) for each in batches) <= 500 and max(sizes) <= 4 * MIB, sizes
    turns = -(-LARGE_BYTES // min(sizes))
    local = threading.local()

    def send(number):
        if not hasattr(local, "http"):
            local.http = Http(service.api)
        while True:
            status, _, raw = local.http.request("POST", "/", bodies[number % len(bodies)], target("PutRecordBatch"))
            if status == 200:
                assert json.loads(raw)["FailedPutCount"] == 0, raw[:300]
                return
            assert status == 500 and b"ServiceUnavailableException" in raw, (status, raw[:300])

    in_parallel(range(turns), send, workers=4)
    service.flush("large")
    ledger = service.drained("large", deadline_s=900)["large"]
    sent = [number % len(bodies) for number in range(turns)]
    assert ledger["received"] == ledger["delivered"] == sum(len(batches[each]) for each in sent), ledger
    assert ledger["bytes"]["delivered"] == sum(sizes[each] for each in sent) >= LARGE_BYTES, ledger
    found = list(oracle.keys(service.s3_client(), service.bucket, "large/data/"))
    assert len(found) >= LARGE_BYTES // (129 * MIB), found
    report(service, f"{ledger['bytes']['delivered'] / MIB:.0f} MiB through one stream into {len(found)} objects", limit_bytes)


@suite.test("one stream taking much, to gzip")
def large_to_gzip(folder):
    large_stream(folder, GZIP_LIMIT_BYTES, compression="GZIP")


@suite.test("one stream taking much, to Parquet")
def large_to_parquet(folder):
    large_stream(
        folder,
        PARQUET_LIMIT_BYTES,
        DataFormatConversionConfiguration={
            "Enabled": True,
            "SchemaConfiguration": {"DatabaseName": "tests", "TableName": "large", "RoleARN": ROLE},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        },
    )


if __name__ == "__main__":
    suite.main()
