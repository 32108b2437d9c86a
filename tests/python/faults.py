"""Partitioned streams with a source backup behind an S3 that fails by a script, and on disks that fill up: afterwards
every record stands once, byte for byte, in an object of its own keys or in an error record, and once in the backup.

`faulty_store.py` plays the faults. Keys are reckoned here with Python's `json`, as in `partitioning.py`.
"""

import base64
import json
import random
import subprocess
import threading
import time
from collections import Counter

import oracle
from datasets import lines_of, put_batches
from faulty_store import FAULTS, KINDS, FaultyStore, always, at_random, first_of_each
from harness import DEADLINE_S, FULL, ROLE, Http, Suite, target, until
from operation import mounted_small
from partitioning import FAILED, PARTITIONS, SETS, by, delivered, json_keys, may_fail

suite = Suite("faults")
# Of each set as many records a stream, from a place of its own.
SLICE = 2400 if FULL else 100
# One stream has so many records and PARTITIONS partitions.
WIDE, WIDE_SLICE = "wiki_edits.refuse", 8000 if FULL else 800


def cloudtrail(row):
    return [row["eventSource"], row["eventName"], (row.get("userIdentity") or {}).get("userName")]


def wiki_edits(row):
    return [row["channel"], row["cityName"] if row["isAnonymous"] else row["namespace"], row["page"][:2]]


# Prefix, query, and the keys of a row that has them all; of the others some have none, and `dirty` is no JSON in part.
QUERIES = {
    "cloudtrail": (
        "s=!{partitionKeyFromQuery:s}/n=!{partitionKeyFromQuery:n}/u=!{partitionKeyFromQuery:u}/",
        "{s:.eventSource,n:.eventName,u:.userIdentity.userName}",
        cloudtrail,
    ),
    "github_events": (
        "t=!{partitionKeyFromQuery:t}/o=!{partitionKeyFromQuery:o}/",
        "{t:.type,o:.org.login}",
        lambda row: [row["type"], (row.get("org") or {}).get("login")],
    ),
    "wiki_edits": (
        "c=!{partitionKeyFromQuery:c}/p=!{partitionKeyFromQuery:p}/x=!{partitionKeyFromQuery:x}/",
        "{c:.channel,p:(if .isAnonymous then .cityName else .namespace end),x:.page[0:2]}",
        wiki_edits,
    ),
    "dirty": ("c=!{partitionKeyFromQuery:c}/", "{c:(.%s)}" % SETS["dirty"]["class"], None),
}  # fmt: skip


def path_of(name, line):
    """The folder of a record below `data/`; None if it has no keys, or if JSON alone does not tell."""
    prefix, _, keys_of = QUERIES[name]
    names = [part.partition("=")[0] for part in prefix.split("/")[:-1]]
    texts = json_keys(line, [SETS["dirty"]["class"]]) if keys_of is None else keys_of(json.loads(line))
    return "/".join(f"{key}={text}" for key, text in zip(names, texts)) if texts and all(texts) else None


def create(service, stream, name, size_mb=64, interval_s=900, **more):
    """A stream of the set `name`, with a backup beside it."""
    prefix, query, _ = QUERIES[name]
    service.create(
        stream, size_mb=size_mb, interval_s=interval_s, compression="GZIP", **by(f"{stream}/data/{prefix}", query),
        S3BackupMode="Enabled",
        S3BackupConfiguration={
            "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}", "Prefix": f"{stream}/backup/",
            "BufferingHints": {"SizeInMBs": size_mb, "IntervalInSeconds": interval_s}, **more,
        },
    )  # fmt: skip


def judge(service, stream, name, sent, unclear=()):
    """Every record of `sent` once, of `unclear` at most once more, each where it belongs; the ledgers say the same.
    Returns the paths, and the numbers of data objects and of error records."""
    ledger, backup = service.ledger(stream), service.backup_ledger(stream)
    data, errors = delivered_beside_backup(service, stream)
    found, paths, rows = Counter(error["raw"] for error in errors), set(), 0
    for path, each in data:
        content = each.content()
        assert content.endswith(b"\n"), f"{each.key} ends within a record"
        paths.add(path)
        for line in content[:-1].split(b"\n"):
            rows += 1
            found[line + b"\n"] += 1
            wanted = path_of(name, line)
            # What is no JSON to Python and a value to jq cannot be judged here.
            assert wanted == path or (wanted is None and name == "dirty"), (each.key, line[:200])
    good = [error for error in errors if path_of(name, error["raw"]) and not may_fail(error["raw"])]
    assert not good, f"refused with keys: {good[0]}"
    assert {error["errorCode"] for error in errors} <= {FAILED}
    sent, unclear = Counter(sent), Counter(unclear)
    lost, doubled = sent - found, found - sent - unclear
    assert not lost and not doubled, f"{stream}: lost {lost.total()} {list(lost)[:2]}, doubled {doubled.total()} {list(doubled)[:2]}"
    copies = b"".join(each.content() for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/backup/"))
    oracle.same_lines(b"".join(found.elements()), copies, f"{stream}, its backup")
    assert (ledger["delivered"], ledger["refused"]) == (rows, len(errors)), (ledger, rows, len(errors))
    assert ledger["received"] == backup["received"] == backup["delivered"] == found.total(), (ledger, backup)
    assert ledger["in_flight"] == ledger["dropped"] == ledger["discarded"] == 0, ledger
    return paths, len(data), len(errors)


def delivered_beside_backup(service, stream):
    """As `delivered`, of a stream whose backup lies below the same name."""

    class Without:
        """The S3 client, without the backup's objects in its listings."""

        def __init__(self, s3):
            self.s3, self.get_object = s3, s3.get_object

        def get_paginator(self, name):
            return self

        def paginate(self, **more):
            for page in self.s3.get_paginator("list_objects_v2").paginate(**more):
                yield {"Contents": [entry for entry in page.get("Contents", []) if f"{stream}/backup/" not in entry["Key"]]}

    class Service:
        bucket = service.bucket
        s3_client = staticmethod(lambda: Without(service.s3_client()))

    return delivered(Service, stream)


def settled(service, *streams):
    ledgers = service.drained(*streams, deadline_s=1200 if FULL else DEADLINE_S)
    for stream in streams:
        status = until(lambda: service.stream(stream), lambda: (s := service.stream(stream))["last_error"] is None and s)
        assert (status["state"], status["open_seals"], status["backup"]["state"]) == ("running", 0, "running"), status
    return ledgers


def assert_nothing_left(service):
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())


def behind(folder, script, s3=None, **settings):
    """A service, not yet started, and the faulty store before its S3."""
    store = []
    between = lambda url: store.append(FaultyStore(url, script)) or store[0].url
    service = folder.hydrant_with_store(between=between, s3={"answer_timeout": "2s", **(s3 or {})}, **settings)
    return service, store[0]


@suite.test("each fault at data, error and backup objects of each set: lost 0, doubled 0")
def matrix(folder):
    rng = random.Random(suite.args.seed)
    service, store = behind(folder, first_of_each(2))
    service.start()
    streams = {f"{name}.{fault.replace(' ', '-')}": name for name in QUERIES for fault in FAULTS}
    sent = {}
    for stream, name in streams.items():
        create(service, stream, name)
        lines = lines_of(name)
        begin = rng.randrange(len(lines))
        sent[stream] = (lines[begin:] + lines[:begin])[: WIDE_SLICE if stream == WIDE else SLICE]
    # The second half goes out when the faults are over.
    for part in range(2):
        for stream in streams:
            half = len(sent[stream]) // 2
            put_batches(service, stream, sent[stream][half:] if part else sent[stream][:half])
        for stream in streams:
            service.flush(stream)
        settled(service, *streams)
    partitions = objects = errors = most = 0
    for stream, name in streams.items():
        paths, count, refused = judge(service, stream, name, sent[stream])
        if stream == WIDE:
            most = len(paths)
        partitions, objects, errors = partitions + len(paths), objects + count, errors + refused
        fault = stream.partition(".")[2].replace("-", " ")
        played = {kind: store.played[stream, kind, fault] for kind in KINDS}
        # Of `dirty` a slice may be without bad records.
        assert all(played[kind] for kind in KINDS if kind != "error" or refused), (stream, played)
    store.assert_sound()
    assert most >= PARTITIONS and errors, (most, partitions, errors)
    print(f"  {len(streams)} streams, {partitions} partitions, of one {most}, in {objects} objects, {errors} error records, {store.played.total()} faults: lost 0, doubled 0")
    assert_nothing_left(service)
    assert service.stop() == 0


class Feed:
    """Puts batches of each set until told to stop, whatever happens to the service; what was not answered is unclear."""

    def __init__(self, service, seed):
        self.api, self.stopping, self.troubles = service.api, threading.Event(), []
        self.sent, self.unclear = ({name: [] for name in QUERIES} for _ in range(2))
        self.threads = [threading.Thread(target=self.run, args=(name, seed), daemon=True) for name in QUERIES]
        for thread in self.threads:
            thread.start()

    def run(self, name, seed):
        rng, lines, http, connected, at = random.Random(f"{seed} {name}"), lines_of(name), None, None, 0
        while not self.stopping.is_set():
            if http is None or connected != self.api:
                connected = self.api
                http = Http(connected, timeout_s=60)
            size = rng.choice((1, 20, 200))
            batch = (lines[at : at + size] or lines[: size])[:size]
            at = (at + size) % len(lines)
            try:
                status, _, raw = http.request("POST", "/", *batch_of(name, batch))
                if status == 200 and json.loads(raw)["FailedPutCount"] == 0:
                    self.sent[name] += batch
                elif status not in (500, 503):
                    self.troubles.append((name, status, raw[:300]))
            except Exception:  # the service is being killed
                self.unclear[name] += batch
                http.close()
                http = None
                time.sleep(0.05)  # not to spin on a closed port

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a producer hangs"
        assert not self.troubles, self.troubles[:3]


def batch_of(stream, records):
    """Body and headers of a PutRecordBatch."""
    body = {"DeliveryStreamName": stream, "Records": [{"Data": base64.b64encode(record).decode()} for record in records]}
    return json.dumps(body).encode(), target("PutRecordBatch")


@suite.test("each set under kill -9 in the middle of faults: lost 0, doubled 0")
def killed(folder):
    rng = random.Random(suite.args.seed)
    # Many objects go as uploads in parts, of one part each.
    service, store = behind(folder, at_random(0.3, suite.args.seed), s3={"multipart_above": "8KiB"})
    service.start()
    for name in QUERIES:
        create(service, name, name, size_mb=1, interval_s=0, CompressionFormat="ZIP")
    feed = Feed(service, suite.args.seed)
    kills = 40 if FULL else 6
    for turn in range(kills):
        time.sleep(rng.uniform(0.1, 1.5))  # a random moment, not a synchronisation
        service.kill()
        # An upload that the store begins for the dead once the next attempt has looked is found by nobody.
        until("the end of its requests", lambda: not store.under_way)
        service.start({"HYDRANT_ENCODE_DIFFERENTLY": "1"} if turn % 3 == 2 else {})
        feed.api = service.api
    until("records of enough partitions", lambda: len(feed.sent["wiki_edits"]) >= 5 * PARTITIONS)
    feed.finish()
    for name in QUERIES:
        service.flush(name)
    quiet = lambda: all(service.ledger(name)["in_flight"] == 0 for name in QUERIES)
    until("enough faults", lambda: store.played.total() > 100 or quiet(), pause_s=0.2)
    store.script = None
    for name in QUERIES:
        service.admin(f"/streams/{name}/resume", "POST")
    settled(service, *QUERIES)
    partitions = objects = most = 0
    for name in QUERIES:
        assert feed.sent[name], f"nothing of {name} was acknowledged"
        paths, count, _ = judge(service, name, name, feed.sent[name], feed.unclear[name])
        most = max(most, len(paths))
        partitions, objects = partitions + len(paths), objects + count
    store.assert_sound()
    acknowledged, kinds = sum(map(len, feed.sent.values())), Counter()
    for (_, kind, _), times in store.played.items():
        kinds[kind] += times
    assert set(kinds) == set(KINDS) and store.uploads, (kinds, store.uploads)
    assert most >= PARTITIONS, most
    print(f"  acknowledged {acknowledged}, kills {kills}, {partitions} partitions, of one {most}, in {objects} objects, {store.uploads} in parts, {dict(kinds)} faults: lost 0, doubled 0")
    assert_uploads_left(service)
    assert_nothing_left(service)
    delete_in_faults(service, store, feed)
    assert service.stop() == 0


def assert_uploads_left(service):
    """An attempt aborts what earlier ones left of its key; only where the store failed that to the end may one stay, and
    the log names it."""
    uploads = service.s3_client().list_multipart_uploads(Bucket=service.bucket).get("Uploads", [])
    log = service.log_path.read_text(errors="replace")
    excused = log.count("an upload stays behind") + log.count("cannot be listed, hence not aborted")
    print(f"  {len(uploads)} uploads left, {excused} warnings of them")
    assert len(uploads) <= excused, [(upload["Key"], upload["UploadId"]) for upload in uploads]


def delete_in_faults(service, store, feed):
    """Streams that are deleted while the store fails deliver what waits first."""
    store.script = at_random(0.3, suite.args.seed)
    before = {name: service.ledger(name) for name in QUERIES}
    rest = {name: lines_of(name)[:60] for name in QUERIES}
    for name, lines in rest.items():
        put_batches(service, name, lines)
        service.firehose().delete_delivery_stream(DeliveryStreamName=name)
    until("all streams are gone", lambda: service.metrics().get("hydrant_deleted_streams_total") == len(QUERIES))
    samples = service.metrics()
    gone = {fate: samples[f'hydrant_deleted_streams_records_total{{fate="{fate}"}}'] for fate in ("received", "delivered", "refused", "discarded")}
    received = sum(ledger["received"] for ledger in before.values()) + sum(map(len, rest.values()))
    assert gone["received"] == received == gone["delivered"] + gone["refused"] and not gone["discarded"], (gone, received)
    for name, lines in rest.items():
        data, errors = delivered_beside_backup(service, name)
        found = b"".join(each.content() for _, each in data) + b"".join(error["raw"] for error in errors)
        copies = b"".join(each.content() for each in oracle.objects(service.s3_client(), service.bucket, f"{name}/backup/"))
        oracle.same_lines(found, copies, f"{name}, its backup")
        missing = Counter(feed.sent[name] + lines) - Counter(line + b"\n" for line in found[:-1].split(b"\n"))
        assert not missing, (name, missing.total())


def budget(folder, size_mb, interval_s):
    service, store = behind(folder, always("refuse"), limits={"disk_budget": "24MiB"})
    service.start()
    name = "dirty"
    create(service, name, name, size_mb=size_mb, interval_s=interval_s)
    lines, sent, at = lines_of(name) * 3, [], 0
    http = Http(service.api)

    def fill():
        nonlocal at
        while at < len(lines):
            batch = lines[at : at + 500]
            status, _, raw = http.request("POST", "/", *batch_of(name, batch))
            if status != 200:
                assert status in (500, 503) and b"ServiceUnavailable" in raw, (status, raw[:300])
                return
            sent.extend(batch)
            at += 500
        raise AssertionError("the budget was never used up")

    fill()
    service.flush(name)
    fails = lambda status: status["state"] in ("retrying", "needs_operator")
    until("both fail", lambda: fails(s := service.stream(name)) and fails(s["backup"]))
    service.kill().start()
    http = Http(service.api)
    fill()
    assert sum(map(len, sent)) > 8 << 20, sum(map(len, sent))
    store.script = None
    service.admin(f"/streams/{name}/resume", "POST")
    service.flush(name)
    settled(service, name)
    batch = lines[at : at + 500]
    until("puts are taken again", lambda: http.request("POST", "/", *batch_of(name, batch))[0] == 200)
    sent += batch
    service.flush(name)
    settled(service, name)
    paths, count, _ = judge(service, name, name, sent)
    store.assert_sound()
    print(f"  {sum(map(len, sent)) >> 20} MiB waited, {len(paths)} partitions in {count} objects")
    assert_nothing_left(service)
    assert service.stop() == 0


for hints in ((1, 0), (64, 900)):
    suite.test(f"a store that is down until the disk budget is used up, hints {hints}: log, spool and backup wait, and go out once")(
        lambda folder, hints=hints: budget(folder, *hints)
    )


@suite.test("a file system without a byte left: spool and backup wait, and go out once")
def full_file_system(folder):
    service = folder.hydrant_with_store()
    mount = mounted_small(folder)
    try:
        service.start()
        create(service, "s", "wiki_edits")
        sent = lines_of("wiki_edits")[:8000]
        put_batches(service, "s", sent[:7000])
        # Somebody else takes all of the space.
        ballast = open(mount / "ballast", "wb", buffering=0)
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                pass
        service.flush("s")
        status = until("it says so", lambda: (s := service.stream("s"))["last_error"] and s)
        assert "has 0 bytes free" in status["last_error"], status
        status, _, raw = Http(service.api).request("POST", "/", *batch_of("s", sent[7000:7100]))
        assert status in (500, 503) and b"ServiceUnavailable" in raw, (status, raw[:300])
        # A service that dies now may or may not come up without room, and does with it.
        service.kill().spawn()
        until("it is up, or has given up", lambda: service._line or not service.alive())
        service.kill()
        ballast.close()
        (mount / "ballast").unlink()
        service.start()
        put_batches(service, "s", sent[7000:])
        service.flush("s")
        settled(service, "s")
        judge(service, "s", "wiki_edits", sent)
        assert_nothing_left(service)
        assert service.stop() == 0
    finally:
        service.kill()
        subprocess.run(["umount", "-l", str(mount)], check=True)


if __name__ == "__main__":
    suite.main()
