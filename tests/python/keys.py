"""Where objects come to lie: expressions in Prefix and ErrorOutputPrefix, CustomTimeZone, hive-style partitions.

What an expression says is reckoned anew here with Python's `strftime` from the time in the object's name, and that time
is compared with the clock of the test.
"""

import datetime
import json
import re

import duckdb
import pyarrow.dataset
import pyarrow.fs
from botocore.exceptions import ClientError

import oracle
from harness import ROLE, Suite

suite = Suite("keys")
UTC = datetime.timezone.utc
KOLKATA = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
RANDOM = "[0-9A-Za-z]{11}"
CONVERT = {
    "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "hydrant", "TableName": "infer"},
    "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
    "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
}


def put(service, stream, *rows):
    records = [{"Data": row.encode() + b"\n"} for row in rows]
    answer = service.firehose().put_record_batch(DeliveryStreamName=stream, Records=records)
    assert answer["FailedPutCount"] == 0, answer
    service.flush(stream)
    return service.drained(stream)[stream]


def name_of(key, stream, zone, since):
    """Folder and name of a key; the time in the name, which must lie between `since` and now in `zone`."""
    found = re.fullmatch(rf"(.*?)({stream}-1-(\d{{4}}(?:-\d\d){{5}})-{oracle.UUID}(?:\.\w+)?)", key, re.DOTALL)
    assert found, key
    time = datetime.datetime.strptime(found[3], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=zone)
    # The clock may show a fraction that the name leaves out.
    assert since - datetime.timedelta(seconds=1) <= time <= datetime.datetime.now(UTC), (key, since)
    return found[1], time


def is_in(folder, pattern, time):
    """Whether a folder is what `pattern` says: strftime, and a regular expression."""
    expected = time.strftime(pattern)
    assert re.fullmatch(expected, folder), f"{folder} is not {expected}"


@suite.test("expressions in both prefixes, in a time zone")
def expressions(folder):
    service, since = folder.hydrant().start(), datetime.datetime.now(UTC)
    prefix = (
        "t/!{timestamp:yyyy/MM/dd}/h=!{timestamp:HH-mm-ss}/!{timestamp:EEE, d MMMM y 'at' h a}/!{timestamp:XXX z}/"
        "!{firehose:random-string}-!{firehose:random-string}/"
    )
    error = "e/!{firehose:error-output-type}/!{timestamp:yyyy-DDD}/!{firehose:random-string}!{timestamp:''}/x-"
    options = {"prefix": prefix, "ErrorOutputPrefix": error, "CustomTimeZone": "Asia/Calcutta"}
    service.create("s", size_mb=1, interval_s=900, DataFormatConversionConfiguration=CONVERT, **options)
    put(service, "s", '{"n": 1}', "broken", '{"n": 2}')
    ledger = put(service, "s", '{"n": 3}')
    assert (ledger["delivered"], ledger["refused"]) == (3, 1), ledger
    found = oracle.keys(service.s3_client(), service.bucket)
    data = [key for key in found if key.startswith("t/2")]
    assert len(data) == 2 and len(found) == 4, found
    strings = set()
    for key in data:
        place, time = name_of(key, "s", KOLKATA, since)
        hour = time.hour % 12 or 12
        day = f"%a, {time.day} %B %Y at {hour} %p"
        is_in(place, rf"t/%Y/%m/%d/h=%H-%M-%S/{day}/\+05:30 IST/{RANDOM}-{RANDOM}/", time)
        strings.update(place.split("/")[-2].split("-"))
    assert len(strings) == 4, strings
    (failed,) = [key for key in found if key.startswith("e/")]
    place, time = name_of(failed, "s", KOLKATA, since)
    is_in(place, rf"e/format-conversion-failed/%Y-%j/{RANDOM}'/x-", time)
    assert any(key.startswith("t/_schema/s-1-") for key in found), found


@suite.test("time folders without expressions, and where errors go by default")
def defaults(folder):
    service, since = folder.hydrant().start(), datetime.datetime.now(UTC)
    time = "%Y/%m/%d/%H/"
    error = "format-conversion-failed/"
    cases = {
        "none": ({}, time, error + time),
        "prefix": ({"Prefix": "p"}, "p" + time, f"p{error}{time}"),
        "empty": ({"Prefix": "p/", "ErrorOutputPrefix": ""}, "p/" + time, f"p/{error}{time}"),
        "both": ({"Prefix": "p/", "ErrorOutputPrefix": "e/"}, "p/" + time, f"e/{error}{time}"),
        "typed": (
            {"Prefix": "p/", "ErrorOutputPrefix": "e/!{firehose:error-output-type}/"},
            "p/" + time,
            f"e/{error}",
        ),
        "evaluated": (
            {"Prefix": "!{timestamp:'p'}/", "ErrorOutputPrefix": "e/"},
            "p/",
            f"e/{error}{time}",
        ),
        "random": (
            {"Prefix": "!{firehose:random-string}/", "ErrorOutputPrefix": "!{firehose:error-output-type}!{timestamp:yyyy}"},
            RANDOM + "/",
            "format-conversion-failed%Y",
        ),
    }
    s3 = service.s3_client()
    for name, (members, data, errors) in cases.items():
        s3.create_bucket(Bucket=name)
        configuration = {
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{name}",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 900},
            "DataFormatConversionConfiguration": CONVERT,
            **members,
        }
        service.firehose().create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=configuration)
        put(service, name, '{"n": 1}', "broken")
        found = {}
        for key in oracle.keys(s3, name):
            if not key.endswith(".sql"):
                place, at = name_of(key, name, UTC, since)
                found[key.endswith(".parquet")] = (place, at)
        assert len(found) == 2, oracle.keys(s3, name)
        is_in(found[True][0], data, found[True][1])
        is_in(found[False][0], errors, found[False][1])


@suite.test("hive-style partitions are read by DuckDB and pyarrow")
def hive(folder):
    service, since = folder.hydrant().start(), datetime.datetime.now(UTC)
    prefix = (
        "lake/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/"
        "second=!{timestamp:s}/part=!{firehose:random-string}/"
    )
    options = {"prefix": prefix, "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/"}
    service.create("clicks", interval_s=900, DataFormatConversionConfiguration=CONVERT, CustomTimeZone="Asia/Calcutta", **options)
    rows = []
    for run in range(4):
        some = [{"id": 10 * run + n, "page": f"/{n}"} for n in range(3)]
        put(service, "clicks", *map(json.dumps, some))
        rows += some
    # Readers of folders: the objects as files under their keys.
    lake = folder / "files"
    partition_of = {}
    for each in oracle.objects(service.s3_client(), service.bucket, "lake/"):
        path = lake / each.key
        path.parent.mkdir(parents=True)
        path.write_bytes(each.body)
        if each.extension == ".parquet":
            _, time = name_of(each.key, "clicks", KOLKATA, since)
            part = re.search(rf"/part=({RANDOM})/", each.key)[1]
            for row in pyarrow.dataset.dataset(path).to_table(columns=["id"]).to_pylist():
                partition_of[row["id"]] = (time.year, time.month, time.day, time.hour, time.second, part)
    assert len(set(partition_of.values())) == 4, partition_of
    expected = [(row["id"], row["page"], *partition_of[row["id"]]) for row in rows]
    columns = ["year", "month", "day", "hour", "second", "part"]

    files = f"{lake}/lake/**/*.parquet"
    types = "{'year': INT, 'month': INT, 'day': INT, 'hour': INT, 'second': INT, 'part': VARCHAR}"
    table = f"read_parquet('{files}', hive_partitioning = true, hive_types = {types})"
    found = duckdb.sql(f"SELECT id, page, {', '.join(columns)} FROM {table} ORDER BY id").fetchall()
    assert found == expected, found
    of_first = [row for row in expected if row[-1] == expected[0][-1]]
    pruned = duckdb.sql(f"SELECT id FROM {table} WHERE part = '{expected[0][-1]}' ORDER BY id").fetchall()
    assert pruned == [(row[0],) for row in of_first], pruned

    # The declaration of the learnt table lies beside the partitions, and readers leave `_schema` out.
    kinds = pyarrow.schema([(name, pyarrow.int32()) for name in columns[:-1]] + [("part", pyarrow.string())])
    dataset = pyarrow.dataset.dataset(str(lake / "lake"), format="parquet", partitioning=pyarrow.dataset.partitioning(kinds, flavor="hive"))
    assert len(dataset.files) == 4, dataset.files
    rows_found = dataset.to_table(columns=["id", "page", *columns]).sort_by("id").to_pylist()
    assert [tuple(row.values()) for row in rows_found] == expected, rows_found
    pruned = dataset.to_table(filter=pyarrow.dataset.field("part") == expected[0][-1])
    assert pruned.num_rows == 3, pruned


@suite.test("Describe echoes them, and what cannot be evaluated is refused")
def described(folder):
    service = folder.hydrant().start()
    members = {
        "prefix": "y=!{timestamp:yyyy}/!{firehose:random-string}/",
        "ErrorOutputPrefix": "!{firehose:error-output-type}/!{timestamp:MMM}/",
        "CustomTimeZone": "America/New_York",
        "FileExtension": ".jsonl",
    }
    service.create("s", **members)
    stream = service.firehose().describe_delivery_stream(DeliveryStreamName="s")["DeliveryStreamDescription"]
    shown = stream["Destinations"][0]["ExtendedS3DestinationDescription"]
    for name, value in members.items():
        assert shown[{"prefix": "Prefix"}.get(name, name)] == value, shown
    put(service, "s", "row")
    assert all(key.endswith(".jsonl") for key in oracle.keys(service.s3_client(), service.bucket))

    start = "The supplied prefix(es) do not satisfy the following constraint: "
    for more, message in [
        ({"prefix": "!{timestamp:yyyyMMJJ}/"}, start + "Invalid conversion character used in the value of the expression in Prefix"),
        ({"prefix": "!{timestamp:MMMMMM}/"}, start + "Invalid conversion character used in the value of the expression in Prefix"),
        ({"prefix": "!{Timestamp:yyyy}/"}, start + "Namespace to the left of colon (Timestamp) is an invalid keyword!"),
        (
            {"prefix": "!{timestamp:yyyy}/", "ErrorOutputPrefix": ""},
            start + "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        ({"prefix": "a" * 500 + "!{timestamp:EEEE dd}"}, "ok"),
        ({"prefix": "a" * 501 + "!{timestamp:EEEE dd}"}, start + "Length of evaluated prefix cannot be greater than 512"),
        (
            {"CustomTimeZone": "Asia/Kolkata"},
            "Provided custom time zone is not supported. Custom time zones are limited to UTC and non-3-letter IANA time zones.",
        ),
    ]:
        try:
            service.create("t", **more)
            found = "ok"
            service.firehose().delete_delivery_stream(DeliveryStreamName="t")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidArgumentException", error
            found = error.response["Error"]["Message"]
        assert found == message, (more, found)


if __name__ == "__main__":
    suite.main()
