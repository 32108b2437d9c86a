"""Operating the service: stop, lock, format versions, flush, pause, resume, the ledger, and an outside that fails."""

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import oracle
from harness import DEADLINE_S, Http, Skip, Suite, binary, clean_environment, request, until

suite = Suite("operation")


def put(service, stream, *rows):
    service.firehose().put_record_batch(DeliveryStreamName=stream, Records=[{"Data": row} for row in rows])


def content(service, prefix):
    return b"".join(o.content() for o in oracle.objects(service.s3_client(), service.bucket, prefix))


@suite.test("SIGTERM stops in order and keeps what waits")
def graceful_stop(folder):
    service = folder.hydrant().start()
    service.create("kept", size_mb=64, interval_s=900)
    service.create("other", size_mb=64, interval_s=900, compression="GZIP")
    rows = [b"row %d\n" % number for number in range(200)]
    put(service, "kept", *rows)
    put(service, "other", *rows)
    assert service.stop() == 0, service.tail()
    service.start()
    for name in ("kept", "other"):
        ledger = service.ledger(name)
        assert ledger["received"] == 200, ledger
        service.flush(name)
    service.drained("kept", "other")
    oracle.same_lines(b"".join(rows), content(service, "kept/"), "kept")
    oracle.same_lines(b"".join(rows), content(service, "other/"), "other")
    assert service.stop() == 0


@suite.test("a stop under load answers or refuses every request, and loses none")
def stop_under_load(folder):
    service = folder.hydrant().start()
    service.create("busy", size_mb=1, interval_s=1)
    acknowledged, stop = [0] * 4, threading.Event()

    def produce(number):
        http = Http(service.api)
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                status, _, _ = http.request("POST", "/streams/busy/records", b"%d %d %s\n" % (number, turn, b"x" * 500))
            except (OSError, Exception):
                return
            if status == 200:
                acknowledged[number] = turn

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until("some puts from each", lambda: min(acknowledged) > 50)
    code = service.stop()
    stop.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert code == 0, service.tail()
    service.start()
    service.flush("busy")
    service.drained("busy")
    found = {}
    for line in content(service, "busy/").splitlines():
        number, turn, _ = line.split(b" ")
        key = (int(number), int(turn))
        assert key not in found, f"doubled: {key}"
        found[key] = True
    for number, last in enumerate(acknowledged):
        missing = [turn for turn in range(1, last + 1) if (number, turn) not in found]
        assert not missing, f"producer {number} lost {missing[:5]}"


@suite.test("one process a data folder")
def lock(folder):
    service = folder.hydrant().start()
    second = folder.hydrant()
    second.log_path = folder / "second.log"
    second.spawn()
    assert second.wait_end() != 0
    text = second.tail()
    assert re.search(r"lock|in use|another", text, re.I) and str(folder.path) in text, text
    assert "panicked" not in text, text
    assert service.alive()
    service.kill()
    # The lock dies with its owner.
    service.start()


@suite.test("a newer on-disk format is refused with a clear text")
def newer_format(folder):
    service = folder.hydrant().start()
    service.create("s")
    put(service, "s", b"x\n")
    service.drained("s")
    assert service.stop() == 0
    changed = []
    for path in sorted(Path(service.data_dir).rglob("*")):
        if "s3" in path.relative_to(service.data_dir).parts or not path.is_file():
            continue
        raw = path.read_bytes()
        text = raw.decode("latin-1")
        if path.suffix == ".json" and (found := re.search(r'"(version|format)":\s*(\d+)', text)):
            path.write_text(text.replace(found[0], f'"{found[1]}": 9999'), encoding="latin-1")
            changed.append((path, raw))
    assert changed, "no file with a version tag was found"
    for path, raw in changed:
        for other, original in changed:
            other.write_bytes(original)
        text = raw.decode("latin-1")
        found = re.search(r'"(version|format)":\s*(\d+)', text)
        path.write_text(text.replace(found[0], f'"{found[1]}":9999'), encoding="latin-1")
        refused = folder.hydrant()
        refused.log_path = folder / f"refused-{path.name}.log"
        refused.spawn()
        assert refused.wait_end() != 0, f"started with a newer {path.name}"
        text = refused.tail()
        assert re.search(r"newer|version", text) and path.name in text and "panicked" not in text, text
    for path, raw in changed:
        path.write_bytes(raw)
    service.start()
    put(service, "s", b"y\n")
    service.drained("s")
    oracle.same_lines(b"x\ny\n", content(service, "s/"), "after the old files were put back")


@suite.test("flush delivers what waits; pause holds it and resume lets it go")
def flush_pause_resume(folder):
    service = folder.hydrant().start()
    service.create("held", size_mb=64, interval_s=900)
    put(service, "held", b"one\n")
    status = service.stream("held")
    assert status["state"] == "running" and status["ledger"]["in_flight"]["records"] == 1, status
    service.flush("held")
    service.drained("held")
    assert content(service, "held/") == b"one\n"
    service.admin("/streams/held/pause", "POST")
    status = until("it is paused", lambda: (told := service.stream("held"))["paused"] and told)
    assert status["state"] == "paused", status
    put(service, "held", b"two\n")  # accepted on
    status, text = service.admin("/streams/held/flush", "POST", check=False)[:2]
    assert status == 409 and "is paused" in str(text) and "/streams/held/resume" in str(text), (status, text)
    assert service.ledger("held")["in_flight"] == 1, "a flush does not go past a pause"
    assert content(service, "held/") == b"one\n"
    service.admin("/streams/held/resume", "POST")
    service.flush("held")
    service.drained("held")
    oracle.same_lines(b"one\ntwo\n", content(service, "held/"), "after resume")
    for path in ("/streams/absent", "/streams/absent/flush"):
        method = "POST" if path.endswith("flush") else "GET"
        assert service.admin(path, method, check=False)[0] == 404
    names = [stream["name"] for stream in json.loads(service.admin("/streams")[1])["streams"]]
    assert names == ["held"], names
    assert service.admin("/healthz")[0] == 200 and service.admin("/readyz")[0] == 200


@suite.test("the ledger on /metrics adds up at every moment and equals what was delivered")
def ledger(folder):
    service = folder.hydrant().start()
    service.create("sum", size_mb=1, interval_s=0)
    done, troubles, seen = threading.Event(), [], []

    def watch():
        last = 0
        while not done.is_set():
            try:
                now = service.ledger("sum")  # asserts that it adds up
                assert now["received"] >= last, f"received went back: {last} to {now}"
                last = now["received"]
                seen.append(now["in_flight"])
            except Exception as error:
                troubles.append(error)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    http, sent = Http(service.api), 0
    body = b"".join(b"%06d %s\n" % (number, b"x" * 900) for number in range(1000))
    for _ in range(40):
        status, _, raw = http.request("POST", "/streams/sum/records", body)
        assert status == 200, raw
        sent += 1000
    final = service.drained("sum")["sum"]
    done.set()
    watcher.join()
    assert not troubles, troubles
    found = content(service, "sum/").count(b"\n")
    assert final["received"] == final["delivered"] == sent == found, (final, sent, found)
    assert final["bytes"]["received"] == 40 * len(body), final
    assert len(seen) > 3


@suite.test("a missing bucket holds the stream; created, it is delivered")
def missing_bucket(folder):
    service = folder.hydrant().start()
    service.create("later", bucket="not-yet", interval_s=1)
    put(service, "later", b"patience\n")
    status = until(
        "the stream needs its operator",
        lambda: (s := service.stream("later")) and s["state"] == "needs_operator" and s,
        pause_s=0.1,
    )
    assert "NoSuchBucket" in status["last_error"] and "not-yet" in status["last_error"], status
    assert service.ledger("later")["in_flight"] == 1
    put(service, "later", b"accepted all the same\n")
    service.kill()
    service.start()
    s3 = service.s3_client()
    s3.create_bucket(Bucket="not-yet")
    service.flush("later")
    ledger = service.drained("later", deadline_s=300)["later"]
    assert ledger["delivered"] == 2, ledger
    found = b"".join(o.content() for o in oracle.objects(s3, "not-yet"))
    oracle.same_lines(b"patience\naccepted all the same\n", found, "the late bucket")
    assert service.stream("later")["last_error"] is None


@suite.test("a full disk: puts are throttled, nothing acknowledged is lost, service resumes with room")
def full_disk(folder):
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    mount = folder / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "hydrant-test", str(mount)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        fill_up(folder, mount)
    finally:
        folder.stop_all()
        subprocess.run(["umount", "-l", str(mount)], check=False)


def fill_up(folder, mount):
    service = folder.hydrant("small/data")
    service.log_path = folder / "small.log"
    service.start()
    service.create("full", size_mb=1, interval_s=1)
    service.admin("/streams/full/pause", "POST")
    http, acknowledged, refused = Http(service.api), [], 0
    number = 0
    while refused < 5:
        number += 1
        assert number < 500, "the disk never filled up"
        line = b"%d %s\n" % (number, os.urandom(250_000).hex().encode())
        status, _, raw = http.request("POST", "/streams/full/records", line)
        if status == 200:
            acknowledged.append(line)
            refused = 0
        else:
            assert status in (500, 503) and b"ServiceUnavailable" in raw, (status, raw[:300])
            refused += 1
    assert service.alive() and len(acknowledged) > 5, len(acknowledged)
    # Room: the file system grows, the stream goes on, without a restart.
    subprocess.run(["mount", "-o", "remount,size=512m", str(mount)], check=True)

    def taken():
        line = b"room again %s\n" % os.urandom(1000).hex().encode()
        status, _, _ = http.request("POST", "/streams/full/records", line)
        if status == 200:
            acknowledged.append(line)
        return status == 200

    until("puts are accepted again", taken, pause_s=0.2)
    service.admin("/streams/full/resume", "POST")
    service.flush("full")
    service.drained("full")
    oracle.same_lines(b"".join(acknowledged), content(service, "full/"), "after the disk was full")
    print(f"  {len(acknowledged)} acknowledged around the full disk")


@suite.test("commands explain themselves")
def commands(folder):
    def run(*arguments):
        return subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=60, env=clean_environment())

    top = run("--help")
    assert top.returncode == 0
    for command in ("dev", "serve", "put", "check", "demo"):
        assert command in top.stdout, f"--help does not name {command}"
        help_text = run(command, "--help")
        assert help_text.returncode == 0 and len(help_text.stdout) > 200, (command, help_text.stdout)
    wrong = run("dev", "--data-dri", "x")
    assert wrong.returncode != 0 and "--data-dir" in wrong.stderr, wrong.stderr


@suite.test("check names the line and the nearest key; serve refuses the same file")
def check_config(folder):
    bad = folder / "bad.yaml"
    bad.write_text("version: 1\nstreems: []\n")
    for command in (["check"], ["serve"]):
        done = subprocess.run([binary(), *command, "--config", str(bad)], capture_output=True, text=True, timeout=60)
        text = done.stdout + done.stderr
        assert done.returncode != 0 and "streems" in text and "streams" in text and re.search(r"\b2\b", text), text


@suite.test("put sends a file")
def put_command(folder):
    service = folder.hydrant().start()
    service.create("filed")
    rows = b"".join(b'{"n":%d}\n' % number for number in range(20_000)) + b"the last one has no end"
    (folder / "rows.ndjson").write_bytes(rows)
    done = subprocess.run(
        [binary(), "put", "filed", str(folder / "rows.ndjson"), "--endpoint", service.api],
        capture_output=True, text=True, timeout=DEADLINE_S, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    service.drained("filed")
    oracle.same_lines(rows + b"\n", content(service, "filed/"), "the file")


def mounted_small(folder):
    """The folder `data` of a test as a file system of 60 MiB, or a skip; who called unmounts it."""
    mount = folder / "data"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=60m", "none", str(mount)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode != 0:
        raise Skip("no right to mount a file system; the tests of the disk budget stand alone")
    return mount


@suite.test("a file system that is full throttles, delivers and starts again")
def full_file_system(folder):
    service = folder.hydrant_with_store()
    mount = mounted_small(folder)
    try:
        service.start()
        assert "larger than the file system" in service.tail(), service.tail()
        service.create("full", size_mb=1, interval_s=900)
        service.admin("/streams/full/pause", "POST")
        http, taken = Http(service.api), []

        def fill():
            while len(taken) < 100:
                line = b"%d %s\n" % (len(taken), b"x" * 1_000_000)
                status, _, text = http.request("POST", "/streams/full/records", line)
                if status != 200:
                    assert status == 503 and b"Slow down" in text, (status, text)
                    return
                taken.append(line)
            raise AssertionError("100 MB on a file system of 60 MiB")

        fill()
        reason = rf"throttled until there is room: the file system of {mount} has \d+ bytes free, and 8388608 bytes are kept"
        assert re.search(reason, service.tail()), service.tail()
        assert len(taken) > 30, len(taken)
        service.kill()
        service.start()
        service.admin("/streams/full/pause", "POST")
        http = Http(service.api)
        fill()
        service.admin("/streams/full/resume", "POST")
        service.flush("full")
        service.drained("full")
        oracle.same_lines(b"".join(taken), content(service, "full/"), "what was taken")
        # There is room again.
        put(service, "full", b"more\n")
        service.flush("full")
        service.drained("full")
        assert service.stop() == 0
    finally:
        service.kill()
        subprocess.run(["umount", str(mount)], check=True)


if __name__ == "__main__":
    suite.main()
