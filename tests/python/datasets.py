"""Every recorded data set through the service and back: byte for byte without conversion, value for value as Parquet.

The sets lie in HYDRANT_TEST_DATA. `check_parquet.py` holds the judges of the Parquet values; `tests/schemas` the tables.
"""

import base64
import gzip
import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections import Counter

import pyarrow.parquet

import oracle
from harness import ROLE, ROOT, Http, Suite, data_file, target, until

suite = Suite("datasets")
SETS = ("web_access", "wiki_edits", "gps_telemetry", "cloudtrail", "github_events", "dirty")
SCHEMAS = ROOT / "tests" / "schemas"


def lines_of(name):
    """The rows of a set, each with its terminator, as bytes."""
    content = gzip.decompress(data_file(name).read_bytes())
    assert content.endswith(b"\n")
    return [line + b"\n" for line in content[:-1].split(b"\n")]


def batches(records):
    """At most 500 records and 4 MiB each."""
    batch, size = [], 0
    for record in records:
        if len(batch) == 500 or size + len(record) > 4 * 1024 * 1024:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def put_batches(service, stream, records):
    """PutRecordBatch with the raw bytes of each line; a throttled request is sent again, as SDKs do."""
    http, sent = Http(service.api), 0
    for batch in batches(records):
        body = json.dumps({"DeliveryStreamName": stream, "Records": [{"Data": base64.b64encode(r).decode()} for r in batch]}).encode()
        while True:
            status, _, raw = http.request("POST", "/", body, target("PutRecordBatch"))
            answer = json.loads(raw)
            if status == 200:
                break
            assert (status, answer["__type"]) == (500, "ServiceUnavailableException"), (status, raw[:400])
        assert answer["FailedPutCount"] == 0 and len(answer["RequestResponses"]) == len(batch), raw[:400]
        sent += len(batch)
    http.close()
    return sent, 0


def post_lines(service, stream, records):
    """The line endpoint, in bodies of some MiB, every second one compressed."""
    http, accepted, blank = Http(service.api), 0, 0
    group, turn = [], itertools.count()

    def post():
        nonlocal accepted, blank
        body, headers = b"".join(group), {}
        if next(turn) % 2:
            body, headers = gzip.compress(body, 1), {"Content-Encoding": "gzip"}
        while True:
            status, _, raw = http.request("POST", f"/streams/{stream}/records", body, headers)
            if status == 200:
                break
            assert status in (500, 503), (status, raw[:400])
        answer = json.loads(raw)
        assert answer["failed"] == [], raw[:400]
        accepted += answer["accepted"]
        blank += answer["blank"]

    for record in records:
        group.append(record)
        if len(group) == 3000:
            post()
            group = []
    if group:
        post()
    http.close()
    return accepted, blank


def is_blank(line):
    return not line.strip(b"\r\n")


def conserve(folder, name):
    records = lines_of(name)
    service = folder.hydrant().start()
    ways = []
    for compression in ("GZIP", "UNCOMPRESSED"):
        for entrance, send in (("batch", put_batches), ("lines", post_lines)):
            stream = f"{name}-{entrance}-{compression.lower()}"
            service.create(stream, size_mb=2, interval_s=1, compression=compression)
            ways.append((stream, entrance, send))
    results, troubles = {}, []

    def work(stream, send):
        try:
            results[stream] = send(service, stream, records)
        except Exception as error:
            troubles.append((stream, error))

    threads = [threading.Thread(target=work, args=(stream, send)) for stream, _, send in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not troubles, troubles
    ledgers = service.drained(*(stream for stream, _, _ in ways))
    s3 = service.s3_client()
    for stream, entrance, _ in ways:
        accepted, blank = results[stream]
        wanted = records if entrance == "batch" else [record for record in records if not is_blank(record)]
        assert accepted == len(wanted) and accepted + blank == len(records), (stream, accepted, blank, len(wanted), len(records))
        found = list(oracle.objects(s3, service.bucket, f"{stream}/"))
        for each in found:
            oracle.assert_key(each.key, f"{stream}/data/", stream)
        oracle.same_lines(b"".join(wanted), b"".join(each.content() for each in found), stream)
        ledger, size = ledgers[stream], sum(map(len, wanted))
        assert ledger["received"] == ledger["delivered"] == len(wanted), (stream, ledger)
        assert ledger["bytes"]["delivered"] == size, (stream, ledger, size)
    print(f"  {name}: {len(records)} records, 4 ways, every byte in its object")


for each in SETS:
    suite.test(f"{each}: conserved byte for byte, GZIP and none, PutRecordBatch and lines")(lambda folder, name=each: conserve(folder, name))


# Parquet


def convert_stream(service, stream, table, **options):
    service.create(
        stream,
        size_mb=options.pop("size_mb", 4),
        interval_s=1,
        DataFormatConversionConfiguration={
            "Enabled": True,
            "SchemaConfiguration": {"DatabaseName": "tests", "TableName": table, "RoleARN": ROLE},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": options.pop("openx", {})}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        },
        **options,
    )


def schemas_for(folder):
    """A schemas folder of this test: the tables of tests/schemas, named `tests.NAME.sql`."""
    (folder / "schemas").mkdir()
    for path in SCHEMAS.glob("*.sql"):
        shutil.copy(path, folder / "schemas" / path.name)
    return folder / "schemas"


def to_parquet(folder, name, records, table=None):
    """Sends `records` to a converting stream; returns the Parquet files' paths, the error records and the ledger."""
    schemas = schemas_for(folder)
    if table:
        (schemas / f"tests.{name}.sql").write_text(table)
    service = folder.hydrant(arguments=["--schemas-dir", str(schemas)]).start()
    convert_stream(service, "table", name)
    put_batches(service, "table", records)
    ledger = service.drained("table")["table"]
    files, errors = [], []
    for each in oracle.objects(service.s3_client(), service.bucket, "table/"):
        if each.key.startswith("table/data/"):
            assert each.extension == ".parquet", each.key
            oracle.assert_key(each.key, "table/data/", "table")
            path = folder / f"{len(files):04}.parquet"
            path.write_bytes(each.body)
            files.append(path)
        else:
            assert each.key.startswith("table/error/format-conversion-failed/"), each.key
            errors += oracle.error_records(each.content(), "format-conversion-failed")
    assert ledger["received"] == len(records) and ledger["refused"] == len(errors), (ledger, len(records), len(errors))
    assert ledger["delivered"] == len(records) - len(errors), ledger
    return files, errors, ledger


def check_parquet(folder, files, records, schema, *options):
    """The judge of values, in a process of its own; see there."""
    (folder / "input.ndjson").write_bytes(b"".join(records))
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "python" / "check_parquet.py", "--schema", schema, "--input", folder / "input.ndjson", *options, *files],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    return done.stdout.splitlines()[-1]


def values_equal(folder, name):
    records = lines_of(name)
    files, errors, _ = to_parquet(folder, name, records)
    assert not errors, f"{len(errors)} refused, first: {errors[0]}"
    verdict = check_parquet(folder, files, records, SCHEMAS / f"tests.{name}.sql")
    print(f"  {name}: {verdict} in {len(files)} files, by pyarrow, DuckDB and Polars")


for each in ("wiki_edits", "web_access", "gps_telemetry"):
    suite.test(f"{each}: as Parquet, every value equal")(lambda folder, name=each: values_equal(folder, name))


DIRTY_TABLE = """CREATE EXTERNAL TABLE tests.dirty (
  tag string, class string, type string, device string, mag double, lat double, lon double, mmsi bigint, eventid int
) STORED AS PARQUET
"""


def tagged(number, record):
    """The record with a first member `tag`, where it can have one: broken JSON stays broken in the same place."""
    rest = record.lstrip(b" \t\r\n")
    if not rest.startswith(b"{"):
        return record
    before = record[: len(record) - len(rest)]
    comma = b"" if rest[1:].lstrip(b" \t\r\n").startswith(b"}") else b","
    return before + b'{"tag":"%d"' % number + comma + rest[1:]


def further_objects(record):
    """How many JSON objects follow the first one in a record."""
    text, decoder, count = record.decode("utf-8", errors="replace").strip(), json.JSONDecoder(), 0
    while text:
        try:
            _, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            break
        text, count = text[end:].lstrip(), count + 1
    return max(0, count - 1)


def dirty_to_parquet(folder, records, number_of):
    """Sends `records`; the rows' tags and the error records together must be exactly them. `number_of`: record to tag.
    Then every row's values, and which records are refused, must be as the rules say."""
    files, errors, _ = to_parquet(folder, "dirty", records, table=DIRTY_TABLE)
    rows = Counter()
    for path in files:
        rows.update(pyarrow.parquet.read_table(path, columns=["tag"])["tag"].to_pylist())
    refused = Counter(error["raw"] for error in errors)
    alien = refused - Counter(records)
    assert not alien, f"error records of bytes never sent, or too many of them: {list(alien)[:3]}"
    passed = Counter(records) - refused
    untagged = rows.pop(None, 0)
    wanted = Counter(number_of[record] for record in passed if record in number_of)
    assert rows == wanted, f"missing {list((wanted - rows).items())[:3]}, too many {list((rows - wanted).items())[:3]}"
    without = sum(times for record, times in passed.items() if record not in number_of)
    more = sum(further_objects(record) * times for record, times in passed.items())
    assert untagged == without + more, f"{untagged} rows without a tag; {without} records without one, {more} further objects"
    for record in passed:
        assert further_objects(record) or is_object(record), f"became a row and is no JSON object: {record[:200]}"
    check_parquet(folder, files, records, folder / "schemas" / "tests.dirty.sql", "--may-refuse", "--refused-out", folder / "refused")
    by_rules = Counter(records[int(number) - 1] for number in (folder / "refused").read_text().split() if int(number) <= len(records))
    assert refused == by_rules, f"refused but good: {list(refused - by_rules)[:3]}; good but refused by the rules: {list(by_rules - refused)[:3]}"
    print(f"  {len(records)} records: {passed.total()} in rows, {refused.total()} in error records, none in both")


def is_object(record):
    try:
        return isinstance(json.loads(record), dict)
    except (ValueError, RecursionError):
        return False


@suite.test("dirty: as Parquet, each tagged record a row or an error record")
def tagged_to_parquet(folder):
    records = [tagged(number, record) for number, record in enumerate(lines_of("dirty"))]
    numbers = {record: str(n) for n, record in enumerate(records) if record.lstrip(b" \t\r\n").startswith(b'{"tag"')}
    dirty_to_parquet(folder, records, numbers)


@suite.test("dirty: as Parquet, raw as it is")
def raw_to_parquet(folder):
    dirty_to_parquet(folder, lines_of("dirty"), {})


if __name__ == "__main__":
    suite.main()
