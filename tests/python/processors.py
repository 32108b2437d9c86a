"""Decompression, message extraction, de-aggregation and delimiters, over boto3: what is delivered and what ends in the
error area is compared byte for byte, and the ledger must add up with every part counted."""

import collections
import gzip
import io
import json
import random
import zlib

import oracle
import pyarrow.parquet
from botocore.exceptions import ClientError
from harness import ROLE, ROOT, Suite, until

suite = Suite("processors")
CONTROL = "CWL CONTROL MESSAGE: Checking health of destination Firehose."
ENRICH = "arn:aws:lambda:us-east-1:000000000000:function:enrich"


def processor(kind, **parameters):
    return {
        "Type": kind,
        "Parameters": [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()],
    }


DECOMPRESS = processor("Decompression", CompressionFormat="GZIP")
EXTRACT = processor("CloudWatchLogProcessing", DataMessageExtraction="true")
JSON_PARTS = processor("RecordDeAggregation", SubRecordType="JSON")
APPEND = {"Type": "AppendDelimiterToRecord"}


def processing(*processors):
    return {"ProcessingConfiguration": {"Enabled": True, "Processors": list(processors)}}


def conversion():
    return {
        "DataFormatConversionConfiguration": {
            "SchemaConfiguration": {"DatabaseName": "hydrant", "TableName": "infer", "RoleARN": ROLE},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        }
    }


def envelope(messages, kind="DATA_MESSAGE", group="/aws/lambda/f"):
    """One document as CloudWatch Logs sends it."""
    events = [{"id": f"{n:056}", "timestamp": 1432826855000 + n, "message": message} for n, message in enumerate(messages)]
    names = {"owner": "123456789012", "logGroup": group, "logStream": "s", "subscriptionFilters": ["f"]}
    if kind == "CONTROL_MESSAGE":
        names = {"owner": "CloudwatchLogs", "logGroup": "", "logStream": "", "subscriptionFilters": []}
    return json.dumps({"messageType": kind, **names, "logEvents": events}, ensure_ascii=False).encode()


def packed(messages, **more):
    return gzip.compress(envelope(messages, **more), compresslevel=6)


def bomb(mib):
    """Gzip of so many MiB of spaces."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    space = b" " * (1 << 20)
    return b"".join([deflate.compress(space) for _ in range(mib)] + [deflate.flush()])


def subscribe(service, stream, records):
    """Puts as a subscription does, in batches; every record must be taken."""
    firehose = service.firehose()
    batch, size = [], 0
    for record in [*records, None]:
        if record is None or len(batch) == 500 or size + len(record) > 4 << 20:
            if batch:
                answer = firehose.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": each} for each in batch])
                assert answer["FailedPutCount"] == 0
            batch, size = [], 0
        if record is not None:
            batch.append(record)
            size += len(record)


def delivered(service, stream, records):
    """Puts, flushes, waits; returns (data objects, error records by kind, ledger)."""
    subscribe(service, stream, records)
    service.flush(stream)
    return outcome(service, stream, records)


def outcome(service, stream, records):
    ledger = service.drained(stream)[stream]
    errors = collections.defaultdict(list)
    for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/error/"):
        kind = each.key.split("/")[2]
        errors[kind] += oracle.error_records(each.content(), kind)
    data = [each for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/data/") if "_schema" not in each.key]
    assert ledger["received"] == len(records), ledger
    assert ledger["bytes"]["received"] == sum(map(len, records)), ledger
    assert ledger["in_flight"] == ledger["discarded"] == 0, ledger
    return data, errors, ledger


def fates(ledger, **wanted):
    found = {name: ledger[name] for name in ("delivered", "refused", "dropped", "split")}
    assert found == {**dict.fromkeys(found, 0), **wanted}, ledger


def content(data):
    return b"".join(each.content() for each in data)


def raws(errors, *kinds):
    assert set(errors) == set(kinds), dict(errors)
    return [[record["raw"] for record in errors[kind]] for kind in kinds]


GARBAGE = [
    b"",
    b"not gzip at all",
    envelope(["plain JSON"]),
    packed(["cut off"])[:-5],
    packed(["damaged"])[:-8] + b"\0" * 8,
    packed(["followed"]) + b"tail",
    gzip.compress(b"a vended log line\n"),
    gzip.compress(b'{"messageType":"OTHER","logEvents":[]}'),
    gzip.compress(b""),
]


@suite.test("a subscription with message extraction: messages one a line, control messages dropped, the rest refused")
def extraction(folder):
    service = folder.hydrant().start()
    service.create("cwl", interval_s=900, size_mb=64, **processing(DECOMPRESS, EXTRACT))
    messages = ["one", "two\nlines", "é „quoted“ \\ \" \u0001", "", "REPORT RequestId: 1\tDuration: 2 ms\n"]
    two = packed(["a"]) + packed(["b", "c"])
    bombs = [bomb(17), bomb(900)]
    assert len(bombs[1]) < 1_024_000
    good = [packed(messages), two, packed(["x"] * 5000)]
    dropped = [packed([CONTROL], kind="CONTROL_MESSAGE"), packed([])]
    records = [good[0], GARBAGE[0], dropped[0], *GARBAGE[1:5], good[1], bombs[0], *GARBAGE[5:], good[2], bombs[1], dropped[1]]
    data, errors, ledger = delivered(service, "cwl", records)
    lines = b"".join(f"{message}\n".encode() for message in [*messages, "a", "b", "c", *["x"] * 5000])
    assert content(data) == lines, content(data)[:200]
    wanted = [record for record in records if record not in good + dropped]
    assert raws(errors, "decompression-failed") == [wanted]
    codes = {record["errorCode"] for record in errors["decompression-failed"]}
    assert codes == {"Decompression.InvalidGzip", "Decompression.InvalidPayload", "Decompression.TooLong"}, codes
    fates(ledger, delivered=3, refused=len(wanted), dropped=2)
    assert ledger["bytes"]["delivered"] == sum(map(len, good)) and ledger["bytes"]["dropped"] == sum(map(len, dropped))
    # A record that expands without end costs no more than the bound.
    before = service.peak_bytes()
    subscribe(service, "cwl", [bombs[0]] * 100)
    service.flush("cwl")
    service.drained("cwl")
    assert service.peak_bytes() < before + (100 << 20), (before, service.peak_bytes())


@suite.test("without extraction the documents pass as they are, control messages too")
def whole(folder):
    service = folder.hydrant().start()
    service.create("docs", interval_s=900, size_mb=64, compression="GZIP", **processing(APPEND, DECOMPRESS))
    documents = [envelope(["m", "n"]), envelope([CONTROL], kind="CONTROL_MESSAGE"), envelope([])]
    records = [gzip.compress(each) for each in documents] + GARBAGE
    data, errors, ledger = delivered(service, "docs", records)
    assert content(data) == b"".join(each + b"\n" for each in documents)
    assert raws(errors, "decompression-failed") == [GARBAGE]
    fates(ledger, delivered=3, refused=len(GARBAGE))
    description = service.firehose().describe_delivery_stream(DeliveryStreamName="docs")["DeliveryStreamDescription"]
    echoed = description["Destinations"][0]["ExtendedS3DestinationDescription"]["ProcessingConfiguration"]
    assert echoed == {"Enabled": True, "Processors": [{**APPEND, "Parameters": []}, DECOMPRESS]}, echoed


def rows(data):
    return [row for each in data for row in pyarrow.parquet.read_table(io.BytesIO(each.body)).to_pylist()]


@suite.test("messages as Parquet: a record that fails behind the decompression is written as it came")
def parquet(folder):
    service = folder.hydrant().start()
    good, bad = packed(['{"n":1}', '{"n":2}\n']), packed(['{"n":3}', "no JSON"])
    records = [good, bad, packed([CONTROL], kind="CONTROL_MESSAGE"), b"junk"]
    # Without de-aggregation a record stands and falls as one.
    service.create("rows", interval_s=900, size_mb=64, **processing(DECOMPRESS, EXTRACT, APPEND), **conversion())
    data, errors, ledger = delivered(service, "rows", records)
    assert sorted(row["n"] for row in rows(data)) == [1, 2], rows(data)
    assert raws(errors, "decompression-failed", "format-conversion-failed") == [[b"junk"], [bad]]
    fates(ledger, delivered=1, refused=2, dropped=1)
    # With it each message is a record of its own.
    service.create("parts", interval_s=900, size_mb=64, **processing(DECOMPRESS, EXTRACT, JSON_PARTS), **conversion())
    data, errors, ledger = delivered(service, "parts", records)
    assert sorted(row["n"] for row in rows(data)) == [1, 2, 3], rows(data)
    assert raws(errors, "decompression-failed", "partitioning-failed") == [[b"junk"], [bad]]
    fates(ledger, delivered=3, refused=2, dropped=1, split=2)


@suite.test("parts that fail behind the decompression have one error record a record")
def one_line_a_record(folder):
    service = folder.hydrant().start()
    lines = processor("RecordDeAggregation", SubRecordType="DELIMITED", Delimiter="Cg==")
    service.create("cwl", interval_s=900, size_mb=64, **processing(DECOMPRESS, EXTRACT, lines), **conversion())
    bad = packed(['{"n":1}', *["[[" + "x" * 50] * 1000])
    data, errors, ledger = delivered(service, "cwl", [bad, packed(['{"n":1}'])])
    assert sorted(row["n"] for row in rows(data)) == [1, 1]
    assert raws(errors, "format-conversion-failed") == [[bad]]
    fates(ledger, delivered=2, refused=1000, split=1000)


@suite.test("objects put together at random: parts delivered, what is no object refused from there on")
def json_parts(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant().start()
    service.create("json", interval_s=900, size_mb=64, **processing(JSON_PARTS, APPEND))
    records, wanted, refused, size = [], [], [], 0
    while size < 3_000_000:
        record = b""
        for _ in range(rng.choice([1, 1, 2, 3, 50, 3000])):
            text = "x}{\"\\é" * rng.randrange(3) + rng.randbytes(rng.randrange(20)).hex()
            one = json.dumps({"n": len(wanted), "t": text, "l": [{}, [None]]}, ensure_ascii=rng.random() < 0.5).encode()
            if len(record) + len(one) > 900_000:
                break
            record += one
            wanted.append(one)
            record += rng.choice([b"", b"", b"\n", b" \r\n\t"])
        if rng.random() < 0.2:
            rest = rng.choice([b'{"a":', b"[{}]{}", b"\xff", b'{"a":"\xff"}', b"5", b'{"a":1,}', b'{"a":"' + b"y" * 50_000])
            record += rest
            refused.append(rest)
        records.append(record)
        size += len(record)
    for whole in (b"", b" \n", b"[1]", b"{" * 250_000):
        records.append(whole)
        refused.append(whole)
    long = b'{"long":"' + b"z" * 250_000 + b'"}'
    records.append(long)
    wanted.append(long)
    data, errors, ledger = delivered(service, "json", records)
    assert content(data) == b"".join(each + b"\n" for each in wanted)
    assert raws(errors, "partitioning-failed") == [refused]
    assert {record["errorCode"] for record in errors["partitioning-failed"]} == {"DynamicPartitioning.RecordDeAggregationFailed"}
    fates(ledger, delivered=len(wanted), refused=len(refused), split=len(wanted) + len(refused) - len(records))


@suite.test("pieces between delimiters, joined by another one, over a kill")
def delimited(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant().start()
    split = processor("RecordDeAggregation", SubRecordType="DELIMITED", Delimiter="IyMjIw==")
    append = processor("AppendDelimiterToRecord", Delimiter="|\\t\\\\")
    service.create("csv", interval_s=900, size_mb=64, compression="GZIP", **processing(split, append))
    records, pieces = [], []
    for _ in range(300):
        texts = [b"".join(rng.choices([b"a", b"#", b"##", b"\n", b"\xff", b"long" * 100], k=rng.randrange(5))) for _ in range(rng.randrange(1, 30))]
        records.append(b"####".join(texts))
        found = [piece for piece in records[-1].split(b"####") if piece]
        pieces += found or [b""]
    subscribe(service, "csv", records)
    before = service.ledger("csv")
    assert before["in_flight"] == before["received"] == len(records) and before["split"] == 0
    service.kill().start()
    service.flush("csv")
    data, errors, ledger = outcome(service, "csv", records)
    assert content(data) == b"".join(piece + b"|\t\\" for piece in pieces)
    raws(errors)
    fates(ledger, delivered=len(pieces), split=len(pieces) - len(records))
    # The ledger of a stream that is gone adds up as well.
    service.kill().start()
    assert service.ledger("csv") == ledger
    service.firehose().delete_delivery_stream(DeliveryStreamName="csv")
    until("the stream is gone", lambda: service.metrics().get("hydrant_deleted_streams_total") == 1)
    samples = service.metrics()
    gone = lambda fate: samples[f'hydrant_deleted_streams_records_total{{fate="{fate}"}}']
    assert gone("received") + samples["hydrant_deleted_streams_split_records_total"] == gone("delivered") == len(pieces)


@suite.test("a transform gets parts, and its verdicts are about parts")
def transform(folder):
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    function = processor("Lambda", **{"LambdaArn": ENRICH, "Variable.arrival": "-"})
    lines = processor("RecordDeAggregation", SubRecordType="DELIMITED", Delimiter="Cg==")
    service.create("events", interval_s=900, size_mb=64, **processing(function, lines))
    records = [
        b'{"a":1}\n{"a":2,"level":"debug"}\nno JSON\n{"a":3}\n',
        b'{"a":4,"level":"debug"}\n',
        b"bad",
        b'{"a":5}',
    ]
    data, errors, ledger = delivered(service, "events", records)
    found = [json.loads(line)["a"] for line in content(data).splitlines()]
    assert found == [1, 3, 5], content(data)
    assert raws(errors, "processing-failed") == [[b"no JSON", b"bad"]]
    fates(ledger, delivered=3, refused=2, dropped=2, split=3)
    # The first part stands for the bytes of its record.
    assert ledger["bytes"]["delivered"] == len(records[0]) + len(records[3]), ledger
    assert ledger["bytes"]["dropped"] == len(records[1]) and ledger["bytes"]["refused"] == len(records[2]), ledger


@suite.test("strict: de-aggregation needs partitioning, and a decompressing stream takes subscriptions alone")
def strict(folder):
    service = folder.hydrant_with_store(compatibility="strict").start()
    firehose = service.firehose()
    try:
        service.create("no", size_mb=64, interval_s=60, **processing(JSON_PARTS))
        raise AssertionError("taken")
    except ClientError as error:
        refusal = error.response["Error"]
    assert refusal["Code"] == "InvalidArgumentException" and refusal["Message"] == (
        "class com.amazonaws.services.firehose.internal.model.RecordDeAggregationProcessor can only be present when "
        "Dynamic Partitioning is enabled."
    ), refusal
    service.create("cwl", interval_s=900, size_mb=64, **processing(DECOMPRESS, EXTRACT))
    good = packed(["m"])
    for batch in ([b"plain"], [good, b'{"a":1}'], [gzip.compress(b"a vended line\n")], [b""]):
        try:
            firehose.put_record_batch(DeliveryStreamName="cwl", Records=[{"Data": each} for each in batch])
            raise AssertionError(f"taken: {batch}")
        except firehose.exceptions.InvalidSourceException as error:
            assert error.response["Error"]["Message"] == (
                "Put to Firehose failed for AccountId: 000000000000, FirehoseName: cwl because the request is not "
                "originating from allowed source types."
            ), error.response
    data, errors, ledger = delivered(service, "cwl", [good, packed([CONTROL], kind="CONTROL_MESSAGE")])
    assert content(data) == b"m\n" and not errors
    fates(ledger, delivered=1, dropped=1)


if __name__ == "__main__":
    suite.main()
