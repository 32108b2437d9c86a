"""kill -9 at random moments and at every named crash point, under load with small buffers.

Every put attempt has ids of its own, so the judge can tell an acknowledged record from one that never was:
acknowledged ones stand in exactly one object or error record, the others in at most one, and nothing else stands there.
A share of the restarts goes into a build that encodes and refuses differently. One stream is partitioned by a key that its
ids tell. Some streams have a source backup, whose objects are judged in the same way: there every record stands as it was
sent, the dropped and refused ones too.

The moments come from --seed; how far the load has got by then does not, so a seed repeats the pressure, not the run.
"""

import base64
import hashlib
import io
import json
import random
import re
import threading
import time

import pyarrow.parquet

import oracle
from faulty_store import FaultyStore, at_random
from harness import ACCOUNT, FULL, ROLE, ROOT, Http, Suite, binary, target, until

suite = Suite("crash")
THREADS = 4
STREAMS = ("join", "gzip", "parquet", "enrich", "learn", "split", "parts")
BACKED_UP = ("gzip", "enrich", "parts")
ENRICH = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:enrich"
TABLE = "CREATE EXTERNAL TABLE crash.load (id string, pad string) STORED AS PARQUET\n"
# Points that no S3 delivery reaches: S3 is never given up. The suites http_endpoint and redshift reach them.
NOT_WITH_S3 = {"after_turn", "before_commit", "after_settle"}


def pad(identity):
    """Text that belongs to an id, of 0 to 1,500 characters."""
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return (digest * 24)[: int(digest[:4], 16) % 1500]


def record(identity):
    """The bytes of an id's record. With an `x` at its end it is broken JSON, which conversion and the transform must
    refuse; with a `d` it is one that the transform must drop. Those of the stream that learns have a key of their turn."""
    end = {"x": b"", "d": b'","level":"debug"}'}.get(identity[-1], b'"}')
    if identity.startswith("learn.") and end:
        turn = int(identity.split(".")[2])
        end = b'","k%d":%d}' % (turn % 7, turn)
    return b'{"id":"%s","pad":"%s%s\n' % (identity.encode(), pad(identity).encode(), end)


def ids_of(name, size):
    """The ids of a batch; its name says which stream it is for."""
    stream, _, turn = name.split(".")
    ids = []
    for index in range(size):
        mark = int(turn) + index
        broken = stream in ("parquet", "enrich", "learn", "split", "parts") and mark % 17 == 0
        dropped = stream == "enrich" and mark % 11 == 0 and not broken
        ids.append(f"{name}.{index}{'x' if broken else 'd' if dropped else ''}")
    return ids


def together(stream, records, rng):
    """What is put: of the stream that splits, several records as one. A broken one ends it, for the rest would go with it."""
    if stream != "split":
        return records
    groups = [b""]
    for each in records:
        if rng.random() < 0.3 or groups[-1] and not groups[-1].endswith(b'"}\n'):
            groups.append(b"")
        groups[-1] += each
    return [group for group in groups if group]


class Attempts:
    """What was sent: batch name → [number of records, acknowledged]. One writer a batch."""

    def __init__(self):
        self.batches, self.lock = {}, threading.Lock()

    def new(self, stream, thread, turn, size):
        name = f"{stream}.{thread}.{turn}"
        with self.lock:
            self.batches[name] = [size, False]
        return name, ids_of(name, size)

    def acknowledged(self, name):
        self.batches[name][1] = True

    def count(self, stream, acknowledged_only, dropped_only=False):
        count = 0
        with self.lock:
            batches = list(self.batches.items())
        for name, (size, done) in batches:
            if name.startswith(stream + ".") and (done or not acknowledged_only):
                count += sum(i.endswith("d") for i in ids_of(name, size)) if dropped_only else size
        return count


class Load:
    """Producers that put until told to stop, whatever happens to the service. Never a retry: each attempt is new."""

    def __init__(self, streams, seed):
        self.streams, self.attempts, self.seed = streams, Attempts(), seed
        self.api, self.open, self.stopping = None, threading.Event(), threading.Event()
        self.turns = [0] * THREADS
        self.aliens = []
        self.threads = [threading.Thread(target=self.guarded, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def connect(self, api):
        self.api = api
        self.open.set()

    def disconnect(self):
        self.open.clear()

    def finish(self):
        self.stopping.set()
        self.open.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a producer hangs"
        assert not self.aliens, self.aliens

    def guarded(self, number):
        try:
            self.produce(number)
        except Exception as error:
            self.aliens.append(f"producer {number}: {error!r}")

    def produce(self, number):
        rng, http, connected = random.Random(self.seed * 31 + number), None, None
        while True:
            self.open.wait()
            if self.stopping.is_set():
                return
            if http is None or connected != self.api:
                connected = self.api
                http = Http(connected, timeout_s=60)
            stream, self.turns[number] = rng.choice(self.streams), self.turns[number] + 1
            name, ids = self.attempts.new(stream, number, self.turns[number], rng.choice((1, 1, 7, 60, 300)))
            records = [record(identity) for identity in ids]
            try:
                self.put(http, stream, records, name, rng)
            except (OSError, EOFError, ValueError, *http_errors()):
                http.close()
                http = None
                if not self.open.is_set():
                    continue
                time.sleep(0.005)  # the service is being killed; not to spin on a closed port

    def put(self, http, stream, records, name, rng):
        way = rng.random()
        if way < 0.8:
            records = together(stream, records, rng)
        if len(records) == 1 and way < 0.8:
            status, answer = http.call("PutRecord", {"DeliveryStreamName": stream, "Record": {"Data": coded(records[0])}})
            good = status == 200 and "RecordId" in answer
        elif way < 0.8:
            status, answer = http.call("PutRecordBatch", {"DeliveryStreamName": stream, "Records": [{"Data": coded(r)} for r in records]})
            good = status == 200 and answer["FailedPutCount"] == 0 and len(answer["RequestResponses"]) == len(records)
        else:
            status, _, raw = http.request("POST", f"/streams/{stream}/records", b"".join(records))
            answer = json.loads(raw)
            good = status == 200 and answer["accepted"] == len(records)
        if good:
            self.attempts.acknowledged(name)
        elif status not in (500, 503):
            self.aliens.append(f"{name}: {status} {str(answer)[:300]}")


def http_errors():
    import http.client

    return (http.client.HTTPException,)


def coded(raw):
    return base64.b64encode(raw).decode()


def identities(each):
    """Ids in an object, each record compared with what its id was sent with."""
    if each.extension == ".parquet":
        table = pyarrow.parquet.read_table(io.BytesIO(each.body))
        for identity, text in zip(table["id"].to_pylist(), table["pad"].to_pylist()):
            assert text == pad(identity), f"{each.key}: {identity} has an alien value"
            assert not identity.endswith("x"), f"{each.key}: {identity} is broken JSON and became a row"
            yield identity
        return
    content = each.content()
    assert content.endswith(b"\n"), f"{each.key} ends within a record"
    for line in content.split(b"\n")[:-1]:
        found = re.match(rb'\{"id":"([\w.]+)"', line)
        assert found, f"{each.key}: alien record {line[:100]}"
        identity = found[1].decode()
        if identity.startswith("enrich.") and not each.key.startswith("enrich/backup/"):
            line = re.sub(rb',"ingested_at":"[^"]*"\}$', b"}", line)
            assert identity[-1].isdigit(), f"{each.key}: {identity} was to be refused or dropped"
        assert line + b"\n" == record(identity), f"{each.key}: {identity} is not as it was sent"
        yield identity


def assert_key(key, stream, prefix=None, version="1"):
    prefix = prefix or f"{stream}/data/"
    if stream == "parts":
        # The folder of each partition, where other streams have that of the hour.
        found = re.fullmatch(rf"{prefix}k=[.\d]\d/parts-{version}-\d{{4}}(-\d\d){{5}}-{oracle.UUID}\.gz", key)
        assert found, f"{key} is no key of a partition"
    else:
        oracle.assert_key(key, prefix, stream, version=version)


def judge(service, load, kills, what, assert_key=assert_key):
    """Every object against every attempt. Returns nothing; raises with the first findings."""
    streams = load.streams
    ledgers = service.drained(*streams)
    s3, attempts = service.s3_client(), load.attempts.batches
    declared, seen, doubled, alien = set(), {}, [], []
    found_in = {name: {"data": 0, "error": 0, "backup": 0} for name in streams}
    backed_up = {}
    for each in oracle.objects(s3, service.bucket):
        stream, kind = each.key.split("/")[:2]
        assert stream in streams and kind in ("data", "error", "backup"), f"an object of nobody: {each.key}"
        if "/_schema/" in each.key:
            assert re.fullmatch(r"learn/data/(v\d+/)?_schema/learn-\d+-[0-9a-f-]{36}\.sql", each.key), each.key
            assert each.body.startswith(b"CREATE EXTERNAL TABLE `learn` (\n"), each.body
            revision = each.key.split("-")[1]
            assert revision not in declared, f"table {revision} is declared twice: {each.key}"
            declared.add(revision)
            continue
        if kind != "error":
            if kind == "data":
                assert_key(each.key, stream)
            else:
                oracle.assert_key(each.key, f"{stream}/backup/", stream, version=r"\d+")
            ids = list(identities(each))
        else:
            errors = oracle.error_records(each.content())
            ids = [re.match(rb'\{"id":"([\w.]+)"', error["raw"])[1].decode() for error in errors]
            for identity, error in zip(ids, errors):
                assert error["raw"] == record(identity), f"{each.key}: {identity} is not as it was sent"
        assert ids, f"an empty object: {each.key}"
        if stream == "parts" and kind == "data":
            strangers = [identity for identity in ids if f"/k={identity[-2:]}/" not in each.key]
            assert not strangers, f"{each.key} has {strangers[:3]} of other partitions"
        found_in[stream][kind] += len(ids)
        for identity in ids:
            name, _, index = identity.rstrip("xd").rpartition(".")
            if name not in attempts or int(index) >= attempts[name][0] or not identity.startswith(stream + "."):
                alien.append((identity, each.key))
            own = backed_up if kind == "backup" else seen
            if identity in own:
                doubled.append((identity, own[identity], each.key))
            own[identity] = each.key
    lost, dropped = [], 0
    for name, (size, done) in attempts.items():
        if done:
            wanted = [identity for identity in ids_of(name, size) if not identity.endswith("d")]
            dropped += size - len(wanted)
            missing = [identity for identity in wanted if identity not in seen]
            if name.split(".")[0] in BACKED_UP:
                missing += [identity for identity in ids_of(name, size) if identity not in backed_up]
            if missing:
                lost.append((name, size, len(missing), missing[0]))
    acknowledged = sum(size for size, done in attempts.values() if done)
    missing = sum(count for _, _, count, _ in lost)
    never = len(seen) + dropped - acknowledged + missing
    print(f"  {what}: acked {acknowledged}, kills {kills}, lost {missing}, doubled {len(doubled)} (never acked yet kept {never}, objects {len(set(seen.values()))})", flush=True)
    assert not alien, f"alien: {alien[:5]}"
    assert not doubled, f"doubled: {doubled[:5]}"
    assert not lost, f"lost (batch, sent, missing, first): {lost[:5]}"
    assert acknowledged > 0, "nothing was acknowledged: the test shows nothing"
    for stream in streams:
        ledger, found = ledgers[stream], found_in[stream]
        assert ledger["delivered"] == found["data"] and ledger["refused"] == found["error"], (stream, ledger, found)
        low, high = load.attempts.count(stream, True), load.attempts.count(stream, False)
        split = ledger.get("split", 0)
        assert low <= ledger["received"] + split <= high, (stream, low, ledger, high)
        # Few puts may all have come by lines, which are not put together.
        assert (split > 0) == (stream == "split") or ledger["received"] < 1000, (stream, ledger)
        low, high = load.attempts.count(stream, True, True), load.attempts.count(stream, False, True)
        assert low <= ledger["dropped"] <= high and ledger["discarded"] == 0, (stream, low, ledger, high)
        if stream in BACKED_UP:
            backup = service.backup_ledger(stream)
            assert backup["delivered"] == backup["received"] == ledger["received"] == found["backup"], (backup, ledger, found)
    strays = [i for i in seen if i.split(".")[0] in BACKED_UP and i not in backed_up]
    assert not strays, f"delivered and not backed up: {strays[:5]}"
    if service.data_dir:
        left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
        until(lambda: f"an empty outbox: {left()}", lambda: not left())
    return acknowledged, found_in


def needs_failpoints():
    with open(binary(), "rb") as file:
        assert b"HYDRANT_FAILPOINT" in file.read(), f"{binary()} was built without the feature `failpoints`"


def set_up(folder, outside=False, between=lambda url: url):
    """A started service with the streams; with `outside`, its S3 is another process, with `between` before it."""
    needs_failpoints()
    schemas = folder / "schemas"
    schemas.mkdir()
    (schemas / "crash.load.sql").write_text(TABLE)
    transforms = ROOT / "transforms"
    if outside:
        files = {"schemas_dir": str(schemas), "transforms_dir": str(transforms)}
        service = folder.hydrant_with_store(between=between, s3={"answer_timeout": "2s"}, **files)
    else:
        service = folder.hydrant(arguments=["--schemas-dir", str(schemas), "--transforms-dir", str(transforms)])
    service.start()
    conversion = lambda database, table: {
        "Enabled": True,
        "SchemaConfiguration": {"DatabaseName": database, "TableName": table, "RoleARN": ROLE},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    }
    backup = lambda name, compression, interval_s: {
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{service.bucket}",
            "Prefix": f"{name}/backup/",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": interval_s},
            "CompressionFormat": compression,
        },
    }
    made = {
        "join": lambda: service.create("join", interval_s=0),
        "gzip": lambda: service.create("gzip", interval_s=1, compression="GZIP", **backup("gzip", "UNCOMPRESSED", 0)),
        "parquet": lambda: service.create(
            "parquet", interval_s=1, DataFormatConversionConfiguration=conversion("crash", "load")
        ),
        "learn": lambda: service.create(
            "learn", interval_s=1, DataFormatConversionConfiguration=conversion("hydrant", "infer")
        ),
        "split": lambda: service.create(
            "split",
            interval_s=1,
            ProcessingConfiguration={
                "Enabled": True,
                "Processors": [
                    {"Type": "RecordDeAggregation", "Parameters": [{"ParameterName": "SubRecordType", "ParameterValue": "JSON"}]},
                    {"Type": "AppendDelimiterToRecord"},
                ],
            },
        ),
        # Some hundred partitions, by the last two characters of an id.
        "parts": lambda: service.create(
            "parts",
            prefix="parts/data/k=!{partitionKeyFromQuery:k}/",
            interval_s=0,
            compression="GZIP",
            **backup("parts", "ZIP", 1),
            DynamicPartitioningConfiguration={"Enabled": True},
            ProcessingConfiguration={
                "Enabled": True,
                "Processors": [
                    {
                        "Type": "MetadataExtraction",
                        "Parameters": [
                            {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{k:.id[-2:]}"},
                            {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                        ],
                    }
                ],
            },
        ),
        "enrich": lambda: service.create(
            "enrich",
            interval_s=1,
            compression="ZIP",
            **backup("enrich", "GZIP", 1),
            ProcessingConfiguration={
                "Enabled": True,
                "Processors": [{"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": ENRICH}]}],
            },
        ),
    }
    for name in STREAMS:
        made[name]()
    return service


def kill_round(folder, kills, seed, outside=False, faults=False):
    """With `outside`, S3 lives on when the service dies, and is itself killed at times; with `faults`, it fails as well."""
    rng = random.Random(seed)
    stores = []
    between = lambda url: stores.append(FaultyStore(url, at_random(0.25, seed))) or stores[0].url
    service = set_up(folder, outside, between) if faults else set_up(folder, outside)
    load = Load(STREAMS, seed)
    load.connect(service.api)
    time_of_life = lambda: rng.uniform(0.0, 1.2)
    early = differently = 0
    time.sleep(time_of_life())  # a random moment, not a synchronisation
    for number in range(kills):
        restart_store = rng.choice(("while the service lives", "while it is dead", None)) if outside else None
        if restart_store == "while the service lives":
            service.store.kill().start()
            time.sleep(rng.uniform(0.0, 0.5))
        service.kill()
        load.disconnect()
        if restart_store == "while it is dead":
            service.store.kill().start()
        other = rng.random() < 0.3
        differently += other
        environment = {"HYDRANT_ENCODE_DIFFERENTLY": "1"} if other else {}
        if rng.random() < 0.2 and number + 1 < kills:
            # Killed while it recovers.
            early += 1
            service.spawn(environment)
            time.sleep(rng.uniform(0.0, 0.4))
            continue
        service.start(environment)
        load.connect(service.api)
        time.sleep(time_of_life())
    load.finish()
    what = f"seed {seed}, {early} kills during recovery, {differently} restarts into the other build"
    for store in stores:
        store.script = None
        what += f", {store.played.total()} faults"
    for name in load.streams if stores else ():
        service.admin(f"/streams/{name}/resume", "POST")  # it may wait for its operator
    judge(service, load, kills, what)
    for store in stores:
        store.assert_sound()
    assert service.stop() == 0


def add_rounds():
    if FULL:
        rounds = [(100, number % 2 == 1, number % 4 == 3) for number in range(8)]
    else:
        rounds = [(20, False, False), (10, True, False), (6, True, True)]
    for number, (kills, outside, faults) in enumerate(rounds):
        where = "S3 in another process" if outside else "S3 in the same process"
        where += " and failing" if faults else ""
        suite.test(f"{kills} kills at random moments, {where}, round {number + 1} of {len(rounds)}")(
            lambda folder, number=number, kills=kills, outside=outside, faults=faults: kill_round(
                folder, kills, suite.args.seed + number, outside, faults
            )
        )


def named_points():
    """The names in src/failpoint.rs."""
    text = (ROOT / "src" / "failpoint.rs").read_text()
    names = re.findall(r'^pub const \w+: &str = "(\w+)";', text, re.M)
    assert len(names) >= 13, names
    return [name for name in names if name not in NOT_WITH_S3]


def at_point(folder, point):
    """Dies at the point (or goes on, for those that fail instead), starts again, and nothing is lost or doubled."""
    rng = random.Random(f"{suite.args.seed} {point}")
    service = set_up(folder)
    assert service.stop() == 0
    # A table is learnt as often as something new comes, which is not for long.
    count = 1 if point == "after_learn" else rng.choice((1, 2, 3))
    service.start({"HYDRANT_FAILPOINT": f"{point}:{count}"})
    load = Load(STREAMS, suite.args.seed)
    fails_only = point == "fsync_failed"
    behind_idle = point == "after_trim"  # closed segments go once their stream has been idle for some seconds

    def reached():
        if fails_only:
            return any(v > 0 for k, v in service.metrics().items() if k.startswith("hydrant_log_sync_failures"))
        return not service.alive()

    # Bursts with pauses in which everything is delivered, so that points behind the delivery come as well.
    def burst():
        load.connect(service.api)
        time.sleep(rng.uniform(0.2, 0.8))
        load.disconnect()
        end = time.monotonic() + (30 if behind_idle else 10)
        while not reached() and time.monotonic() < end:
            try:
                if not behind_idle and all(service.ledger(name)["in_flight"] == 0 for name in load.streams):
                    break
            except (OSError, *http_errors()):
                pass
            time.sleep(0.05)
        return reached()

    until(f"the point {point} (the {count}. time): {service.tail(600)}", burst, deadline_s=120)
    if fails_only:
        load.connect(service.api)
        before = load.attempts.count("join", True)
        until("puts are acknowledged again after the failed sync", lambda: load.attempts.count("join", True) > before)
        service.kill()
    else:
        assert f"failpoint {point} reached" in service.tail(4000), service.tail()
        service.kill()
    load.disconnect()
    other = rng.random() < 0.5
    service.start({"HYDRANT_ENCODE_DIFFERENTLY": "1"} if other else {})
    load.connect(service.api)
    before = load.attempts.count("gzip", True)
    until("puts are acknowledged after the restart", lambda: load.attempts.count("gzip", True) > before)
    load.finish()
    judge(service, load, 1, f"{point}:{count}{', then the other build' if other else ''}")
    assert service.stop() == 0


add_rounds()
for each in named_points():
    suite.test(f"crash point {each}")(lambda folder, point=each: at_point(folder, point))

if __name__ == "__main__":
    suite.main()
