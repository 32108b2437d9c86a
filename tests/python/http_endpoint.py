"""HTTP endpoints: what is sent is the protocol to the byte, and nothing is lost, whatever the receiver does.

The receiver (`strict_receiver.py`) is written from the protocol's text and keeps every deviation. Conservation is judged
from outside: what a receiver that drops repeats by id has, together with the error area, is what was put.
"""

import base64
import itertools
import json
import random
import re
import ssl
import subprocess
import threading
import time
from collections import Counter

import oracle
from harness import FULL, ROLE, Http, Suite, target, until
from strict_receiver import REFUSES, TAKES, Receiver, first_attempts

suite = Suite("http_endpoint")
# For endpoints that hang, or are to be left soon; where attempts are counted no slow machine may add to them.
FAST = {"answer_timeout": "2s", "stall_timeout": "2s", "connect_timeout": "2s"}
ERROR_MEMBERS = ["attemptsMade", "arrivalTimestamp", "errorCode", "errorMessage", "attemptEndingTimestamp", "rawData", "subsequenceNumber", "dataId"]
SECRET = "sesame-0123456789-open"


def service_for(folder, http=FAST, **settings):
    return folder.hydrant_with_store(http_endpoint=http, **settings)


def endpoint(service, name, receiver, retry_s=7200, size_mb=1, interval_s=1, key=None, encoding="NONE", attributes=None, mode=None, **more):
    """HttpEndpointDestinationConfiguration of the stream `name`."""
    return {
        "EndpointConfiguration": {"Url": receiver.url, "Name": "receiver", **({"AccessKey": key} if key else {})},
        "BufferingHints": {"SizeInMBs": size_mb, "IntervalInSeconds": interval_s},
        "RequestConfiguration": {
            "ContentEncoding": encoding,
            "CommonAttributes": [{"AttributeName": n, "AttributeValue": v} for n, v in (attributes or {}).items()],
        },
        "RetryOptions": {"DurationInSeconds": retry_s},
        **({"S3BackupMode": mode} if mode else {}),
        "S3Configuration": {
            "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}", "Prefix": f"{name}/all/", "ErrorOutputPrefix": f"{name}/error/",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        },
        **more,
    }  # fmt: skip


def create(service, name, receiver, tags=None, **options):
    request = {"DeliveryStreamName": name, "HttpEndpointDestinationConfiguration": endpoint(service, name, receiver, **options)}
    if tags:
        request["Tags"] = [{"Key": k, "Value": v} for k, v in tags.items()]
    service.firehose().create_delivery_stream(**request)


def lines(name, first, count):
    return [b'{"s":"%s","i":%d,"pad":"%s"}\n' % (name.encode(), i, b"x" * (i * 7 % 300)) for i in range(first, first + count)]


def put(service, name, records):
    http = Http(service.api)
    for at in range(0, len(records), 500):
        body = {"DeliveryStreamName": name, "Records": [{"Data": base64.b64encode(r).decode()} for r in records[at : at + 500]]}
        status, _, raw = http.request("POST", "/", json.dumps(body).encode(), target("PutRecordBatch"))
        assert status == 200 and json.loads(raw)["FailedPutCount"] == 0, (status, raw[:300])
    http.close()


def errors(service, name):
    """The error records of a stream, their layout checked."""
    found = []
    for each in oracle.objects(service.s3_client(), service.bucket, f"{name}/error/"):
        oracle.assert_key(each.key, f"{name}/error/http-endpoint-failed/", name, version=r"\d+")
        for line in each.content().splitlines():
            record = json.loads(line)
            assert list(record) == ERROR_MEMBERS, list(record)
            assert re.fullmatch(r"\d+\.\d+", record["dataId"]) and record["subsequenceNumber"] == int(record["dataId"].partition(".")[2])
            assert 0 <= record["attemptEndingTimestamp"] - record["arrivalTimestamp"] < 3_600_000, record
            record["raw"] = base64.b64decode(record["rawData"], validate=True)
            found.append(record)
    assert len({r["dataId"] for r in found}) == len(found), "a record was told twice"
    return found


def same(sent, found, what):
    sent, found = Counter(sent), Counter(found)
    lost, more = sent - found, found - sent
    assert not lost and not more, f"{what}: lost {lost.total()} {list(lost)[:2]}, too many {more.total()} {list(more)[:2]}"


def outbox_empty(service):
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())


@suite.test("the protocol to the byte, plain and compressed, with key and attributes; connections are kept")
def protocol(folder):
    service = service_for(folder, http={}).start()
    plain = Receiver()
    packed = Receiver(encoding="gzip", access_key=SECRET, attributes={"team": "a \"b\" ü", "empty": ""}, path="/a/b?c=%20d&e")
    create(service, "plain", plain, interval_s=0)
    create(service, "packed", packed, interval_s=0, key=SECRET, encoding="GZIP", attributes=packed.attributes)
    sent = {name: lines(name, 0, 12_000) + [b"", b"\x00\xff", b"y" * 1_024_000] for name in ("plain", "packed")}
    for name, records in sent.items():
        for at in range(0, len(records), 400):
            put(service, name, records[at : at + 400])
            if at % 1200 == 0:
                # What waits behind a cut would go into one request.
                service.drained(name)
    service.drained(*sent)
    for name, receiver in (("plain", plain), ("packed", packed)):
        assert not receiver.deviations, receiver.deviations[:3]
        same(sent[name], receiver.records(name), name)
        assert receiver.requests == len(receiver.attempts), "a request was repeated"
        assert receiver.connections <= 8 < receiver.requests, (receiver.connections, receiver.requests)
        assert receiver.most_under_way[name] <= 4, receiver.most_under_way
        print(f"  {name}: {receiver.requests} requests over {receiver.connections} connections")
    outbox_empty(service)
    assert service.stop() == 0


@suite.test("each fault at the first attempts of each request: lost 0, and each record once by request id")
def faults(folder):
    service = service_for(folder, {"answer_timeout": "5s", "stall_timeout": "5s"}).start()
    names = {fault: fault.replace(" ", "-") for fault in sorted(TAKES | (REFUSES - {"too large"}))}
    script = lambda stream, identity, attempt: stream.replace("-", " ") if attempt <= 2 else "accept"
    receiver = Receiver(script, encoding="gzip")
    for name in names.values():
        create(service, name, receiver, encoding="GZIP")
    sent = {name: lines(name, 0, 700) for name in names.values()}
    for part in (0, 350):
        for name, records in sent.items():
            put(service, name, records[part : part + 350])
        for name in sent:
            service.flush(name)
    ledgers = service.drained(*sent)
    assert not receiver.deviations, receiver.deviations[:3]
    for fault, name in names.items():
        same(sent[name], receiver.records(name), fault)
        assert receiver.played[name, fault] >= 2, (fault, receiver.played)
        assert (ledgers[name]["delivered"], ledgers[name]["refused"]) == (700, 0), ledgers[name]
        assert not errors(service, name)
        until(f"{name} runs again", lambda: service.stream(name)["state"] == "running")
    waited = [b - a for i, times in receiver.times.items() for a, b in zip(times, times[1:]) if len(times) == 3]
    busy = [identity for (identity, times) in receiver.times.items() if identity in receiver.taken["busy"]]
    for identity in busy:
        times = receiver.times[identity]
        assert all(b - a >= 0.95 for a, b in zip(times, times[1:])), "Retry-After was not kept to"
    assert waited and busy
    # Each stream has told of its trouble once, and of its end once.
    log = service.log_path.read_text()
    for name in set(names.values()) - {"accept", "slow"}:
        told = re.findall(rf'delivery (fails|needs|works again)[^\n]*stream="{name}" ', log)
        # That the operator is needed may be told in a trouble that is known.
        downs = [list(down) for again, down in itertools.groupby(told, lambda what: what == "works again") if not again]
        assert told[-1] == "works again" and 1 <= told.count("works again") == len(downs) <= 4, (name, told)
        assert all(down in (["fails"], ["needs"], ["fails", "needs"]) for down in downs), (name, told)
    print(f"  {len(names)} faults, {receiver.requests} requests, {len(receiver.attempts)} ids: lost 0")
    outbox_empty(service)
    assert service.stop() == 0


@suite.test("given up: retry time over, none at all, and 413; the records are in the error area and count as refused")
def given_up(folder):
    service = service_for(folder, http={}).start()
    receiver = Receiver(lambda stream, identity, attempt: {"large": "too large"}.get(stream, "refuse"))
    for name, retry_s in (("soon", 2), ("never", 0), ("large", 7200)):
        create(service, name, receiver, retry_s=retry_s)
    sent = {name: lines(name, 0, 1500) for name in ("soon", "never", "large")}
    for name, records in sent.items():
        put(service, name, records)
    ledgers = service.drained(*sent)
    for name, records in sent.items():
        found = errors(service, name)
        same(records, [r["raw"] for r in found], name)
        assert (ledgers[name]["refused"], ledgers[name]["delivered"]) == (1500, 0), ledgers[name]
        assert {r["errorCode"] for r in found} == {"HttpEndpoint.DestinationException"}
        status, said = ("413", "too much") if name == "large" else ("500", 'disk "full"\n')
        assert {r["errorMessage"] for r in found} == {f"The following response was received from the endpoint destination. {status}: {said}"}
        made = {r["attemptsMade"] for r in found}
        assert made == {1} if name != "soon" else min(made) > 2, made
        told = service.stream(name)["destination"]
        assert told["given_up"] >= 1 and told["successes"] == 0 and told["attempts"] >= sum(made), told
        assert not receiver.records(name)
    per_id = Counter(receiver.attempts)
    assert sum(per_id.values()) == receiver.requests
    assert service.metrics()["hydrant_turns_total"] >= 3
    assert not receiver.deviations, receiver.deviations[:3]
    outbox_empty(service)
    assert service.stop() == 0


@suite.test("AllData: every record as it came in the bucket too, whatever becomes of the request")
def all_data(folder):
    service = service_for(folder, http={}).start()
    receiver = Receiver(lambda stream, identity, attempt: "refuse" if int(identity[0], 16) % 2 else "accept")
    create(service, "s", receiver, retry_s=0, interval_s=0, mode="AllData")
    sent = lines("s", 0, 3000)
    for at in range(0, len(sent), 100):
        put(service, "s", sent[at : at + 100])
    ledger = service.drained("s")["s"]
    same(sent, receiver.records("s") + [r["raw"] for r in errors(service, "s")], "endpoint and error area")
    assert ledger["delivered"] == len(receiver.records("s")) and ledger["refused"] == 3000 - ledger["delivered"]
    copies = b"".join(each.content() for each in oracle.objects(service.s3_client(), service.bucket, "s/all/"))
    same(sent, copies.splitlines(keepends=True), "AllData")
    assert service.backup_ledger("s")["delivered"] == 3000
    assert service.stop() == 0


class Feed:
    """Puts small batches until told to stop, whatever happens to the service."""

    def __init__(self, service, names):
        self.api, self.stopping = service.api, threading.Event()
        self.sent, self.unclear = {name: [] for name in names}, {name: [] for name in names}
        self.threads = [threading.Thread(target=self.run, args=(name,), daemon=True) for name in names]
        for thread in self.threads:
            thread.start()

    def run(self, name):
        http, connected, at = None, None, 0
        while not self.stopping.is_set():
            records = lines(name, at, 1 + at % 60)
            at += len(records)
            body = {"DeliveryStreamName": name, "Records": [{"Data": base64.b64encode(r).decode()} for r in records]}
            try:
                if http is None or connected != self.api:
                    connected = self.api
                    http = Http(connected, timeout_s=60)
                status, _, raw = http.request("POST", "/", json.dumps(body).encode(), target("PutRecordBatch"))
                assert status == 200 and json.loads(raw)["FailedPutCount"] == 0
                self.sent[name] += records
            except Exception:  # the service is being killed
                self.unclear[name] += records
                http = None
                time.sleep(0.05)  # not to spin on a closed port
            time.sleep(0.004)  # many cuts, not many records

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)


@suite.test("kill -9 in the middle of faults: lost 0, and each record once by request id")
def killed(folder):
    rng = random.Random(suite.args.seed)
    service = service_for(folder, {**FAST, "answer_timeout": "1s", "stall_timeout": "1s"})
    service.start()
    kinds = sorted((TAKES | REFUSES) - {"too large", "huge"})

    def script(stream, identity, attempt):
        # By id and attempt alone, so that it does not matter when the service dies.
        dice = random.Random(f"{suite.args.seed} {identity} {attempt}")
        return dice.choice(kinds) if dice.random() < 0.4 and attempt < 12 else "accept"

    receiver = Receiver(script, encoding="gzip")
    plain = Receiver(script)
    create(service, "patient", receiver, encoding="GZIP", interval_s=0)
    create(service, "plain", plain, interval_s=0)
    # Gives up what fails once; some of it was taken all the same.
    hasty = Receiver(lambda s, identity, attempt: random.Random(f"{suite.args.seed} {identity}").choice(["accept", "accept", "refuse", "lost", "too large"]))
    create(service, "hasty", hasty, retry_s=0, interval_s=0)
    feed = Feed(service, ("patient", "plain", "hasty"))
    kills = 40 if FULL else 8
    for turn in range(kills):
        time.sleep(rng.uniform(0.1, 1.5))  # a random moment, not a synchronisation
        service.kill().start({"HYDRANT_ENCODE_DIFFERENTLY": "1"} if turn % 3 == 2 else {})
        feed.api = service.api
    feed.finish()
    for name in feed.sent:
        service.flush(name)
    ledgers = service.drained(*feed.sent)
    for name, at in (("patient", receiver), ("plain", plain)):
        assert not at.deviations, at.deviations[:3]
        found = Counter(at.records(name))
        sent, unclear = Counter(feed.sent[name]), Counter(feed.unclear[name])
        lost, more = sent - found, found - sent - unclear
        assert not lost and not more, f"{name}: lost {lost.total()}, too many {more.total()}"
        assert ledgers[name]["refused"] == 0 and not errors(service, name)
        assert max(at.attempts.values()) > 1, "no request was repeated"
    assert not hasty.deviations, hasty.deviations[:3]
    refused, sent = [r["raw"] for r in errors(service, "hasty")], Counter(feed.sent["hasty"])
    with hasty.lock:
        sure = [record for identity in hasty.answered for record in hasty.taken["hasty"][identity]]
    assert not sent - Counter(refused) - Counter(hasty.records("hasty")), "lost"
    everything = sent + Counter(feed.unclear["hasty"])
    assert not Counter(refused) - everything and not Counter(hasty.records("hasty")) - everything, "too many"
    assert max(Counter(refused).values()) == 1 and ledgers["hasty"]["refused"] == len(refused)
    # What was given up before a kill stays given up; what was answered before one may be told as refused if the answer was lost.
    print(f"  {kills} kills, {sum(map(len, feed.sent.values()))} acknowledged, {receiver.requests + plain.requests + hasty.requests} requests, "
          f"{len(refused)} given up, {len(set(sure) & set(refused))} of them answered: lost 0")  # fmt: skip
    outbox_empty(service)
    assert service.stop() == 0


@suite.test("a crash right after a turn is stored: the error parcel goes out, and no further attempt is made")
def after_turn(folder):
    service = service_for(folder)
    service.start()
    receiver = Receiver(lambda *_: "refuse")
    create(service, "s", receiver, retry_s=0, interval_s=900)
    service.kill().start({"HYDRANT_FAILPOINT": "after_turn"})
    sent = lines("s", 0, 2500)
    for at in range(0, len(sent), 500):
        put(service, "s", sent[at : at + 500])
    service.flush("s")
    until("it crashes", lambda: not service.alive())
    service.kill()
    assert "failpoint after_turn reached" in service.tail()
    assert receiver.requests == 1, receiver.requests
    service.start()
    service.drained("s")
    same(sent, [r["raw"] for r in errors(service, "s")], "the error area")
    assert all(count == 1 for count in receiver.attempts.values()), receiver.attempts
    outbox_empty(service)
    assert service.stop() == 0


@suite.test("a restart neither resets the attempts nor ends the retry time")
def attempts_survive(folder):
    service = service_for(folder)
    service.start()
    receiver = Receiver(lambda *_: "refuse")
    create(service, "s", receiver, retry_s=7200)
    put(service, "s", lines("s", 0, 10))
    for _ in range(3):
        seen = receiver.requests
        until("more attempts", lambda: receiver.requests >= seen + 2, pause_s=0.005)
        assert not errors(service, "s"), "given up early"
        service.kill().start()
    # By a shorter time it is over at the next failure, whatever was counted before.
    service.firehose().update_destination(
        DeliveryStreamName="s", CurrentDeliveryStreamVersionId="1", DestinationId="destinationId-000000000001",
        HttpEndpointDestinationUpdate={"RetryOptions": {"DurationInSeconds": 0}},
    )  # fmt: skip
    service.drained("s")
    made = {r["attemptsMade"] for r in errors(service, "s")}
    # An attempt that the kill cut off was not counted.
    assert len(made) == 1 and receiver.requests - 3 <= made.pop() <= receiver.requests, (made, receiver.requests)
    assert service.stop() == 0


@suite.test("boto3: created, described, updated; the secret is nowhere")
def api(folder):
    service = service_for(folder, http={}, log={"level": "debug"})
    service.start()
    receiver = Receiver(access_key=SECRET)
    firehose = service.firehose()
    create(service, "s", receiver, key=SECRET, mode="FailedDataOnly")
    described = lambda: firehose.describe_delivery_stream(DeliveryStreamName="s")["DeliveryStreamDescription"]
    destination = described()["Destinations"][0]["HttpEndpointDestinationDescription"]
    assert destination["EndpointConfiguration"] == {"Url": receiver.url, "Name": "receiver"}
    assert destination["RetryOptions"] == {"DurationInSeconds": 7200} and destination["S3BackupMode"] == "FailedDataOnly"
    assert destination["S3DestinationDescription"]["Prefix"] == "s/all/"
    put(service, "s", lines("s", 0, 10))
    service.drained("s")
    assert not receiver.deviations, receiver.deviations[:3]

    def update(**members):
        current = described()
        firehose.update_destination(DeliveryStreamName="s", CurrentDeliveryStreamVersionId=current["VersionId"],
            DestinationId="destinationId-000000000001", HttpEndpointDestinationUpdate=members)  # fmt: skip

    # Something else: the key stays.
    update(RequestConfiguration={"ContentEncoding": "GZIP"}, S3Update={"Prefix": "s/other/"}, S3BackupMode="AllData")
    receiver.encoding = "gzip"
    put(service, "s", lines("s", 10, 10))
    service.drained("s")
    destination = described()["Destinations"][0]["HttpEndpointDestinationDescription"]
    assert destination["S3DestinationDescription"]["Prefix"] == "s/other/"
    assert destination["S3DestinationDescription"]["ErrorOutputPrefix"] == "s/error/" and destination["S3BackupMode"] == "AllData"
    # A new endpoint has the key that is given with it, or none.
    other = Receiver(encoding="gzip", path="/other")
    update(EndpointConfiguration={"Url": other.url})
    service.kill().start()
    firehose = service.firehose()
    put(service, "s", lines("s", 20, 10))
    service.drained("s")
    same(lines("s", 0, 20), receiver.records("s"), "the first endpoint")
    same(lines("s", 20, 10), other.records("s"), "the second endpoint")
    assert not receiver.deviations + other.deviations, (receiver.deviations + other.deviations)[:3]
    update(EndpointConfiguration={"Url": other.url, "AccessKey": SECRET})
    other.access_key = SECRET
    put(service, "s", lines("s", 30, 10))
    service.drained("s")
    assert not other.deviations, other.deviations[:3]

    # An endpoint that repeats the key in its refusal.
    echo = Receiver(lambda *_: "echo", access_key=SECRET)
    create(service, "echo", echo, key=SECRET, retry_s=0)
    put(service, "echo", lines("echo", 0, 3))
    service.drained("echo")
    said = [r["errorMessage"] for r in errors(service, "echo")]
    assert len(said) == 3 and all(text.endswith("401: not by (access key)") for text in said), said

    def refused(text, name="t", **options):
        try:
            create(service, name, receiver, **options)
        except firehose.exceptions.InvalidArgumentException as error:
            assert text in str(error), error
        else:
            raise AssertionError(f"taken: {text}")

    far = Receiver()
    refused("http:// to another machine", EndpointConfiguration={"Url": f"http://192.0.2.1:{far.port}/"})
    refused("Http Endpoint Common Attributes have duplicate name a.", RequestConfiguration={"CommonAttributes": [{"AttributeName": "a", "AttributeValue": "1"}] * 2})
    refused("Invalid secret ARN: null", SecretsManagerConfiguration={"Enabled": True})
    try:
        update(S3BackupMode="FailedDataOnly")
    except firehose.exceptions.InvalidArgumentException as error:
        assert "Disabling S3 backup is not currently supported." in str(error)
    else:
        raise AssertionError("AllData was switched off")
    answers = json.dumps([described(), service.stream("s"), service.stream("echo")], default=str) + service.admin("/metrics")[1].decode()
    assert service.stop() == 0
    for path in [*service.data_dir.rglob("*"), service.log_path]:
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), f"the secret is in {path}"
    assert SECRET not in answers
    assert (service.data_dir / "secrets.key").stat().st_mode & 0o777 == 0o600


@suite.test("a secret by its ARN, read anew when it changes")
def secrets(folder):
    arn, path = "arn:aws:secretsmanager:us-east-1:000000000000:secret:hook", folder / "hook.json"
    service = service_for(folder, {**FAST, "secrets": {arn: {"file": str(path)}}}).start()
    receiver = Receiver(access_key=SECRET)
    create(service, "s", receiver, interval_s=0, SecretsManagerConfiguration={"Enabled": True, "SecretARN": arn, "RoleARN": ROLE})
    put(service, "s", lines("s", 0, 10))
    until("it needs the operator", lambda: service.stream("s")["state"] == "needs_operator")
    assert arn in service.stream("s")["last_error"] and not receiver.requests
    path.write_text(json.dumps({"api_key": SECRET}))
    service.admin("/streams/s/resume", "POST")
    service.drained("s")
    receiver.access_key = "another"
    path.write_text(json.dumps({"api_key": "another"}))
    put(service, "s", lines("s", 10, 10))
    service.drained("s")
    same(lines("s", 0, 20), receiver.records("s"), "by secret")
    assert not receiver.deviations, receiver.deviations[:3]
    assert service.stop() == 0


@suite.test("an endpoint that hangs delays its own stream alone")
def slow_consumer(folder):
    service = service_for(folder, {"answer_timeout": "600s"}).start()
    hung, good = Receiver(lambda *_: "hang"), Receiver()
    for i in range(6):
        create(service, f"hung{i}", hung, interval_s=0)
    create(service, "good", good, interval_s=0)
    service.create("stored", interval_s=1)
    sent = []
    for turn in range(12):
        for i in range(6):
            put(service, f"hung{i}", lines("hung", turn * 50, 50))
        batch = lines("good", turn * 50, 50)
        put(service, "good", batch)
        put(service, "stored", batch)
        sent += batch
        if turn == 2:
            until("all hang", lambda: sum(hung.under_way.values()) >= 6)
    service.flush("stored")
    service.drained("good", "stored")
    same(sent, good.records("good"), "the good endpoint")
    assert max(hung.most_under_way.values()) <= 4, hung.most_under_way
    told = service.stream("hung0")
    assert told["ledger"]["in_flight"]["records"] == 600 and told["oldest_undelivered_age_ms"] > 0, told
    assert service.stream("good")["state"] == "running"
    service.kill()


@suite.test("plain receivers: a record a line, and an array, by member and by tag")
def plain_forms(folder):
    service = service_for(folder).start()
    by_line = Receiver(lambda stream, identity, attempt: "accepted" if attempt == 1 else "accept", plain="lines")
    array = Receiver(first_attempts("refuse", 1), plain="array", encoding="gzip")
    request = {"DeliveryStreamName": "lines", "HttpEndpointDestinationConfiguration": endpoint(service, "lines", by_line, RequestFormat="NDJSON")}
    status, body = Http(service.api).call("CreateDeliveryStream", request)
    assert status == 200, body
    create(service, "array", array, encoding="GZIP", tags={"hydrant:RequestFormat": "JSON_ARRAY"})
    records = lines("x", 0, 1200)
    put(service, "lines", [r.rstrip() for r in records])
    put(service, "array", records + [b"not json\n"])
    ledgers = service.drained("lines", "array")
    same(records, by_line.records("lines"), "lines")
    same([json.dumps(json.loads(r)).encode() for r in records], array.records("array"), "array")
    assert (ledgers["array"]["delivered"], ledgers["array"]["refused"]) == (1200, 1), ledgers
    (refused,) = errors(service, "array")
    assert (refused["raw"], refused["errorCode"], refused["attemptsMade"]) == (b"not json\n", "HttpEndpoint.InvalidRecord", 0)
    assert not by_line.deviations + array.deviations, (by_line.deviations + array.deviations)[:3]
    assert service.stop() == 0


@suite.test("https: by a certificate of ca_file, and not without it")
def tls(folder):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver = Receiver(encoding="gzip", tls=context)
    trusting = service_for(folder, {**FAST, "ca_file": str(certificate)}).start()
    create(trusting, "s", receiver, encoding="GZIP")
    put(trusting, "s", lines("s", 0, 500))
    trusting.drained("s")
    same(lines("s", 0, 500), receiver.records("s"), "https")
    assert not receiver.deviations, receiver.deviations[:3]
    assert trusting.stop() == 0
    wary = folder.hydrant_with_store("wary", http_endpoint=FAST).start()
    create(wary, "s", receiver, encoding="GZIP", retry_s=1)
    put(wary, "s", lines("s", 0, 5))
    wary.drained("s")
    assert {r["errorCode"] for r in errors(wary, "s")} == {"HttpEndpoint.SSLHandshakeCertificatePathFailure"}, errors(wary, "s")[0]
    assert wary.stop() == 0


if __name__ == "__main__":
    suite.main()
