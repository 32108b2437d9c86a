"""Source record backup over boto3: what the backup holds, what it leaves to the stream, and a backup that is down."""

import json
import random
import re

from botocore.exceptions import ClientError

import oracle
from harness import ACCOUNT, ROLE, ROOT, Http, Suite, until

suite = Suite("backup")
ENRICH = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:enrich"
TRANSFORM = {
    "Enabled": True,
    "Processors": [{"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": ENRICH}]}],
}


def configuration(bucket, prefix="copy/", **more):
    return {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{bucket}", "Prefix": prefix, **more}


def backup_to(bucket, size_mb=1, interval_s=1, **more):
    hints = {"SizeInMBs": size_mb, "IntervalInSeconds": interval_s}
    return {"S3BackupMode": "Enabled", "S3BackupConfiguration": configuration(bucket, BufferingHints=hints, **more)}


def records(rng, count):
    """Records of every kind: good, to be dropped, to be refused (cut off, not UTF-8, empty), without a line's end."""
    made = []
    for number in range(count):
        body = {"n": number, "pad": "x" * rng.randrange(400)}
        kind = rng.randrange(8)
        if kind == 0:
            body["level"] = "debug"
        row = json.dumps(body).encode() + (b"\n" if rng.random() < 0.8 else b"")
        if kind == 1:
            row = row[: len(row) // 2]
        elif kind == 2:
            row = b"\xff\xfe\x00" + rng.randbytes(rng.randrange(300))
        elif kind == 3:
            row = b""
        made.append(row)
    return made


def put(service, stream, rows):
    firehose = service.firehose()
    for first in range(0, len(rows), 200):
        answer = firehose.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": row} for row in rows[first : first + 200]])
        assert answer["FailedPutCount"] == 0, answer


def copied(service, bucket, prefix="copy/"):
    return b"".join(each.content() for each in oracle.objects(service.s3_client(), bucket, prefix))


def backup_of(service, name):
    return service.stream(name).get("backup")


@suite.test("the backup holds every record byte for byte, whatever the transform makes of it")
def before_all_processors(folder):
    seed = suite.args.seed
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    service.s3_client().create_bucket(Bucket="copies")
    service.create(
        "orders", size_mb=64, interval_s=900, compression="GZIP", ProcessingConfiguration=TRANSFORM,
        **backup_to("copies", size_mb=64, interval_s=900, CompressionFormat="ZIP"),
    )
    rows = records(random.Random(seed), 900)
    put(service, "orders", rows)
    until("all waits in both", lambda: (backup_of(service, "orders") or {}).get("waiting_records") == 900)
    service.flush("orders")
    ledger = service.drained("orders")["orders"]
    # One cut, so one object: its content is the records in their order.
    (copy,) = oracle.objects(service.s3_client(), "copies")
    oracle.assert_key(copy.key, "copy/", "orders")
    assert (copy.extension, copy.content_encoding, copy.content_type) == (".zip", "zip", "application/octet-stream")
    assert copy.content() == b"".join(rows)
    # What the stream made of them: each record in one of three ways.
    refused = [e for o in oracle.objects(service.s3_client(), service.bucket, "orders/error/") for e in oracle.error_records(o.content(), "processing-failed")]
    delivered = b"".join(o.content() for o in oracle.objects(service.s3_client(), service.bucket, "orders/data/"))
    assert ledger["refused"] == len(refused) > 0 and ledger["dropped"] > 0
    assert ledger["delivered"] == 900 - ledger["refused"] - ledger["dropped"] > 0
    bad = sorted(e["raw"] for e in refused)
    assert not [raw for raw in bad if raw not in rows]
    kept = {json.loads(line)["n"] for line in delivered.split(b"\n") if line}
    gone = [row for row in rows if row in bad or b'"level": "debug"' in row or not row.strip()]
    assert len(kept) + len(gone) >= 900, (len(kept), len(gone))
    # The backup's numbers are its own.
    backup = backup_of(service, "orders")
    assert backup["ledger"]["delivered"]["records"] == backup["ledger"]["received"]["records"] == 900, backup
    assert backup["ledger"]["delivered"]["bytes"] == sum(map(len, rows))
    samples = service.metrics()
    assert samples['hydrant_backup_records{stream="orders",fate="delivered"}'] == 900
    assert samples['hydrant_backup_state{stream="orders",state="running"}'] == 1
    assert samples['hydrant_stream_records{stream="orders",fate="received"}'] == 900
    assert service.stop() == 0


@suite.test("Describe shows the backup with the service's defaults, and Create says what is missing")
def shapes(folder):
    service = folder.hydrant().start()
    firehose = service.firehose()
    made = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}"}
    create = lambda name, **more: firehose.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration={**made, **more}
    )
    create("on", S3BackupMode="Enabled", S3BackupConfiguration=configuration("copies"))
    create("off", S3BackupMode="Disabled", S3BackupConfiguration=configuration("copies"))
    expected = {
        **configuration("copies"),
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": False},
    }
    for name, mode in (("on", "Enabled"), ("off", "Disabled")):
        answer = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
        described = answer["Destinations"][0]["ExtendedS3DestinationDescription"]
        assert (described["S3BackupMode"], described["S3BackupDescription"]) == (mode, expected), described
    until("the backup has begun", lambda: "backup" in service.stream("on"))
    assert "backup" not in service.stream("off")
    bad = {
        "S3 backup destination configuration is required when enabling S3 backup.": {},
        "Exactly one of NoEncryptionConfig or KMSEncryptionConfig must be specified": {
            "S3BackupConfiguration": configuration("copies", EncryptionConfiguration={})
        },
    }
    for message, more in bad.items():
        try:
            create("bad", S3BackupMode="Enabled", **more)
            raise AssertionError(f"taken: {more}")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidArgumentException", error
            assert error.response["Error"]["Message"] == message, error
    assert service.stop() == 0


@suite.test("a backup that is down holds the log over kills, not the stream, and misses nothing")
def backup_down(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    service.create("orders", interval_s=0, ProcessingConfiguration=TRANSFORM, **backup_to("not-there-yet", interval_s=0))
    rows = []
    for turn in range(3):
        more = [b'{"turn":%d,"n":%d,"level":"%s","pad":"%s"}\n' % (turn, n, rng.choice((b"debug", b"info")), b"p" * rng.randrange(900)) for n in range(700)]
        put(service, "orders", more)
        rows += more
        service.drained("orders", backups=False)
        status = until("the backup needs the operator", lambda: (s := service.stream("orders")).get("backup", {}).get("state") == "needs_operator" and s)
        assert status["state"] == "running", status
        assert status["last_error"].startswith("source backup: "), status
        assert "NoSuchBucket" in status["backup"]["last_error"], status
        assert status["backup"]["held_bytes"] == sum(map(len, rows)), status
        service.kill()
        service.start()
    s3 = service.s3_client()
    s3.create_bucket(Bucket="not-there-yet")
    service.admin("/streams/orders/resume", "POST")
    ledger = service.drained("orders")["orders"]
    assert ledger["received"] == len(rows) and ledger["dropped"] > 0
    oracle.same_lines(b"".join(rows), copied(service, "not-there-yet"), "the backup")
    kept = b"".join(o.content() for o in oracle.objects(s3, service.bucket, "orders/data/"))
    kept = b"".join(re.sub(rb',"ingested_at":"[^"]*"\}$', b"}", line) + b"\n" for line in kept.splitlines())
    oracle.same_lines(b"".join(row for row in rows if b'"debug"' not in row), kept, "the stream")
    status = service.stream("orders")
    assert (status["last_error"], status["backup"]["state"], status["backup"]["held_bytes"]) == (None, "running", 0), status
    assert service.stop() == 0


@suite.test("producers are throttled when a backup that is down has used the disk up, and the status names it")
def backup_fills_the_disk(folder):
    service = folder.hydrant_with_store(limits={"disk_budget": "24MiB"}).start()
    service.create("full", interval_s=0, **backup_to("not-there-yet", interval_s=0))
    http, taken = Http(service.api), []

    def fill():
        while len(taken) < 100:
            line = b"%d %s\n" % (len(taken), b"x" * 500_000)
            status, _, text = http.request("POST", "/streams/full/records", line)
            if status != 200:
                assert status == 503 and b"Slow down" in text, (status, text)
                return
            taken.append(line)
        raise AssertionError("50 MB with a budget of 24 MiB")

    fill()
    service.drained("full", backups=False)
    fill()  # what the stream has delivered goes only once it is backed up as well
    assert len(taken) > 10, len(taken)
    status = service.stream("full")
    assert (status["state"], status["ledger"]["delivered"]["records"]) == ("running", len(taken)), status
    assert status["last_error"].startswith("source backup: "), status
    assert status["backup"]["held_bytes"] == sum(map(len, taken)), status
    service.store.s3_client().create_bucket(Bucket="not-there-yet")
    service.admin("/streams/full/resume", "POST")
    service.drained("full")
    before = len(taken)
    until("puts are taken again", lambda: (http.request("POST", "/streams/full/records", b"%d more\n" % before)[0] == 200))
    service.drained("full")
    oracle.same_lines(b"".join(taken) + b"%d more\n" % before, copied(service, "not-there-yet"), "the backup")
    assert service.stop() == 0


@suite.test("a backup enabled by UpdateDestination begins with what comes then, moves with updates, and stays on")
def enabled_later(folder):
    service = folder.hydrant().start()
    s3, firehose = service.s3_client(), service.firehose()
    for bucket in ("copies", "others"):
        s3.create_bucket(Bucket=bucket)
    service.create("orders", size_mb=64, interval_s=900)
    rows = lambda turn: [b"%d %d\n" % (turn, number) for number in range(300)]
    update = lambda version, **more: firehose.update_destination(
        DeliveryStreamName="orders",
        CurrentDeliveryStreamVersionId=version,
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate=more,
    )
    put(service, "orders", rows(0))
    hints = {"SizeInMBs": 64, "IntervalInSeconds": 900}
    update("1", S3BackupMode="Enabled", S3BackupUpdate=configuration("copies", BufferingHints=hints))
    until("the backup has begun", lambda: "backup" in service.stream("orders"))
    before = len(rows(0))
    put(service, "orders", rows(1))
    status = until("all is seen", lambda: (s := service.stream("orders"))["waiting_records"] == 2 * before and s)
    seen = until("it is seen by the backup", lambda: backup_of(service, "orders")["waiting_records"])
    assert seen == before and status["version"] == 2, (seen, status)
    service.kill()
    service.start()
    assert backup_of(service, "orders")["waiting_records"] == before
    update_again = service.firehose().update_destination
    members = {"DeliveryStreamName": "orders", "DestinationId": "destinationId-000000000001"}
    update_again(
        **members,
        CurrentDeliveryStreamVersionId="2",
        ExtendedS3DestinationUpdate={"S3BackupUpdate": {"BucketARN": "arn:aws:s3:::others", "CompressionFormat": "GZIP"}},
    )
    until("the update counts", lambda: service.stream("orders")["version"] == 3)
    put(service, "orders", rows(2))
    service.flush("orders")
    service.drained("orders")
    # One cut, by the revision of then; whether a flush catches the last put is not what is tested.
    service.flush("orders")
    service.drained("orders")
    assert copied(service, "copies") == b""
    oracle.same_lines(b"".join(rows(1) + rows(2)), copied(service, "others"), "the backup")
    assert all("/orders-3-" in key and key.endswith(".gz") for key in oracle.keys(service.s3_client(), "others"))
    try:
        update_again(**members, CurrentDeliveryStreamVersionId="3", ExtendedS3DestinationUpdate={"S3BackupMode": "Disabled"})
        raise AssertionError("the backup was disabled")
    except ClientError as error:
        assert "Disabling S3 backup is not currently supported." in str(error), error
    assert service.stop() == 0


if __name__ == "__main__":
    suite.main()
