"""Transforms over boto3 with the guest `poison` (tests/guests), whose records say what it does with them.

Every record ends as its words say: delivered, dropped or refused, once; whatever a guest does, the service goes on.
"""

import base64
import json
import random
import re
import threading
import time
from collections import Counter

from botocore.exceptions import ClientError

import oracle
from harness import FULL, ROOT, Http, Suite, target, until


suite = Suite("transforms")
GUESTS = ["--transforms-dir", str(ROOT / "tests" / "guests")]


def transform(function, **parameters):
    parameters = {"LambdaArn": f"arn:aws:lambda:us-east-1:000000000000:function:{function}", **parameters}
    listed = [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()]
    return {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": listed}]}}


def outcome(service, stream):
    """[(key below `<stream>/data/`, content)] of a stream's data, and its error records with their type."""
    data, errors = [], []
    for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/"):
        if each.key.startswith(f"{stream}/error/"):
            kind = each.key.split("/")[2]
            errors += [{**error, "kind": kind} for error in oracle.error_records(each.content(), kind)]
        else:
            data.append((each.key.removeprefix(f"{stream}/data/"), each.content()))
    return data, errors


# Words that fail their record, with the code; the guest of the packed world knows one more.
HOSTILE = {
    "loop!": "Lambda.FunctionTimedOut",
    "hog!": "Lambda.FunctionError",
    "overflow!": "Lambda.FunctionError",
    "trap!": "Lambda.FunctionError",
    "err!": "Lambda.FunctionError",
    "missing!": "Lambda.MissingRecordId",
    "twice!": "Lambda.DuplicatedRecordId",
    "null!": "Lambda.InvalidReturnFormat",
    "utf8!": "Lambda.InvalidReturnFormat",
    "status!": "Lambda.InvalidReturnFormat",
    "fail!": "Lambda.ProcessingFailedStatus",
}
# Words that do no harm: ids of nobody, another order, 100,000 keys, 10,000 log lines.
HARMLESS = ["alien!", "reverse!", "keys!", "flood!"]


@suite.test("guests that loop, hoard, recurse, trap and answer wrongly fail their own records, and nothing else")
def hostile(folder):
    service = folder.hydrant(arguments=GUESTS).start()
    limits = {"NumberOfRetries": "0", "TimeoutInSeconds": "5", "MemoryInMBs": "32"}
    wanted = {"list": HOSTILE, "packed": {**HOSTILE, "cut!": "Lambda.InvalidReturnFormat"}}
    firehose = service.firehose()
    service.create("quiet", interval_s=0)
    sent = {}
    for world, words in wanted.items():
        service.create(world, interval_s=900, size_mb=64, **transform(f"poison-{world}", **limits))
        order = ["loop!", *HARMLESS, *[word for word in words if word != "loop!"] * 2, *["plain"] * 200]
        random.Random(suite.args.seed).shuffle(order)
        sent[world] = [f"{n} {word}\n".encode() for n, word in enumerate(order)]
        answer = firehose.put_record_batch(DeliveryStreamName=world, Records=[{"Data": record} for record in sent[world]])
        assert answer["FailedPutCount"] == 0, answer
        service.flush(world)
    # Meanwhile another stream is served.
    for n in range(50):
        firehose.put_record(DeliveryStreamName="quiet", Record={"Data": f"{n}\n".encode()})
    ledgers = service.drained("quiet", *sent)
    assert ledgers["quiet"]["delivered"] == 50, ledgers["quiet"]
    for world, words in wanted.items():
        data, errors = outcome(service, world)
        word_of = lambda record: record.split()[1].decode()
        found = {error["raw"]: error["errorCode"] for error in errors}
        expected = {record: words[word_of(record)] for record in sent[world] if word_of(record) in words}
        assert found == expected, sorted(set(found.items()) ^ set(expected.items()))[:20]
        good = [record for record in sent[world] if record not in found]
        oracle.same_lines(b"".join(good), b"".join(content for _, content in data), world)
        assert ledgers[world]["refused"] == len(errors) and ledgers[world]["delivered"] == len(good), ledgers[world]
    assert service.alive()


@suite.test("what is no transform is refused at Create, by what is wrong with it")
def refused(folder):
    service = folder.hydrant(arguments=GUESTS).start()
    for function, text in (("imports", "a transform may import no function"), ("wrong-types", "has not the types")):
        try:
            service.create("no", **transform(function))
            raise AssertionError(f"{function} is taken")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidArgumentException", error
            assert text in error.response["Error"]["Message"], error
    assert service.firehose().list_delivery_streams()["DeliveryStreamNames"] == []


def row(n):
    """A record and its fate: the times it is delivered and its folder, or the type of its error, or None if dropped."""
    key = f"@k=v{n % 50}"
    words, fate = {
        7: (f"{key} drop!", None),
        9: (f"{key} fail!", "processing-failed"),
        11: (f"{key} fan!", 2),
        13: ("", "partitioning-failed"),
        15: (f"{key} {key}", "partitioning-failed"),
        1017: (f"{key} trap!", "processing-failed"),
    }.get(n % 2000 if n % 2000 == 1017 else n % 100, (key, 1))
    return f'{{"n":{n},"words":" {words} "}}\n'.encode(), fate


@suite.test("a transform that drops, fails, fans out and partitions by content, under kill -9: each record has one fate")
def killed(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant(arguments=GUESTS).start()
    service.create(
        "s", prefix="s/data/k=!{partitionKeyFromLambda:k}/", compression="GZIP", interval_s=1,
        DynamicPartitioningConfiguration={"Enabled": True}, **transform("poison-packed", NumberOfRetries="0"),
    )  # fmt: skip
    acknowledged, tried, api, stopping, troubles = [], [], [service.api], threading.Event(), []

    def produce():
        http, connected = None, None
        while not stopping.is_set():
            if http is None or connected != api[0]:
                connected = api[0]
                http = Http(connected, timeout_s=60)
            time.sleep(0.02)  # not to put more than is looked at afterwards
            numbers = range(len(tried), len(tried) + 200)
            tried.extend(numbers)
            records = [{"Data": base64.b64encode(row(n)[0]).decode()} for n in numbers]
            body = json.dumps({"DeliveryStreamName": "s", "Records": records}).encode()
            try:
                status, _, raw = http.request("POST", "/", body, target("PutRecordBatch"))
                if status == 200 and json.loads(raw)["FailedPutCount"] == 0:
                    acknowledged.extend(numbers)
                elif status not in (500, 503):
                    troubles.append((status, raw[:300]))
            except Exception:  # the service is being killed
                http.close()
                http = None
                time.sleep(0.05)  # not to spin on a closed port

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    turns = 30 if FULL else 5
    for turn in range(turns):
        time.sleep(rng.uniform(0.3, 2.5))  # a random moment, not a synchronisation
        assert turn % 3 < 2 or service.stop() == 0
        service.kill().start()
        api[0] = service.api
    stopping.set()
    producer.join(120)
    assert not producer.is_alive() and not troubles, troubles[:3]
    service.flush("s")
    ledger = service.drained("s")["s"]
    data, errors = outcome(service, "s")
    fates = {n: row(n)[1] for n in tried}
    found = Counter()
    for key, content in data:
        for line in content.splitlines():
            n = json.loads(line)["n"]
            found[n] += 1
            assert isinstance(fates[n], int) and key.startswith(f"k=v{n % 50}/s-1-"), (key, line)
    for n, times in found.items():
        assert times == fates[n], (n, times)
    refused = [json.loads(error["raw"])["n"] for error in errors]
    assert len(refused) == len(set(refused))
    for n, error in zip(refused, errors):
        assert error["kind"] == fates[n], (n, error)
    kept = {*found, *refused}
    lost = [n for n in acknowledged if fates[n] is not None and n not in kept]
    assert acknowledged and not lost, lost[:9]
    assert (ledger["delivered"], ledger["refused"]) == (len(found), len(refused)), ledger
    assert ledger["dropped"] >= sum(1 for n in acknowledged if fates[n] is None) > 0, ledger
    print(f"  acknowledged {len(acknowledged)}: {ledger['delivered']} delivered, {ledger['refused']} refused, "
          f"{ledger['dropped']} dropped; lost 0, doubled 0")  # fmt: skip
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())
    # Code was compiled once in all these starts, of which the first loads it at Create and the others before they serve.
    loaded = re.findall(r"transform loaded .*found_compiled=(\w+)", re.sub(r"\x1b\[[0-9;]*m", "", service.log_path.read_text()))
    assert loaded[0] == "false" and len(loaded) > turns and set(loaded[1:]) == {"true"}, loaded
    assert list(service.data_dir.glob("compiled/*/modules/*/*")), "no compiled code is kept"


if __name__ == "__main__":
    suite.main()
