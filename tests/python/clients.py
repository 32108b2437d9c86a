"""Real clients against the API: boto3, the AWS CLI and curl; every error parsed by botocore into its modelled class."""

import base64
import json
import os
import subprocess

import botocore.exceptions
import pyarrow

import oracle
from described import DEFAULTS, DESCRIBED
from harness import ACCOUNT, ROLE, Http, Suite, request, target, until

suite = Suite("clients")
ARN = f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/"


def raises(error_class, call, message=None, status=400):
    try:
        call()
    except error_class as error:
        assert type(error) is error_class, f"{type(error)} is not exactly {error_class}"
        found = error.response
        assert found["ResponseMetadata"]["HTTPStatusCode"] == status, found
        assert found["ResponseMetadata"]["RequestId"], "no request id"
        if message is not None:
            assert found["Error"]["Message"] == message, found["Error"]["Message"]
        return found
    raise AssertionError(f"no {error_class.__name__}")


def raises_code(code, call, status=400):
    """For errors that the model does not name."""
    try:
        call()
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        return error.response["Error"]["Message"]
    raise AssertionError(f"no {code}")


@suite.test("boto3 creates, describes, lists, puts and deletes")
def boto3_life(folder):
    service = folder.hydrant().start()
    firehose, s3 = service.firehose(), service.s3_client()
    answer = firehose.create_delivery_stream(
        DeliveryStreamName="life",
        DeliveryStreamType="DirectPut",
        ExtendedS3DestinationConfiguration={"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}"},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    assert answer["DeliveryStreamARN"] == ARN + "life"
    described = firehose.describe_delivery_stream(DeliveryStreamName="life")["DeliveryStreamDescription"]
    assert described["DeliveryStreamStatus"] == "ACTIVE" and described["VersionId"] == "1"
    assert described["DeliveryStreamARN"] == ARN + "life" and described["DeliveryStreamType"] == "DirectPut"
    assert described["HasMoreDestinations"] is False and "LastUpdateTimestamp" not in described
    assert described["CreateTimestamp"].year >= 2024
    (destination,) = described["Destinations"]
    assert destination["DestinationId"] == "destinationId-000000000001"
    for shape in ("ExtendedS3DestinationDescription", "S3DestinationDescription"):
        found = destination[shape]
        assert found["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}, found
        assert found["CompressionFormat"] == "UNCOMPRESSED"
        assert found["EncryptionConfiguration"] == {"NoEncryptionConfig": "NoEncryption"}
        assert found["CloudWatchLoggingOptions"] == {"Enabled": False}
        assert found["RoleARN"] == ROLE and found["BucketARN"] == f"arn:aws:s3:::{service.bucket}"
    assert destination["ExtendedS3DestinationDescription"]["S3BackupMode"] == "Disabled"

    one = firehose.put_record(DeliveryStreamName="life", Record={"Data": b"one\n"})
    assert len(one["RecordId"]) >= 200 and one["Encrypted"] is False
    many = firehose.put_record_batch(DeliveryStreamName="life", Records=[{"Data": b"two\n"}, {"Data": b""}, {"Data": b"\x00\xff\n"}])
    assert many["FailedPutCount"] == 0 and len(many["RequestResponses"]) == 3
    ids = [one["RecordId"]] + [entry["RecordId"] for entry in many["RequestResponses"]]
    assert len(set(ids)) == 4, "record ids repeat"
    service.flush("life")
    ledger = service.drained("life")["life"]
    assert ledger["received"] == ledger["delivered"] == 4, ledger
    found = list(oracle.objects(s3, service.bucket))
    assert b"".join(sorted(o.content() for o in found)).count(b"\n") == 3
    for each in found:
        oracle.assert_key(each.key, "", "life")
        assert each.content_type == "application/octet-stream" and each.content_encoding is None, vars(each)
    assert sorted(b"".join(o.content() for o in found)) == sorted(b"one\ntwo\n\x00\xff\n")

    assert firehose.delete_delivery_stream(DeliveryStreamName="life")["ResponseMetadata"]["HTTPStatusCode"] == 200

    def gone():
        try:
            status = firehose.describe_delivery_stream(DeliveryStreamName="life")["DeliveryStreamDescription"]["DeliveryStreamStatus"]
            assert status == "DELETING", status
        except firehose.exceptions.ResourceNotFoundException:
            return True

    until("the stream is gone", gone)
    assert firehose.list_delivery_streams()["DeliveryStreamNames"] == []


@suite.test("boto3 creates each configuration, and Describe echoes it member by member")
def described_in_full(folder):
    service = folder.hydrant().start()
    firehose = service.firehose()
    source = {"DirectPutSourceConfiguration": {"ThroughputHintInMBs": 7}}
    # Accepted and ignored, as the service does.
    ignored = {"KinesisStreamSourceConfiguration": {"KinesisStreamARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/k", "RoleARN": ROLE}}
    in_plain = ("RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", *DEFAULTS)
    bare = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}"}
    expected = {}
    for number, (what, (given, otherwise)) in enumerate(DESCRIBED.items()):
        for kind in ("ExtendedS3Destination", "S3Destination"):
            if kind == "S3Destination" and not set(given) <= set(in_plain):
                continue
            name = f"{kind[0]}-{number}"
            more = [{}, source, ignored][number % 3]
            tags = [{"Key": "hydrant:SizeInMBs", "Value": "9"}, {"Key": "team", "Value": "a"}]
            firehose.create_delivery_stream(DeliveryStreamName=name, Tags=tags, **more, **{kind + "Configuration": {**bare, **given}})
            whole = {**bare, **DEFAULTS, "S3BackupMode": "Disabled", **given, **otherwise}
            extended = {member: value for member, value in whole.items() if value is not None}
            destination = {
                "DestinationId": "destinationId-000000000001",
                "S3DestinationDescription": {member: extended[member] for member in in_plain if member in extended},
            }
            if kind == "ExtendedS3Destination":
                destination["ExtendedS3DestinationDescription"] = extended
            expected[name] = what, {
                "DeliveryStreamName": name,
                "DeliveryStreamARN": ARN + name,
                "DeliveryStreamStatus": "ACTIVE",
                "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
                "DeliveryStreamType": "DirectPut",
                "VersionId": "1",
                "Destinations": [destination],
                "HasMoreDestinations": False,
                **({"Source": {"DirectPutSourceDescription": source["DirectPutSourceConfiguration"]}} if more is source else {}),
            }
    for _ in ("as created", "after a restart"):
        for name, (what, described) in expected.items():
            found = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
            assert found.pop("CreateTimestamp"), what
            assert found == described, f"{what}:\n{found}\n{described}"
        service.kill()
        service.start()
        firehose = service.firehose()


@suite.test("ListDeliveryStreams pages by name")
def listing(folder):
    service = folder.hydrant().start()
    firehose = service.firehose()
    names = sorted(f"s-{i:02}" for i in range(13))
    for name in reversed(names):
        service.create(name)
    first = firehose.list_delivery_streams()
    assert first["DeliveryStreamNames"] == names[:10] and first["HasMoreDeliveryStreams"] is True
    rest = firehose.list_delivery_streams(ExclusiveStartDeliveryStreamName=names[9], Limit=100)
    assert rest["DeliveryStreamNames"] == names[10:] and rest["HasMoreDeliveryStreams"] is False
    assert firehose.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource")["DeliveryStreamNames"] == []
    assert service.stop() == 0
    service.start()
    assert service.firehose().list_delivery_streams(Limit=100)["DeliveryStreamNames"] == names, "streams survive a restart"


@suite.test("botocore parses every error into its class")
def errors(folder):
    service = folder.hydrant().start()
    firehose = service.firehose(retries=1)
    known = firehose.exceptions
    service.create("there")
    missing = f"Firehose absent under account {ACCOUNT} not found."
    put = {"DeliveryStreamName": "absent", "Record": {"Data": b"x"}}
    raises(known.ResourceNotFoundException, lambda: firehose.put_record(**put), missing)
    raises(
        known.ResourceNotFoundException,
        lambda: firehose.put_record_batch(DeliveryStreamName="absent", Records=[{"Data": b"x"}]),
        missing,
    )
    raises(known.ResourceNotFoundException, lambda: firehose.describe_delivery_stream(DeliveryStreamName="absent"), missing)
    raises(known.ResourceNotFoundException, lambda: firehose.delete_delivery_stream(DeliveryStreamName="absent"), missing)
    raises(
        known.ResourceInUseException,
        lambda: service.create("there"),
        f"Firehose there under accountId {ACCOUNT} already exists",
    )
    raises(
        known.InvalidArgumentException,
        lambda: firehose.create_delivery_stream(DeliveryStreamName="none"),
        "Exactly one destination configuration is supported for a Firehose",
    )
    too_large = [{"Data": b"x" * 900_000}] * 5
    raises(
        known.InvalidArgumentException,
        lambda: firehose.put_record_batch(DeliveryStreamName="there", Records=too_large),
        "Records size exceeds 4 MB limit",
    )
    raises(
        known.InvalidArgumentException,
        lambda: service.create(
            "prefix", prefix="a/!{timestamp:yyyy}/", ErrorOutputPrefix="!{timestamp:yyyy}/",
        ),
    )
    # What the model does not name arrives as a ClientError with its code.
    message = raises_code("ValidationException", lambda: firehose.put_record(DeliveryStreamName="there", Record={"Data": b"x" * 1_024_001}))
    assert message.startswith("1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1024001 cap=1024001]' at 'record.data'"), message
    message = raises_code("ValidationException", lambda: firehose.put_record_batch(DeliveryStreamName="there", Records=[{"Data": b"x"}] * 501))
    assert "'records'" in message and "Member must have length less than or equal to 500" in message, message
    message = raises_code("ValidationException", lambda: service.create("format", compression="LZMA"))
    assert "[ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED, ZSTD]" in message, message
    raises_code(
        "UnknownOperationException",
        lambda: firehose.start_delivery_stream_encryption(DeliveryStreamName="there"),
    )
    ledger = service.ledger("there")
    assert ledger["received"] == 0, f"a refused request left records behind: {ledger}"


@suite.test("throttling is an error for the whole request, which SDKs retry")
def throttling(folder):
    service = folder.hydrant(arguments=["--disk-budget", str(512 * 1024 * 1024)]).start()
    service.create("full", interval_s=900, size_mb=128)
    service.admin("/streams/full/pause", "POST")
    impatient = service.firehose(retries=1)
    records, taken = [{"Data": b"%07d\n" % 0 + b"x" * 400_000}] * 10, 0

    def one_more():
        nonlocal taken
        assert impatient.put_record_batch(DeliveryStreamName="full", Records=records)["FailedPutCount"] == 0
        taken += len(records)

    def until_refused():
        for _ in range(200):
            one_more()

    found = raises(impatient.exceptions.ServiceUnavailableException, until_refused, status=500)
    assert found["Error"]["Message"], found
    assert taken >= 10 and service.ledger("full")["received"] == taken, "what was refused left records behind"
    # With room again, the same request goes through by the SDK's own retries.
    service.admin("/streams/full/resume", "POST")
    service.flush("full")
    service.firehose(retries=10).put_record_batch(DeliveryStreamName="full", Records=records)
    service.flush("full")
    assert service.drained("full")["full"]["delivered"] == taken + len(records)


@suite.test("a request is refused whole or taken whole")
def whole_requests(folder):
    service = folder.hydrant().start()
    service.create("whole", interval_s=900)
    http = Http(service.api)
    data = lambda raw: base64.b64encode(raw).decode()
    exact = [{"Data": data(b"x" * 1_024_000)}] * 4
    status, answer = http.call("PutRecordBatch", {"DeliveryStreamName": "whole", "Records": exact})
    assert status == 200 and answer["FailedPutCount"] == 0, (status, answer)
    over = exact + [{"Data": data(b"x" * (4 * 1024 * 1024 - 4 * 1_024_000 + 1))}]
    status, answer = http.call("PutRecordBatch", {"DeliveryStreamName": "whole", "Records": over})
    assert (status, answer["__type"]) == (400, "InvalidArgumentException"), (status, answer)
    for body in (b"", b"{", b"[]", b'{"DeliveryStreamName":"whole","Records":[{"Data":"***"}]}', b'{"DeliveryStreamName":"whole","Records":7}'):
        status, _, raw = http.request("POST", "/", body, target("PutRecordBatch"))
        answer = json.loads(raw)
        assert status == 400 and answer["__type"] in ("SerializationException", "ValidationException"), (body, status, answer)
    status, _, raw = http.request("POST", "/", b"{}", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Firehose_20150804.Nonsense"})
    assert (status, json.loads(raw)["__type"]) == (400, "UnknownOperationException"), raw
    assert service.ledger("whole")["received"] == 4


@suite.test("the AWS CLI creates, describes, lists, puts and deletes")
def aws_cli(folder):
    service = folder.hydrant().start()

    def aws(*arguments, codes=(0,)):
        done = subprocess.run(["aws", *arguments], env=service.cli_environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode in codes, f"aws {arguments}: {done.returncode} {done.stdout} {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() and done.returncode == 0 else done.stderr

    configuration = {
        "RoleARN": ROLE,
        "BucketARN": f"arn:aws:s3:::{service.bucket}",
        "Prefix": "cli/",
        "CompressionFormat": "GZIP",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
    }
    created = aws("firehose", "create-delivery-stream", "--delivery-stream-name", "cli", "--extended-s3-destination-configuration", json.dumps(configuration))
    assert created["DeliveryStreamARN"] == ARN + "cli"
    described = aws("firehose", "describe-delivery-stream", "--delivery-stream-name", "cli")
    assert described["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE"
    assert aws("firehose", "list-delivery-streams")["DeliveryStreamNames"] == ["cli"]
    records = folder / "records.json"
    records.write_text(json.dumps([{"Data": f"batch {i}\n"} for i in range(3)]))
    assert aws("firehose", "put-record", "--delivery-stream-name", "cli", "--record", json.dumps({"Data": "single\n"}))["RecordId"]
    assert aws("firehose", "put-record-batch", "--delivery-stream-name", "cli", "--records", f"file://{records}")["FailedPutCount"] == 0
    error = aws("firehose", "put-record", "--delivery-stream-name", "nope", "--record", '{"Data":"x"}', codes=(254, 255))
    assert "ResourceNotFoundException" in error, error
    service.drained("cli")
    found = b"".join(o.content() for o in oracle.objects(service.s3_client(), service.bucket, "cli/"))
    oracle.same_lines(b"single\nbatch 0\nbatch 1\nbatch 2\n", found, "the CLI's records")
    aws("firehose", "delete-delivery-stream", "--delivery-stream-name", "cli")
    until("the stream is gone", lambda: aws("firehose", "list-delivery-streams")["DeliveryStreamNames"] == [], pause_s=0.2)


@suite.test("curl sends lines, plain and compressed")
def curl_lines(folder):
    service = folder.hydrant().start()
    service.create("lines")
    lines = b'{"a":1}\n\n{"b":2}\r\n\r\n{"c":"last, without an end"}'
    (folder / "plain").write_bytes(lines)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as compressed:
        compressed.write(lines)
    (folder / "zstd").write_bytes(sink.getvalue().to_pybytes())
    subprocess.run(["gzip", "-k", "-S", ".gz", str(folder / "plain")], check=True)
    os.rename(folder / "plain.gz", folder / "gzip")
    for encoding in ("plain", "gzip", "zstd"):
        headers = [] if encoding == "plain" else ["-H", f"Content-Encoding: {encoding}"]
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--data-binary", f"@{folder / encoding}", *headers, f"{service.api}/streams/lines/records"],
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, (encoding, done.stdout, done.stderr)
        assert json.loads(done.stdout) == {"accepted": 3, "blank": 2, "failed": []}, (encoding, done.stdout)
    service.drained("lines")
    found = b"".join(o.content() for o in oracle.objects(service.s3_client(), service.bucket, "lines/"))
    oracle.same_lines(b'{"a":1}\n{"b":2}\r\n{"c":"last, without an end"}\n' * 3, found, "curl's lines")


@suite.test("bad requests to the line endpoint are answered, and leave nothing")
def bad_lines(folder):
    service = folder.hydrant().start()
    service.create("lines")
    post = lambda body, path="/streams/lines/records", **headers: request(service.api, "POST", path, body, headers)
    status, _, body = post(b"x\n", "/streams/absent/records")
    assert status in (400, 404) and b"not found" in body, (status, body)
    assert post(b"not gzip", **{"Content-Encoding": "gzip"})[0] == 400
    assert post(b"x\n", **{"Content-Encoding": "br"})[0] in (400, 415)
    bomb = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(bomb, "zstd") as compressed:
        for _ in range(17):
            compressed.write(b"y" * 1023 + b"\n" * 1 + b"z" * (1024 * 1024 - 1024))
    status = post(bomb.getvalue().to_pybytes(), **{"Content-Encoding": "zstd"})[0]
    assert status in (400, 413), status
    assert service.ledger("lines")["received"] == 0
    # A record too large fails alone; its neighbours are taken.
    status, _, body = post(b"small\n" + b"x" * 1_024_001 + b"\nsmall too\n")
    answer = json.loads(body)
    assert status == 200 and answer["accepted"] == 2 and [f["line"] for f in answer["failed"]] == [2], (status, answer)
    assert service.ledger("lines")["received"] == 2


@suite.test("a stream made again under its old name starts anew")
def made_again(folder):
    service = folder.hydrant().start()
    firehose = service.firehose()
    for life in range(3):
        until("the name is free", lambda: "again" not in firehose.list_delivery_streams()["DeliveryStreamNames"])
        service.create("again")
        firehose.put_record(DeliveryStreamName="again", Record={"Data": b"life %d\n" % life})
        # Deleting delivers what waits.
        firehose.delete_delivery_stream(DeliveryStreamName="again")
    until("the last life is gone", lambda: "again" not in firehose.list_delivery_streams()["DeliveryStreamNames"])
    found = b"".join(o.content() for o in oracle.objects(service.s3_client(), service.bucket, "again/"))
    oracle.same_lines(b"life 0\nlife 1\nlife 2\n", found, "three lives of one name")


if __name__ == "__main__":
    suite.main()
