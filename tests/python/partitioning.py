"""Dynamic partitioning by jq, over boto3: every record stands once, in an object of its own keys or in an error record.

The keys of a record are reckoned anew here with Python's `json` from the bytes that were delivered, and compared with
the path they lie under. What a query gives in full is compared with jq itself by the tests in Rust.
"""

import base64
import io
import json
import random
import re
import threading
import time
from collections import Counter, defaultdict

import duckdb
import pyarrow.dataset
import pyarrow.parquet
from botocore.exceptions import ClientError

import oracle
from datasets import lines_of, put_batches, schemas_for
from harness import FULL, ROLE, ROOT, Http, Suite, target, until

suite = Suite("partitioning")
PARTITIONS = 2000 if FULL else 200
APPEND = {"Type": "AppendDelimiterToRecord"}
FAILED = "DynamicPartitioning.MetadataExtractionFailed"


def processor(kind, **parameters):
    return {"Type": kind, "Parameters": [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()]}


def extraction(query):
    return processor("MetadataExtraction", MetadataExtractionQuery=query, JsonParsingEngine="JQ-1.6")


def by(prefix, query, *processors, **more):
    """Members of a stream partitioned by a query."""
    return {
        "prefix": prefix,
        "DynamicPartitioningConfiguration": {"Enabled": True},
        "ProcessingConfiguration": {"Enabled": True, "Processors": [*processors, extraction(query)]},
        **more,
    }


def table(database, name):
    return {
        "DataFormatConversionConfiguration": {
            "SchemaConfiguration": {"DatabaseName": database, "TableName": name, "RoleARN": ROLE},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        }
    }


def folder_of(key, stream, version=r"\d+"):
    """What stands between `<stream>/data/` and the name."""
    found = re.fullmatch(rf"{stream}/data/(.*)/{stream}-{version}-\d{{4}}(?:-\d\d){{5}}-{oracle.UUID}(?:\.\w+)?", key, re.DOTALL)
    assert found, f"{key} is no key of {stream}"
    return found[1]


def delivered(service, stream, version=r"\d+"):
    """[(folder, object)] of a stream's data, and its error records."""
    data, errors = [], []
    for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/"):
        if each.key.startswith(f"{stream}/error/"):
            assert each.key.startswith(f"{stream}/error/partitioning-failed/"), each.key
            errors += oracle.error_records(each.content(), "partitioning-failed")
        else:
            data.append((folder_of(each.key, stream, version), each))
    return data, errors


def text_of(value):
    """A key's text, for the kinds that the sets below have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else None


def at(row, path):
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def put(service, stream, rows):
    firehose = service.firehose()
    for first in range(0, len(rows), 500):
        answer = firehose.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": row} for row in rows[first : first + 500]])
        assert answer["FailedPutCount"] == 0, answer


# Shape


@suite.test("Describe echoes it with the service's defaults, and Update can neither switch it on nor off")
def described(folder):
    service = folder.hydrant().start()
    firehose = service.firehose()
    query = '{customer_id:.customer_id,device:.type.device,year:.event_timestamp|strftime("%Y")}'
    prefix = "c=!{partitionKeyFromQuery:customer_id}/d=!{partitionKeyFromQuery:device}/!{partitionKeyFromQuery:year}/!{timestamp:MM}/"
    wanted = by(prefix, query, APPEND)
    service.create("s", **wanted, size_mb=64, interval_s=60)
    service.create("t", **{**wanted, "DynamicPartitioningConfiguration": {"Enabled": True, "RetryOptions": {"DurationInSeconds": 7}}})
    service.create("plain", DynamicPartitioningConfiguration={"Enabled": False})
    for name, retry, on in (("s", 300, True), ("t", 7, True), ("plain", 300, False)):
        description = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
        shown = description["Destinations"][0]["ExtendedS3DestinationDescription"]
        assert shown["DynamicPartitioningConfiguration"] == {"RetryOptions": {"DurationInSeconds": retry}, "Enabled": on}, shown
        if on:
            assert shown["Prefix"] == prefix, shown
            processors = [{**APPEND, "Parameters": []}, extraction(query)]
            assert shown["ProcessingConfiguration"] == {"Enabled": True, "Processors": processors}, shown
        for value in (True, False):
            update = lambda: firehose.update_destination(
                DeliveryStreamName=name,
                CurrentDeliveryStreamVersionId=description["VersionId"],
                DestinationId=description["Destinations"][0]["DestinationId"],
                ExtendedS3DestinationUpdate={"DynamicPartitioningConfiguration": {"Enabled": value}},
            )
            if value != on:
                refused(update, "can only be enabled when" if value else "cannot be disabled")


def refused(call, message):
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidArgumentException", error
        assert message in error.response["Error"]["Message"], (message, error)
        return error.response["Error"]["Message"]
    raise AssertionError(f"taken, and should not for: {message}")


K = "k=!{partitionKeyFromQuery:k}/"
WRONG = {
    "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled": by("p/", "{k:.k}"),
    "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled.": {"prefix": K},
    "Processing Configuration is not enabled when DataPartitioning is enabled": {
        "prefix": K, "DynamicPartitioningConfiguration": {"Enabled": True},
    },
    "Lambda should be present when S3 Prefix contains keys from partitionKeyFromLambda namespace": by(
        K + "!{partitionKeyFromLambda:l}/", "{k:.k}"
    ),
    "MetadataExtraction processor should be present when S3 Prefix has partitionKeyFromQuery namespace": {
        **by(K, "{k:.k}"), "ProcessingConfiguration": {"Enabled": True, "Processors": [APPEND]},
    },
    "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression": by(K, "{k:.k,other:.o}"),
    "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions": {**by(K, "{k:.k}"), "ErrorOutputPrefix": ""},
}  # fmt: skip


@suite.test("what cannot be is refused in the words of the reference")
def messages(folder):
    service = folder.hydrant().start()
    for message, members in WRONG.items():
        found = refused(lambda: service.create("no", **members), message)
        assert message.startswith("ErrorOutputPrefix") or found == message, found
    # The prefix must be served by the query, and the query be one that gives jq's own keys.
    for query in ("{k:now}", "{k:.k", ".k", "{k:.k,k:.l}", "{(.k):1}"):
        refused(lambda: service.create("no", **by(K, query)), "")
    refused(lambda: service.create("no", **by(K + "!{partitionKeyFromQuery:l}/", "{k:.k}")), "")
    listed = service.firehose().list_delivery_streams()["DeliveryStreamNames"]
    assert listed == [], listed
    # Firehose's own limits are lifted unless asked for.
    service.create("small", **by(K, "{k:.k}"), size_mb=1, interval_s=0)
    strict = folder.hydrant_with_store("strict", compatibility="strict").start()
    hints = {
        "BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic Partitioning is enabled.": (64, 59),
        "BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled.": (63, 60),
    }
    for message, (size_mb, interval_s) in hints.items():
        assert refused(lambda: strict.create("no", **by(K, "{k:.k}"), size_mb=size_mb, interval_s=interval_s), message) == message
    strict.create("yes", **by(K, "{k:.k}"), size_mb=64, interval_s=60)


# The recorded sets

SETS = {
    "cloudtrail": {"source": "eventSource", "name": "eventName", "ro": "readOnly"},
    "github_events": {"type": "type", "org": "org.login"},
    "wiki_edits": {"channel": "channel", "ns": "namespace", "robot": "isRobot"},
    # Alternatives: the first that is there.
    "dirty": {"class": "class // .Channel // .type"},
}


def json_keys(record, paths):
    """Texts of a record's keys; `None` if it has none or if JSON alone does not tell."""
    try:
        row = json.loads(record)
    except (ValueError, RecursionError):
        return None
    texts = [text_of(first(row, path.split(" // ."))) for path in paths]
    return texts if all(texts) else None


def first(row, paths):
    """The value that stands first in the record, as `//` in jq: neither null nor false, but for the last."""
    found = [at(row, path) for path in paths]
    return next((value for value in found if value is not None and value is not False), found[-1])


def may_fail(record):
    """Whether a record that JSON takes is one of those that are not taken (docs/partitioning.md)."""
    nesting = depth = 0
    for byte in record:
        depth += (byte in b"[{") - (byte in b"]}")
        nesting = max(nesting, depth)
    return nesting > 250 or b"\x1e" in record or re.search(rb"\\u(?i:d[89a-f]|0000)", record)


def conserve(folder, name):
    records, keys = lines_of(name), SETS[name]
    service = folder.hydrant().start()
    prefix = "/".join("%s=!{partitionKeyFromQuery:%s}" % (key, key) for key in keys) + "/"
    query = "{%s}" % ",".join(f"{key}:(.{path})" for key, path in keys.items())
    streams = {f"{name}-{c.lower()}": c for c in ("GZIP", "UNCOMPRESSED")}
    for stream, compression in streams.items():
        service.create(stream, size_mb=1, interval_s=1, compression=compression, **by(f"{stream}/data/{prefix}", query))
        put_batches(service, stream, records)
    ledgers = service.drained(*streams)
    for stream in streams:
        data, errors = delivered(service, stream)
        parts = [each.content() for _, each in data]
        oracle.same_lines(b"".join(records), b"".join(parts) + b"".join(error["raw"] for error in errors), stream)
        count = 0
        for (path, each), content in zip(data, parts):
            assert content.endswith(b"\n"), f"{each.key} ends within a record"
            for line in content[:-1].split(b"\n"):
                count += 1
                found = json_keys(line, keys.values())
                wanted = "/".join(f"{key}={text}" for key, text in zip(keys, found or []))
                # What is no JSON to Python and a value to jq cannot be judged here.
                assert wanted == path if found else name == "dirty", (each.key, line[:200])
        good = [error for error in errors if json_keys(error["raw"], keys.values()) and not may_fail(error["raw"])]
        assert not good, f"refused with keys: {good[0]}"
        codes = Counter(error["errorCode"] for error in errors)
        assert set(codes) <= {FAILED}, codes
        ledger = ledgers[stream]
        assert ledger["received"] == len(records) and ledger["delivered"] == count, (ledger, count)
        assert ledger["refused"] == len(errors) and ledger["bytes"]["received"] == sum(map(len, records)), ledger
        print(f"  {stream}: {count} in {len(data)} objects of {len({path for path, _ in data})} partitions, {len(errors)} refused")


for each in SETS:
    suite.test(f"{each}: each record once, under its own keys or in an error record")(lambda folder, name=each: conserve(folder, name))


@suite.test("wiki_edits as Parquet: a partitioned dataset to DuckDB and pyarrow")
def hive(folder):
    records = lines_of("wiki_edits")[: None if FULL else 12_000]
    service = folder.hydrant(arguments=["--schemas-dir", str(schemas_for(folder))]).start()
    prefix = "wiki/data/chan=!{partitionKeyFromQuery:c}/ns=!{partitionKeyFromQuery:n}/year=!{timestamp:yyyy}/"
    service.create("wiki", size_mb=64, interval_s=900, **by(prefix, "{c:.channel|ltrimstr(\"#\"),n:.namespace}"), **table("tests", "wiki_edits"))
    put_batches(service, "wiki", records)
    service.flush("wiki")
    ledger = service.drained("wiki")["wiki"]
    assert ledger["delivered"] == ledger["received"] == len(records), ledger
    data, errors = delivered(service, "wiki")
    rows = [json.loads(record) for record in records]
    wanted = Counter((row["channel"], row["namespace"], row["page"], row["delta"]) for row in rows)
    assert not errors and len(data) == len({(row["channel"], row["namespace"]) for row in rows}), len(data)
    lake = folder / "lake"
    for path, each in data:
        file = lake / path / each.key.rsplit("/", 1)[-1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(each.body)
    partitions = pyarrow.schema([("chan", pyarrow.string()), ("ns", pyarrow.string()), ("year", pyarrow.int32())])
    dataset = pyarrow.dataset.dataset(str(lake), format="parquet", partitioning=pyarrow.dataset.partitioning(partitions, flavor="hive"))
    found = dataset.to_table(columns=["channel", "namespace", "page", "delta", "chan", "ns"]).to_pylist()
    assert Counter((row["channel"], row["namespace"], row["page"], row["delta"]) for row in found) == wanted
    assert all("#" + row["chan"] == row["channel"] and row["ns"] == row["namespace"] for row in found)
    few = dataset.to_table(filter=(pyarrow.dataset.field("chan") == "de.wikipedia") & (pyarrow.dataset.field("ns") == "Main"))
    assert few.num_rows == sum(times for (c, n, _, _), times in wanted.items() if (c, n) == ("#de.wikipedia", "Main")) > 0
    sql = f"from read_parquet('{lake}/**/*.parquet', hive_partitioning = true)"
    alien = duckdb.sql(f"select count(*) {sql} where '#' || chan <> channel or ns <> namespace").fetchall()
    count = duckdb.sql(f"select count(*) {sql} where chan = 'de.wikipedia' and ns = 'Main'").fetchall()
    assert (alien, count) == ([(0,)], [(few.num_rows,)]), (alien, count)


@suite.test("github_events by keys of a transform, alone and beside those of a query")
def by_transform(folder):
    records = lines_of("github_events")[: None if FULL else 4_000]
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    arn = "arn:aws:lambda:us-east-1:000000000000:function:enrich"
    function = processor("Lambda", **{"LambdaArn": arn, "Variable.partition": "type", "Variable.arrival": "-", "Variable.redact": "-"})
    kind = "type=!{partitionKeyFromLambda:type}/"
    both = by("both/data/" + kind + "org=!{partitionKeyFromQuery:org}/", "{org:.org.login}", function)
    alone = by("alone/data/" + kind, "{none:.none}")
    alone["ProcessingConfiguration"]["Processors"] = [function]
    for stream, members in (("both", both), ("alone", alone)):
        service.create(stream, size_mb=1, interval_s=1, **members)
        put_batches(service, stream, records)
    put(service, "alone", [b'{"id":"none"}', b'{"id":"empty","type":""}'])
    ledgers = service.drained("both", "alone")
    rows = [json.loads(record) for record in records]
    for stream in ("both", "alone"):
        data, errors = delivered(service, stream)
        found = Counter()
        for path, each in data:
            for line in each.content().splitlines():
                row = json.loads(line)
                found[row["id"]] += 1
                org = "" if stream == "alone" else f"/org={row['org']['login']}"
                assert path == f"type={row['type']}{org}", (each.key, line[:200])
        assert found == Counter(row["id"] for row in rows if stream == "alone" or at(row, "org.login")), stream
        refused_ids = sorted(json.loads(error["raw"])["id"] for error in errors)
        without = sorted(row["id"] for row in rows if not at(row, "org.login"))
        assert refused_ids == (["empty", "none"] if stream == "alone" else without), refused_ids[:9]
        assert {error["errorCode"] for error in errors} == {FAILED}
        ledger = ledgers[stream]
        assert (ledger["delivered"], ledger["refused"]) == (found.total(), len(errors)), ledger
    assert without, "no record is without an organisation"
    texts = {error["errorMessage"] for error in delivered(service, "alone")[1]}
    assert texts == {"partitionKeys values must not be null or empty: type"}, texts


# Processors


@suite.test("objects put together: each part in its partition, a delimiter behind each")
def parts(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant().start()
    split = processor("RecordDeAggregation", SubRecordType="JSON")
    service.create("parts", size_mb=64, interval_s=900, **by("parts/data/" + K, "{k:.k}", split, APPEND))
    records, wanted, keyless, broken = [], defaultdict(list), [], []
    for _ in range(200):
        record = b""
        for _ in range(rng.randrange(1, 30)):
            key = rng.choice(["a", "b", "c/d", "é ü", "", None])
            one = json.dumps({"n": len(wanted), "k": key, "t": "x" * rng.randrange(300)}, ensure_ascii=rng.random() < 0.5).encode()
            record += one + rng.choice([b"", b" ", b"\n"])
            (wanted[f"k={key}"] if key else keyless).append(one)
        if rng.random() < 0.2:
            broken.append(b'{"k":"a",')
            record += broken[-1]
        records.append(record)
    put(service, "parts", records)
    service.flush("parts")
    ledger = service.drained("parts")["parts"]
    data, errors = delivered(service, "parts")
    assert {path: each.content() for path, each in data} == {path: b"".join(one + b"\n" for one in ones) for path, ones in wanted.items()}
    assert len(data) == len(wanted), [each.key for _, each in data]
    found = defaultdict(list)
    for error in errors:
        found[error["errorCode"]].append(error["raw"])
    assert {code: Counter(raws) for code, raws in found.items()} == {
        FAILED: Counter(keyless),
        "DynamicPartitioning.RecordDeAggregationFailed": Counter(broken),
    }, {code: len(raws) for code, raws in found.items()}
    for error in errors:
        is_keyless = error["errorCode"] == FAILED
        assert not is_keyless or "partitionKeys values must not be null or empty" in error["errorMessage"], error
    count = sum(map(len, wanted.values()))
    assert ledger["delivered"] == count and ledger["refused"] == len(errors), ledger
    assert ledger["split"] == count + len(errors) - len(records), ledger


# Cuts


def numbered(numbers, partitions, size=100):
    """Rows with a number and the key that belongs to it."""
    return [b'{"n":%d,"k":"p%d","pad":"%s"}\n' % (n, n % partitions, b"x" * (n * 7 % size)) for n in numbers]


def judge(data, wanted, optional=()):
    """Every number of `wanted` once and of `optional` at most once, each as it was sent and under its key."""
    seen = {}
    for path, each in data:
        content = each.content()
        assert content.endswith(b"\n"), each.key
        for line in content[:-1].split(b"\n"):
            row = json.loads(line)
            assert path == f"k={row['k']}", (each.key, line)
            assert row["n"] not in seen, f"{row['n']} stands in {seen[row['n']]} and in {each.key}"
            seen[row["n"]] = each.key
    missing = [number for number in wanted if number not in seen]
    alien = set(seen) - set(wanted) - set(optional)
    assert not missing and not alien, f"{len(missing)} missing, first {missing[:3]}; {len(alien)} alien, first {list(alien)[:3]}"
    return seen


@suite.test(f"{PARTITIONS} partitions: one object each at a flush, its records in order; deleted, the rest goes out")
def flushed(folder):
    service = folder.hydrant().start()
    service.create("s", size_mb=64, interval_s=900, **by("s/data/" + K, "{k:.k}"))
    sent = 0
    for last in (False, True):
        rows = numbered(range(sent, sent + PARTITIONS * 20), PARTITIONS)
        put(service, "s", rows)
        until("all are seen", lambda: service.ledger("s")["received"] == sent + len(rows))
        before = service.ledger("s")
        assert before["in_flight"] == len(rows), before
        sent += len(rows)
        if last:
            service.firehose().delete_delivery_stream(DeliveryStreamName="s")
            until("the stream is gone", lambda: service.metrics().get("hydrant_deleted_streams_total") == 1)
            assert service.metrics()['hydrant_deleted_streams_records_total{fate="delivered"}'] == sent
        else:
            service.flush("s")
            service.drained("s")
        data, errors = delivered(service, "s")
        assert not errors
        judge(data, range(sent))
        objects = Counter(path for path, _ in data)
        assert len(objects) == PARTITIONS and set(objects.values()) == {2 if last else 1}, objects.most_common(3)
        for _, each in data:
            numbers = [json.loads(line)["n"] for line in each.content()[:-1].split(b"\n")]
            assert numbers == sorted(numbers), each.key
    left = [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    assert not left, left


@suite.test("small partitions are cut at the interval, not by the record; a large one by size")
def counts(folder):
    service, interval_s, size_mb = folder.hydrant().start(), 2, 1
    service.create("s", size_mb=size_mb, interval_s=interval_s, **by("s/data/" + K, "{k:.k}"))
    sent, large, batches = 0, [10**9 + turn for turn in range(40)], []
    for number in large:
        rows = numbered(range(sent, sent + PARTITIONS), PARTITIONS)
        sent += len(rows)
        rows.append(b'{"n":%d,"k":"large","pad":"%s"}\n' % (number, b"y" * 400_000))
        batches.append([{"Data": base64.b64encode(row).decode()} for row in rows])
    producer, began = Http(service.api), time.monotonic()
    for records in batches:
        status, answer = producer.call("PutRecordBatch", {"DeliveryStreamName": "s", "Records": records})
        assert status == 200 and answer["FailedPutCount"] == 0, answer
        time.sleep(0.1)  # load over time, not a synchronisation
    service.drained("s")
    intervals = int((time.monotonic() - began) / interval_s) + 2
    data, errors = delivered(service, "s")
    assert not errors
    judge(data, [*range(sent), *large])
    small = [each for path, each in data if path != "k=large"]
    print(f"  {sent} records of {PARTITIONS} partitions in {len(small)} objects over {intervals} intervals")
    # A record of each partition came 40 times.
    assert len(small) <= PARTITIONS * intervals, (len(small), PARTITIONS, intervals)
    assert len(small) < sent / 2, (len(small), sent)
    sizes = [len(each.body) for path, each in data if path == "k=large"]
    assert 1 < len(sizes) < 40 and max(sizes) >= size_mb << 20, sizes


@suite.test("MaxActivePartitions: records of further partitions are refused while the others go on")
def active(folder):
    service = folder.hydrant().start()
    service.create("s", size_mb=64, interval_s=900, tags={"hydrant:MaxActivePartitions": "5"}, **by("s/data/" + K, "{k:.k}"))
    few, many = numbered(range(100), 5), numbered(range(1000, 1100), 10)
    expected, refusals = Counter(few), Counter()
    for rows in (few, many):
        put(service, "s", rows)
        service.flush("s")
        service.drained("s")
    # Nothing waits by then, so of the second turn the first five partitions pass.
    for row in many:
        (expected if int(json.loads(row)["k"][1:]) < 5 else refusals)[row] += 1
    data, errors = delivered(service, "s")
    assert Counter(line + b"\n" for _, each in data for line in each.content()[:-1].split(b"\n")) == expected
    assert Counter(error["raw"] for error in errors) == refusals
    assert all(error["errorCode"] == FAILED and "5 partitions are active" in error["errorMessage"] for error in errors), errors[0]
    # Others may come once these are gone.
    put(service, "s", list(refusals))
    service.flush("s")
    assert service.drained("s")["s"]["refused"] == len(errors)
    delivered(service, "s")


@suite.test("MaxWaitingMBs: the partitions without records for the longest time are cut early")
def waiting(folder):
    service = folder.hydrant().start()
    service.create("s", size_mb=128, interval_s=900, tags={"hydrant:MaxWaitingMBs": "64"}, **by("s/data/" + K, "{k:.k}"))
    rows = [b'{"n":%d,"k":"p%d","pad":"%s"}\n' % (n, n // 30, b"z" * 950_000) for n in range(150)]
    for first in range(0, len(rows), 4):
        put(service, "s", rows[first : first + 4])
    until("an object without a flush", lambda: delivered(service, "s")[0])
    early = {path for path, _ in delivered(service, "s")[0]}
    assert "k=p4" not in early, early
    service.flush("s")
    service.drained("s")
    data, errors = delivered(service, "s")
    assert not errors
    judge(data, range(150))


@suite.test("without an interval: what is delivered frees its part of the spool and nothing else")
def at_once(folder):
    service = folder.hydrant().start()
    service.create("s", interval_s=0, **by("s/data/" + K, "{k:.k}"))
    each, turns, troubles = 300, 600 if FULL else 150, []

    def produce(number):
        try:
            for turn in range(number, turns, 4):
                put(service, "s", numbered(range(turn * each, (turn + 1) * each), 100))
        except Exception as error:
            troubles.append(error)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not troubles, troubles
    sent = turns * each
    ledger = service.drained("s")["s"]
    data, errors = delivered(service, "s")
    assert not errors and ledger["delivered"] == sent, ledger
    judge(data, range(sent))
    print(f"  {sent} records in {len(data)} objects")
    # The halves free what they delivered while the other one goes on.
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())


@suite.test("a store that is down for a while: records wait in log and spool, and go out once")
def down(folder):
    service = folder.hydrant_with_store().start()
    service.create("s", interval_s=1, **by("s/data/" + K, "{k:.k}"))
    sent = 0

    def more():
        nonlocal sent
        rows = numbered(range(sent, sent + 2000), PARTITIONS)
        put(service, "s", rows)
        sent += len(rows)

    more()
    service.drained("s")
    service.store.kill()
    more()
    until("it is seen", lambda: service.stream("s")["state"] == "retrying")
    for _ in range(3):
        more()
    # What waits survives a restart of either.
    service.kill().start()
    more()
    until("it is seen again", lambda: service.stream("s")["state"] == "retrying")
    assert service.ledger("s")["delivered"] == 2000
    service.store.start()
    service.drained("s")
    data, errors = delivered(service, "s")
    assert not errors
    judge(data, range(sent))
    assert service.stop() == 0


@suite.test(f"{PARTITIONS} partitions under kill -9 and restarts")
def killed(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant()
    service.start()
    service.create("s", interval_s=1, compression="GZIP", **by("s/data/" + K, "{k:.k}"))
    acknowledged, tried, api, stopping, troubles = [], [], [service.api], threading.Event(), []

    def produce(number):
        mine, http, connected, turn = random.Random(suite.args.seed + number), None, None, 0
        while not stopping.is_set():
            if http is None or connected != api[0]:
                connected = api[0]
                http = Http(connected, timeout_s=60)
            # Numbers of one producer: its own digit, then counting on.
            numbers = range(number * 10**8 + turn, number * 10**8 + turn + mine.choice((1, 40, 400)))
            turn += len(numbers)
            tried.extend(numbers)
            records = [{"Data": base64.b64encode(row).decode()} for row in numbered(numbers, PARTITIONS)]
            try:
                status, _, raw = http.request(
                    "POST", "/", json.dumps({"DeliveryStreamName": "s", "Records": records}).encode(), target("PutRecordBatch")
                )
                if status == 200 and json.loads(raw)["FailedPutCount"] == 0:
                    acknowledged.extend(numbers)
                elif status not in (500, 503):
                    troubles.append((status, raw[:300]))
            except Exception:  # the service is being killed
                http.close()
                http = None
                time.sleep(0.05)  # not to spin on a closed port

    threads = [threading.Thread(target=produce, args=(number,), daemon=True) for number in (1, 2)]
    for thread in threads:
        thread.start()
    kills = 40 if FULL else 8
    for turn in range(kills):
        time.sleep(rng.uniform(0.2, 2.5))  # a random moment, not a synchronisation
        if turn % 4 == 3:
            assert service.stop() == 0
        else:
            service.kill()
        service.start()
        api[0] = service.api
    stopping.set()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a producer hangs"
    assert not troubles, troubles[:3]
    service.flush("s")
    ledger = service.drained("s")["s"]
    data, errors = delivered(service, "s")
    assert not errors and acknowledged
    seen = judge(data, acknowledged, tried)
    assert len(seen) == ledger["delivered"] == ledger["received"], (len(seen), ledger)
    print(f"  acknowledged {len(acknowledged)}, kept {len(seen)}, lost 0, doubled 0, {len(data)} objects")
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())


@suite.test("an update of prefix and query: what is in the spool keeps its keys, and nothing is lost")
def updated(folder):
    service = folder.hydrant().start()
    firehose = service.firehose()
    service.create("s", size_mb=64, interval_s=2, **by("s/data/" + K, "{k:.k}"))

    def update(version, prefix, query):
        firehose.update_destination(
            DeliveryStreamName="s",
            CurrentDeliveryStreamVersionId=version,
            DestinationId="destinationId-000000000001",
            ExtendedS3DestinationUpdate={
                "Prefix": prefix,
                "ProcessingConfiguration": {"Enabled": True, "Processors": [extraction(query)]},
            },
        )

    sent = 0
    for version, prefix, query in [
        ("1", "s/data/j=!{partitionKeyFromQuery:j}/", "{j:.k}"),
        ("2", "s/data/!{partitionKeyFromQuery:j}/!{partitionKeyFromQuery:k}/", "{j:.k,k:.n}"),
        (None, None, None),
    ]:
        rows = numbered(range(sent, sent + 300), 50)
        put(service, "s", rows)
        sent += len(rows)
        if version:
            update(version, prefix, query)
    ledger = service.drained("s")["s"]
    assert ledger["delivered"] == ledger["received"] == sent, ledger
    data, errors = delivered(service, "s")
    assert not errors
    seen = set()
    for path, each in data:
        for line in each.content()[:-1].split(b"\n"):
            row = json.loads(line)
            assert path in (f"k={row['k']}", f"j={row['k']}", f"{row['k']}/{row['n']}"), (each.key, line)
            assert row["n"] not in seen, row
            seen.add(row["n"])
    assert seen == set(range(sent)), len(seen)


@suite.test("source backup beside it, a pause, and a forced deletion of what is in log and spool")
def forced(folder):
    service = folder.hydrant().start()
    backup = {
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {
            "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}", "Prefix": "copy/",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        },
    }  # fmt: skip
    service.create("s", size_mb=1, interval_s=900, **by("s/data/" + K, "{k:.k}"), **backup)
    sent = 0

    def more():
        nonlocal sent
        rows = numbered(range(sent, sent + 1000), 50)
        put(service, "s", rows)
        sent += len(rows)

    more()
    service.flush("s")
    assert service.drained("s")["s"]["delivered"] == sent
    service.admin("/streams/s/pause", "POST")
    more()
    status, _ = service.admin("/streams/s/flush", "POST", check=False)
    assert status == 409, status
    service.admin("/streams/s/resume", "POST")
    # One megabyte goes into the spool and waits there, the rest in the log.
    row = b'{"n":%d,"k":"p%d","pad":"' % (10**6, 10**6 % 50) + b"w" * 900_000 + b'"}\n'
    put(service, "s", [row])
    more()
    until("all is backed up", lambda: service.backup_ledger("s").get("delivered") == sent + 1)
    ledger = service.ledger("s")
    assert ledger["received"] == sent + 1 and ledger["delivered"] == 1000 and ledger["in_flight"] == sent + 1 - 1000, ledger
    copies = b"".join(each.content() for each in oracle.objects(service.s3_client(), service.bucket, "copy/"))
    oracle.same_lines(b"".join(numbered(range(sent), 50)) + row, copies, "backup")
    service.firehose().delete_delivery_stream(DeliveryStreamName="s", AllowForceDelete=True)
    until("the stream is gone", lambda: service.metrics().get("hydrant_deleted_streams_total") == 1)
    samples = service.metrics()
    gone = {fate: samples[f'hydrant_deleted_streams_records_total{{fate="{fate}"}}'] for fate in ("received", "delivered", "discarded")}
    assert gone == {"received": sent + 1, "delivered": 1000, "discarded": sent + 1 - 1000}, gone
    # Made again under its name, it meets nothing of the old one.
    service.create("s", size_mb=1, interval_s=900, **by("s/new/" + K, "{k:.k}"))
    put(service, "s", numbered(range(10), 5))
    service.flush("s")
    assert service.drained("s")["s"]["delivered"] == 10
    assert len(oracle.keys(service.s3_client(), service.bucket, "s/new/")) == 5


@suite.test("Parquet in many partitions: a row that does not fit is an error record, the rest stands by its key")
def parquet(folder):
    (folder / "schemas").mkdir()
    (folder / "schemas" / "p.t.sql").write_text("CREATE EXTERNAL TABLE p.t (n bigint, k string) STORED AS PARQUET\n")
    service = folder.hydrant(arguments=["--schemas-dir", str(folder / "schemas")]).start()
    service.create("s", size_mb=64, interval_s=900, **by("s/data/" + K, "{k:.k}"), **table("p", "t"))
    rows = numbered(range(3000), 100)
    bad = [b'{"n":"no number","k":"p%d"}\n' % n for n in range(30)]
    keyless = [b'{"n":1}\n', b"junk\n", b"\n"]
    put(service, "s", rows + bad + keyless)
    service.flush("s")
    ledger = service.drained("s")["s"]
    assert (ledger["delivered"], ledger["refused"]) == (3000, 33), ledger
    seen, errors = set(), defaultdict(list)
    for each in oracle.objects(service.s3_client(), service.bucket, "s/"):
        if each.key.startswith("s/error/"):
            kind = each.key.split("/")[2]
            errors[kind] += [error["raw"] for error in oracle.error_records(each.content(), kind)]
            continue
        path = folder_of(each.key, "s")
        for row in pyarrow.parquet.read_table(io.BytesIO(each.body)).to_pylist():
            assert path == f"k={row['k']}" == f"k=p{row['n'] % 100}", (each.key, row)
            seen.add(row["n"])
    assert seen == set(range(3000))
    assert Counter(errors["format-conversion-failed"]) == Counter(bad) and Counter(errors["partitioning-failed"]) == Counter(keyless)
    assert len(errors) == 2, list(errors)


if __name__ == "__main__":
    suite.main()
