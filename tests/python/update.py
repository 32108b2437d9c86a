"""UpdateDestination through real clients: what Describe echoes after it, what a running stream does with it, listed
streams, and kill -9 while definitions change under load.
"""

import base64
import copy
import json
import random
import re
import subprocess
import threading
import time
from collections import Counter

import crash
import oracle
from harness import ACCOUNT, FULL, ROLE, ROOT, Http, Suite, until

suite = Suite("update")
ENRICH = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:enrich"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
DESTINATION = "destinationId-000000000001"


def describe(firehose, name):
    return firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]


def shown(firehose, name):
    return describe(firehose, name)["Destinations"][0]["ExtendedS3DestinationDescription"]


def update(firehose, name, kind="ExtendedS3DestinationUpdate", version=None, **members):
    version = version or describe(firehose, name)["VersionId"]
    return firehose.update_destination(
        DeliveryStreamName=name, CurrentDeliveryStreamVersionId=version, DestinationId=DESTINATION, **{kind: members}
    )


def conversion(**schema):
    return {
        "Enabled": True,
        "SchemaConfiguration": {"DatabaseName": "db", "TableName": "t", "RoleARN": ROLE, **schema},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {"Compression": "GZIP"}}},
    }


def processing(arn=ENRICH, **parameters):
    parameters = [{"ParameterName": name, "ParameterValue": value} for name, value in {"LambdaArn": arn, **parameters}.items()]
    return {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": parameters}]}


def described_processing(arn=ENRICH, retries="3"):
    parameters = {"LambdaArn": arn, "NumberOfRetries": retries, "RoleArn": ROLE, "BufferSizeInMBs": "1", "BufferIntervalInSeconds": "60"}
    return {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": [{"ParameterName": n, "ParameterValue": v} for n, v in parameters.items()]}]}


def converting(**changes):
    """The described conversion with members put over it, two levels deep."""
    whole = conversion()
    for name, value in changes.items():
        whole[name] = {**whole[name], **value} if name == "SchemaConfiguration" else value
    return {"DataFormatConversionConfiguration": whole}


# What is created, what is updated, and what Describe shows otherwise than before.
CONFIGURATIONS = {
    "prefixes": ({"Prefix": "a/"}, {"Prefix": "b/", "ErrorOutputPrefix": "e/"}, {"Prefix": "b/", "ErrorOutputPrefix": "e/"}),
    "expressions": (
        {},
        {"Prefix": "y=!{timestamp:yyyy}/", "ErrorOutputPrefix": "!{firehose:error-output-type}/", "CustomTimeZone": "Asia/Tokyo"},
        {"Prefix": "y=!{timestamp:yyyy}/", "ErrorOutputPrefix": "!{firehose:error-output-type}/", "CustomTimeZone": "Asia/Tokyo"},
    ),
    "hints": (
        {"BufferingHints": {"SizeInMBs": 7, "IntervalInSeconds": 60}},
        {"BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 0}},
        {"BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 0}},
    ),
    "compression": ({"CompressionFormat": "GZIP"}, {"CompressionFormat": "HADOOP_SNAPPY"}, {"CompressionFormat": "HADOOP_SNAPPY"}),
    "encryption": (
        {},
        {"EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}}},
        {"EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}}},
    ),
    "logging": (
        {"CloudWatchLoggingOptions": {"Enabled": False, "LogGroupName": "g", "LogStreamName": "s"}},
        {"CloudWatchLoggingOptions": {"LogGroupName": "h"}},
        {"CloudWatchLoggingOptions": {"LogGroupName": "h"}},
    ),
    "names": ({}, {"FileExtension": ".x", "CustomTimeZone": "UTC"}, {"FileExtension": ".x", "CustomTimeZone": "UTC"}),
    "target": (
        {},
        {"BucketARN": "arn:aws:s3:::elsewhere", "RoleARN": ROLE + "2"},
        {"BucketARN": "arn:aws:s3:::elsewhere", "RoleARN": ROLE + "2"},
    ),
    "processors": ({}, {"ProcessingConfiguration": processing()}, {"ProcessingConfiguration": described_processing()}),
    "other processors": (
        {"ProcessingConfiguration": processing(NumberOfRetries="1")},
        {"ProcessingConfiguration": processing(ENRICH + ":2")},
        {"ProcessingConfiguration": described_processing(ENRICH + ":2")},
    ),
    "no processors": (
        {"ProcessingConfiguration": processing()},
        {"ProcessingConfiguration": {"Enabled": False, "Processors": []}},
        {"ProcessingConfiguration": {"Enabled": False, "Processors": []}},
    ),
    "conversion": (
        {},
        {"DataFormatConversionConfiguration": conversion()},
        {**converting(), "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 300}},
    ),
    "schema": (
        {"DataFormatConversionConfiguration": conversion(Region="eu-west-1")},
        {"DataFormatConversionConfiguration": {"SchemaConfiguration": {"TableName": "u"}}},
        converting(SchemaConfiguration={"TableName": "u", "Region": "eu-west-1"}),
    ),
    "serializer": (
        {"DataFormatConversionConfiguration": conversion()},
        {"DataFormatConversionConfiguration": {"OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {"WriterVersion": "V2"}}}}},
        converting(OutputFormatConfiguration={"Serializer": {"ParquetSerDe": {"WriterVersion": "V2"}}}),
    ),
    "conversion off": (
        {"DataFormatConversionConfiguration": conversion()},
        {"DataFormatConversionConfiguration": {"Enabled": False}, "CompressionFormat": "GZIP"},
        {**converting(Enabled=False), "CompressionFormat": "GZIP", "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300}},
    ),
    "backup": (
        {"S3BackupConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup", "Prefix": "b/"}},
        {"S3BackupUpdate": {"Prefix": "c/", "CompressionFormat": "GZIP"}},
        {
            "S3BackupDescription": {
                "RoleARN": ROLE,
                "BucketARN": "arn:aws:s3:::backup",
                "Prefix": "c/",
                "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
                "CompressionFormat": "GZIP",
                "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
                "CloudWatchLoggingOptions": {"Enabled": False},
            }
        },
    ),
}


@suite.test("boto3 updates each configuration, and Describe echoes it")
def echoed(folder):
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    firehose = service.firehose()
    bare = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}"}
    for number, (what, (created, members, changes)) in enumerate(CONFIGURATIONS.items()):
        name = f"s-{number}"
        firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration={**bare, **created})
        before = describe(firehose, name)
        assert before["VersionId"] == "1" and "LastUpdateTimestamp" not in before, what
        expected = copy.deepcopy(before)
        answer = update(firehose, name, **members)
        assert set(answer) == {"ResponseMetadata"}, (what, answer)
        after = describe(firehose, name)
        assert after.pop("LastUpdateTimestamp") >= after["CreateTimestamp"], what
        expected["VersionId"] = "2"
        for shape, found in expected["Destinations"][0].items():
            if shape != "DestinationId":
                of_all = shape == "ExtendedS3DestinationDescription"
                found.update({k: v for k, v in changes.items() if of_all or k in found or k.endswith("Prefix")})
        assert after == expected, f"{what}:\n{after}\n{expected}"
        # Again, as a tool does that sends what it was shown.
        same = {k.replace("Description", "Update"): v for k, v in shown(firehose, name).items()}
        update(firehose, name, **same)
        again = describe(firehose, name)
        assert again.pop("LastUpdateTimestamp") and again.pop("VersionId") == "3", what
        # Defaults were sent; they are shown as they were.
        assert again["Destinations"] == after["Destinations"], f"{what}:\n{again}\n{after}"
    service.kill()
    service.start()
    firehose = service.firehose()
    assert {describe(firehose, f"s-{number}")["VersionId"] for number in range(len(CONFIGURATIONS))} == {"3"}


@suite.test("botocore parses each refusal into its class")
def refused(folder):
    service = folder.hydrant().start()
    firehose = service.firehose(retries=1)
    service.create("r", interval_s=900)
    known = firehose.exceptions

    def refusal(error_class, message, **arguments):
        try:
            update(firehose, **{"name": "r", "version": "1", **arguments})
        except error_class as error:
            assert error.response["Error"]["Message"] == message, error
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
        else:
            raise AssertionError(f"no {error_class}")

    refusal(
        known.ConcurrentModificationException,
        "Cannot update firehose: r since the current version id: 1 and specified version id: 7 do not match",
        version="7",
    )
    refusal(known.ResourceNotFoundException, f"Firehose nope under account {ACCOUNT} not found.", name="nope")
    refusal(
        known.InvalidArgumentException,
        "SplunkDestinationUpdate is not supported by this version of Hydrant.",
        kind="SplunkDestinationUpdate",
    )
    refusal(known.InvalidArgumentException, "InputFormatConfiguration must not be null", DataFormatConversionConfiguration={})
    assert describe(firehose, "r")["VersionId"] == "1"
    service.admin("/streams/r/pause", "POST")
    firehose.put_record(DeliveryStreamName="r", Record={"Data": b"kept\n"})
    firehose.delete_delivery_stream(DeliveryStreamName="r")
    refusal(known.ResourceInUseException, f"Firehose r under accountId {ACCOUNT} is being deleted.")
    service.admin("/streams/r/resume", "POST")


@suite.test("the AWS CLI updates a stream")
def aws_cli(folder):
    service = folder.hydrant().start()
    service.create("cli", interval_s=900)

    def aws(*arguments):
        done = subprocess.run(["aws", "firehose", *arguments], env=service.cli_environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    members = {"Prefix": "by-cli/", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}}
    aws(
        "update-destination", "--delivery-stream-name", "cli", "--current-delivery-stream-version-id", "1",
        "--destination-id", DESTINATION, "--extended-s3-destination-update", json.dumps(members),
    )  # fmt: skip
    described = json.loads(aws("describe-delivery-stream", "--delivery-stream-name", "cli"))["DeliveryStreamDescription"]
    assert described["VersionId"] == "2" and described["LastUpdateTimestamp"], described
    service.firehose().put_record(DeliveryStreamName="cli", Record={"Data": b"x\n"})
    service.drained("cli")
    (key,) = oracle.keys(service.s3_client(), service.bucket)
    oracle.assert_key(key, "by-cli/", "cli", version="2")


@suite.test("a running stream takes prefix, processors, hints and conversion at the next cut, and loses nothing")
def running(folder):
    schemas = folder / "schemas"
    schemas.mkdir()
    (schemas / "db.t.sql").write_text("CREATE EXTERNAL TABLE db.t (n int) STORED AS PARQUET\n")
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms"), "--schemas-dir", str(schemas)]).start()
    firehose, s3 = service.firehose(), service.s3_client()
    service.create("run", prefix="1/", interval_s=900)
    steps = [
        {"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}, "Prefix": "2/"},
        {"Prefix": "3/", "CompressionFormat": "GZIP"},
        {"Prefix": "4/", "ProcessingConfiguration": processing()},
        {"Prefix": "5/", "ProcessingConfiguration": {"Enabled": False}, "CompressionFormat": "UNCOMPRESSED", "DataFormatConversionConfiguration": conversion()},
        {"Prefix": "6/", "DataFormatConversionConfiguration": {"Enabled": False}},
        {"Prefix": "7/y=!{timestamp:yyyy}/", "ErrorOutputPrefix": "!{firehose:error-output-type}/"},
    ]
    firehose.put_record(DeliveryStreamName="run", Record={"Data": b'{"n":1}\n'})
    until("it waits", lambda: service.stream("run")["waiting_records"] == 1)
    for number, members in enumerate(steps, 2):
        update(firehose, "run", **members)
        # The first one waits for an interval of 900 s until it is updated; nobody asks for a flush.
        service.drained("run")
        assert service.stream("run")["version"] == number
        if number > 2:
            firehose.put_record(DeliveryStreamName="run", Record={"Data": b'{"n":%d}\n' % number})
        service.drained("run")
    found = {}
    for each in oracle.objects(s3, service.bucket):
        version = each.key.split("/")[0]
        if version != "7":
            oracle.assert_key(each.key, f"{version}/", "run", version=version)
        assert version not in found, (each.key, found[version].key)
        found[version] = each
    assert set(found) == set("234567"), list(found)
    assert [found[version].content() for version in "267"] == [b'{"n":1}\n', b'{"n":6}\n', b'{"n":7}\n']
    assert re.match(r"7/y=\d{4}/run-7-", found["7"].key), found["7"].key
    assert found["3"].extension == ".gz" and found["3"].content() == b'{"n":3}\n'
    assert re.fullmatch(rb'\{"n":4,"ingested_at":"[^"]+"\}\n', found["4"].content()), found["4"].content()
    assert found["5"].extension == ".parquet"
    assert service.ledger("run")["delivered"] == 6


def keeps(version):
    """Whether this version of the partitioned stream leaves what it spools to the next one, which wants one key more."""
    return version % 4 == 3


def chunks_of(service):
    """Names of the spool's finished chunks, which alone end so."""

    def is_chunk(path):
        try:
            return path.read_bytes()[-4:] == b"HYSP"
        except FileNotFoundError:
            return False

    return {path.name for path in service.data_dir.glob("streams/*/outbox/*") if is_chunk(path)}


def partitions_of(version):
    """The update that makes `version` of the partitioned stream below, a function of it: the transform writes into a
    record by which version it came into the spool, the delimiter by which it came out, and both tell what its key must be.
    The query gives other keys in turn, each fourth one more."""
    query, more = "{k:.%s%s}", version % 4 == 0
    extraction = {"MetadataExtractionQuery": query % ("kj"[version % 2], ",l:.l" if more else ""), "JsonParsingEngine": "JQ-1.6"}
    parameters = lambda values: [{"ParameterName": name, "ParameterValue": value} for name, value in values.items()]
    processors = [
        {"Type": "MetadataExtraction", "Parameters": parameters(extraction)},
        {"Type": "AppendDelimiterToRecord", "Parameters": parameters({"Delimiter": f"|v{version}\\n"})},
        {"Type": "Lambda", "Parameters": parameters({"LambdaArn": ENRICH, "Variable.add": f"by=v{version}"})},
    ]
    # Before each one that wants one key more: it spools each MiB, and sends none of that by itself.
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 900 if keeps(version) else version % 2}
    compression = "GZIP" if version % 2 else "UNCOMPRESSED"
    members = {
        "Prefix": f"s/data/v{version}/k=!{{partitionKeyFromQuery:k}}/" + ("l=!{partitionKeyFromQuery:l}/" if more else ""),
        "BufferingHints": hints,
        "CompressionFormat": compression,
        "ProcessingConfiguration": {"Enabled": True, "Processors": processors},
    }
    return members, {"Prefix": f"s/backup/v{version}/", "BufferingHints": hints, "CompressionFormat": compression}


class Rows:
    """Producers that put numbered rows until told to stop; each row is noted with the version that was there before it."""

    def __init__(self, service):
        self.service, self.version, self.stopping, self.troubles = service, 1, threading.Event(), []
        self.rows, self.lock = {}, threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(2)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        http, n = Http(self.service.api), number * 10**6
        try:
            while not self.stopping.is_set():
                version, lines = self.version, []
                for n in range(n, n + 40):
                    row = {"n": n, "k": f"k{n % 11}", "j": f"j{n % 7}", "l": n % 3, "level": "debug" if n % 13 == 0 else "info"}
                    lines.append(json.dumps(row, separators=(",", ":")).encode() + b"\n")
                    self.rows[n] = (version, lines[-1])
                n += 1
                records = [{"Data": base64.b64encode(line).decode()} for line in lines]
                status, answer = http.call("PutRecordBatch", {"DeliveryStreamName": "s", "Records": records})
                assert status == 200 and answer["FailedPutCount"] == 0, (status, answer)
                time.sleep(0.01)  # load over time, not a synchronisation
        except Exception as error:
            self.troubles.append(repr(error))

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive() and not self.troubles, self.troubles


@suite.test("a partitioned stream with a backup under load: prefix, keys, processors and hints hold from the next cut on")
def partitioned(folder):
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    firehose, s3, versions = service.firehose(), service.s3_client(), 24 if FULL else 9
    members, backup = partitions_of(1)
    bucket = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}"}
    firehose.create_delivery_stream(
        DeliveryStreamName="s",
        ExtendedS3DestinationConfiguration={
            **bucket, **members, "ErrorOutputPrefix": "s/error/", "DynamicPartitioningConfiguration": {"Enabled": True},
            "S3BackupMode": "Enabled", "S3BackupConfiguration": {**bucket, **backup},
        },
    )  # fmt: skip
    load = Rows(service)
    for version in range(2, versions + 1):
        before = len(load.rows)
        until("some rows for each version", lambda: len(load.rows) > before + 400)
        if keeps(version - 1):
            # The first one may have been begun by the version before.
            until("two more chunks in the spool", lambda: len(chunks_of(service) - chunks) >= 2)
        members, backup = partitions_of(version)
        update(firehose, "s", version=str(version - 1), S3BackupUpdate=backup, **members)
        load.version, chunks = version, chunks_of(service)
        placed = f"s/data/v{version}/"
        cut = lambda: keeps(version) or s3.list_objects_v2(Bucket=service.bucket, Prefix=placed, MaxKeys=1)["KeyCount"]
        until(lambda: f"an object below {placed}", cut)
    before = len(load.rows)
    until("some rows for the last version", lambda: len(load.rows) > before + 400)
    load.finish()
    service.flush("s")
    ledger = service.drained("s")["s"]
    found, backed_up, named, by = {}, {}, set(), Counter()
    for each in oracle.objects(service.s3_client(), service.bucket, "s/"):
        parts = re.fullmatch(rf"s/(data|backup)/(.*/)s-(\d+)-\d{{4}}(?:-\d\d){{5}}-{oracle.UUID}(\.gz)?", each.key)
        assert parts, each.key
        kind, place, version = parts[1], parts[2], int(parts[3])
        assert bool(parts[4]) == (version % 2 == 1), each.key
        content = each.content()
        if kind == "backup":
            assert re.fullmatch(rf"v{version}/\d{{4}}/\d\d/\d\d/\d\d/", place), each.key
            for line in content.splitlines(keepends=True):
                n = json.loads(line)["n"]
                assert n not in backed_up and line == load.rows[n][1], (each.key, line)
                backed_up[n] = version
                assert version >= load.rows[n][0], (each.key, line, load.rows[n])
            continue
        named.add(version)
        at = 0
        for match in re.finditer(rb"(\{[^\n]*\})\n\|v(\d+)\n", content):
            assert match.start() == at, (each.key, content[at : at + 200])
            at = match.end()
            row = json.loads(match[1])
            n, spooled = row["n"], int(row.pop("by")[1:])
            assert row.pop("ingested_at") and int(match[2]) == version, (each.key, match[0])
            assert n not in found, f"{n} stands in {found[n]} and in {each.key}"
            found[n] = each.key
            by[spooled, version] += 1
            # What came after an update was answered is taken by it, and what is in the spool by the versions of its cuts.
            assert load.rows[n][0] <= spooled <= version, (each.key, match[0], load.rows[n])
            sent = json.loads(load.rows[n][1])
            assert row == sent, (each.key, row)
            # A prefix that wants a key which they do not have leaves them to the one by which they came.
            wanted = version if version % 4 or spooled % 4 == 0 else spooled
            folder_ = f"v{wanted}/k={sent['kj'[spooled % 2]]}/" + (f"l={sent['l']}/" if wanted % 4 == 0 else "")
            assert place == folder_, (each.key, match[0], folder_)
        assert at == len(content), (each.key, content[at : at + 200])
    dropped = {n for n in load.rows if n not in found}
    assert all(n % 13 == 0 for n in dropped), [n for n in dropped if n % 13][:5]
    assert set(backed_up) == set(load.rows) and ledger["delivered"] == len(found), ledger
    assert (ledger["received"], ledger["dropped"]) == (len(load.rows), len(dropped)), ledger
    assert ledger["refused"] == ledger["discarded"] == 0, ledger
    assert named >= {version for version in range(2, versions + 1) if not keeps(version)}, named
    assert len(set(backed_up.values())) > versions // 4, set(backed_up.values())
    # What was spooled without the key that the next version wants was cut by that one, and stands where it came by.
    missing = [version for version in range(2, versions) if keeps(version) and not by[version, version + 1]]
    assert not missing, (missing, by)
    between = sum(spooled < version for spooled, version in by)
    print(f"  {len(load.rows)} rows, {len(dropped)} dropped, over {versions} versions, {between} pairs of cuts with an update between them")


@suite.test("a listed stream becomes what the file says at the next start")
def listed(folder):
    def stream(**members):
        configuration = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::hydrant", **members}
        return {"DeliveryStreamName": "listed", "ExtendedS3DestinationConfiguration": configuration}

    service = folder.hydrant_with_store(streams=[stream(Prefix="a/")])
    config = folder / "data.yaml"

    def start(*streams):
        config.write_text(json.dumps({**json.loads(config.read_text()), "streams": streams}))
        return service.start().firehose()

    firehose = start(stream(Prefix="a/"))
    update(firehose, "listed", ErrorOutputPrefix="by-the-api/")
    assert describe(firehose, "listed")["VersionId"] == "2"
    assert service.stop() == 0
    firehose = start(stream(Prefix="b/"))
    found = describe(firehose, "listed")
    assert found["VersionId"] == "3" and "LastUpdateTimestamp" in found, found
    assert shown(firehose, "listed")["Prefix"] == "b/" and "ErrorOutputPrefix" not in shown(firehose, "listed")
    log = service.tail(4000)
    assert "other settings than the configuration" in log and "ErrorOutputPrefix, Prefix" in log, log
    assert service.stop() == 0
    firehose = start(stream(Prefix="b/"))
    assert describe(firehose, "listed")["VersionId"] == "3", "a start that changes nothing makes no version"


def members_of(stream, version):
    """The update that makes `version` of a stream, a function of both: so each key tells what its object must be."""
    members = {
        "Prefix": f"{stream}/data/v{version}/",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": version % 2},
    }
    if stream == "parts":
        members["Prefix"] += "k=!{partitionKeyFromQuery:k}/"
    elif stream in ("parquet", "learn"):
        members["DataFormatConversionConfiguration"] = {"Enabled": version % 3 != 0}
    elif stream == "gzip":
        members["CompressionFormat"] = "GZIP" if version % 2 else "UNCOMPRESSED"
    return members


def assert_key(key, stream):
    found = re.search(rf"/{stream}-(\d+)-[^/]*$", key)
    assert found, key
    version = int(found[1])
    prefix = f"{stream}/data/" if version == 1 else f"{stream}/data/v{version}/"
    crash.assert_key(key, stream, prefix, str(version))
    converts = stream in ("parquet", "learn") and (version == 1 or version % 3 != 0)
    extensions = {"join": "", "enrich": ".zip", "parts": ".gz", "gzip": ".gz" if version % 2 else ""}
    wanted = ".parquet" if converts else extensions.get(stream, "")
    assert re.search(rf"{oracle.UUID}{re.escape(wanted)}$", key), f"{key} should end in {wanted!r}"


class Changes:
    """Updates of all streams in turn, one after the other, until told to stop, whatever happens to the service."""

    def __init__(self, load, seed):
        self.load, self.rng, self.done, self.troubles = load, random.Random(seed), 0, []
        self.of = dict.fromkeys(load.streams, 0)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        turn = 0
        while True:
            self.load.open.wait()
            if self.load.stopping.is_set():
                return
            stream = self.load.streams[turn % len(self.load.streams)]
            try:
                self.change(Http(self.load.api, timeout_s=60), stream)
                # One that a kill took is tried again: each stream gets its share.
                turn += 1
                time.sleep(self.rng.uniform(0.0, 0.1))  # some records for each version
            except (OSError, EOFError, ValueError, *crash.http_errors()):
                time.sleep(0.005)  # the service is being killed; not to spin on a closed port
            except AssertionError as error:
                self.troubles.append(str(error))
                return

    def change(self, http, stream):
        status, answer = http.call("DescribeDeliveryStream", {"DeliveryStreamName": stream})
        assert status == 200, answer
        version = int(answer["DeliveryStreamDescription"]["VersionId"])
        request = {
            "DeliveryStreamName": stream,
            "CurrentDeliveryStreamVersionId": str(version),
            "DestinationId": DESTINATION,
            "ExtendedS3DestinationUpdate": members_of(stream, version + 1),
        }
        status, answer = http.call("UpdateDestination", request)
        assert status == 200, answer
        self.done += 1
        self.of[stream] += 1
        http.close()

    def finish(self):
        self.thread.join(120)
        assert not self.thread.is_alive() and not self.troubles, self.troubles


def kills_while_updating(folder, kills, seed):
    rng = random.Random(seed)
    service = crash.set_up(folder)
    load = crash.Load(crash.STREAMS, seed)
    changes = Changes(load, seed)
    load.connect(service.api)
    for _ in range(kills):
        time.sleep(rng.uniform(0.1, 1.2))  # a random moment, not a synchronisation
        service.kill()
        load.disconnect()
        service.start({"HYDRANT_ENCODE_DIFFERENTLY": "1"} if rng.random() < 0.3 else {})
        load.connect(service.api)
    until(lambda: f"two updates of each: {changes.of} {changes.troubles}", lambda: min(changes.of.values()) >= 2)
    load.finish()
    changes.finish()
    crash.judge(service, load, kills, f"seed {seed}, {changes.done} updates", assert_key)
    firehose = service.firehose()
    versions = [int(describe(firehose, stream)["VersionId"]) for stream in crash.STREAMS]
    assert changes.done <= sum(versions) - len(versions), (versions, changes.done)
    assert min(versions) > 2, f"too few updates to show anything: {versions}"
    # Each file that was converted by a learnt table lies where that table is declared.
    s3 = service.s3_client()
    keys = oracle.keys(s3, service.bucket, "learn/data/")
    folders = {key.rsplit("/_schema/", 1)[0] for key in keys if "/_schema/" in key}
    for key in (key for key in keys if key.endswith(".parquet")):
        assert re.sub(r"/\d{4}/\d\d/\d\d/\d\d/[^/]+$", "", key) in folders, (key, folders)
    assert service.stop() == 0


suite.test("kills at random moments while definitions change under load")(
    lambda folder: kills_while_updating(folder, 60 if FULL else 8, suite.args.seed)
)

if __name__ == "__main__":
    suite.main()
