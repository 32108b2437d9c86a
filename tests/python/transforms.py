"""Transforms over boto3 with the guest `poison` (tests/guests), whose records say what it does with them.

Every record ends as its words say: delivered, dropped or refused, once; whatever a guest does, the service goes on, also
under kill -9. The moments of the kills come from --seed; how far the load has got by then does not.
"""

import base64
import json
import os
import random
import re
import shutil
import threading
import time
from collections import Counter

from botocore.exceptions import ClientError

import oracle
from harness import DEADLINE_S, FULL, ROOT, Http, Suite, target, until


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


# Words that fail their record, with the code, and what its message says of it.
FUNCTION_ERROR = "Lambda.FunctionError"
FORMAT = "Lambda.InvalidReturnFormat"
HOSTILE = {
    "loop!": ("Lambda.FunctionTimedOut", "It took more than "),
    "hog!": (FUNCTION_ERROR, "It needs more memory than its limit of 33554432 bytes."),
    "huge!": (FUNCTION_ERROR, "It needs more memory than its limit of 33554432 bytes."),
    "overflow!": (FUNCTION_ERROR, "call stack exhausted"),
    "trap!": (FUNCTION_ERROR, "error result. panicked at src/lib.rs:"),
    "silent!": (FUNCTION_ERROR, "error result. wasm trap: wasm `unreachable` instruction executed"),
    "err!": (FUNCTION_ERROR, "error result. err! in a record"),
    "missing!": ("Lambda.MissingRecordId", "One or more record Ids were not returned."),
    "wrong!": ("Lambda.MissingRecordId", "One or more record Ids were not returned."),
    "twice!": ("Lambda.DuplicatedRecordId", "Multiple records were returned with the same record Id."),
    "null!": (FORMAT, "The data field cannot be null"),
    "utf8!": (FORMAT, "cannot be read."),
    "utf8-key!": (FORMAT, "cannot be read."),
    "utf8-id!": (FORMAT, "cannot be read. invalid utf-8"),
    "status!": (FORMAT, "cannot be read. unexpected discriminant"),
    "beyond!": (FORMAT, "cannot be read."),
    "fail!": ("Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record: fail! in a record"),
}
# What differs in the packed world, and what only its guest can do.
PACKED = {
    **HOSTILE,
    "utf8-id!": HOSTILE["missing!"],  # an id is bytes there, so it is one of nobody
    "status!": (FORMAT, "The result field must be one of Ok, Dropped and ProcessingFailed."),
    "cut!": (FORMAT, "the packed output ends inside"),
    "long!": (FORMAT, "the packed output holds 3 bytes after its end"),
    "spill!": (FORMAT, "the packed output ends inside data"),
}
WORLDS = {"list": HOSTILE, "packed": PACKED}
# Words that do no harm: ids of nobody, another order, 100,000 keys, 10,000 log lines, a trap on the third record of a call.
HARMLESS = ["alien!", "reverse!", "keys!", "flood!", "third!"]


def word_of(record):
    return record.split()[1].decode()


@suite.test("guests that loop, hoard, recurse, trap and answer wrongly fail their own records, and nothing else")
def hostile(folder):
    service = folder.hydrant(arguments=GUESTS).start()
    limits = {"NumberOfRetries": "0", "TimeoutInSeconds": "5", "MemoryInMBs": "32"}
    firehose = service.firehose()
    service.create("quiet", interval_s=0)
    sent = {}
    for world, words in WORLDS.items():
        service.create(world, interval_s=900, size_mb=64, **transform(f"poison-{world}", **limits))
        order = ["loop!", *HARMLESS * 2, *[word for word in words if word != "loop!"] * 2, *["plain"] * 200]
        random.Random(suite.args.seed).shuffle(order)
        sent[world] = [f"{n} {word}\n".encode() for n, word in enumerate(order)]
        answer = firehose.put_record_batch(DeliveryStreamName=world, Records=[{"Data": record} for record in sent[world]])
        assert answer["FailedPutCount"] == 0, answer
        service.flush(world)
    # Meanwhile another stream is served.
    for n in range(50):
        firehose.put_record(DeliveryStreamName="quiet", Record={"Data": f"{n}\n".encode()})
    ledgers = service.drained("quiet", *sent, deadline_s=3 * DEADLINE_S)
    assert ledgers["quiet"]["delivered"] == 50, ledgers["quiet"]
    for world, words in WORLDS.items():
        data, errors = outcome(service, world)
        found = {error["raw"]: error["errorCode"] for error in errors}
        expected = {record: words[word_of(record)][0] for record in sent[world] if word_of(record) in words}
        assert found == expected, sorted(set(found.items()) ^ set(expected.items()))[:20]
        for error in errors:
            text = words[word_of(error["raw"])][1]
            assert text in error["errorMessage"] and error["attemptsMade"] == 1, (world, error)
        good = [record for record in sent[world] if record not in found]
        oracle.same_lines(b"".join(good), b"".join(content for _, content in data), world)
        assert ledgers[world]["refused"] == len(errors) and ledgers[world]["delivered"] == len(good), ledgers[world]
    assert service.alive()


@suite.test("what a guest said last, and what it says beside its data, is in the log, so much of it as is let through")
def told(folder):
    for world in WORLDS:
        # A service for each, so that nothing was said before.
        service = folder.hydrant(f"told-{world}", arguments=GUESTS).start()
        service.create(world, interval_s=900, **transform(f"poison-{world}", NumberOfRetries="0"))

        def log_after(record):
            service.firehose().put_record(DeliveryStreamName=world, Record={"Data": record})
            service.flush(world)
            service.drained(world)
            return service.log_path.read_text()

        log = log_after(b"trap!\n")
        assert "panicked at src/lib.rs:" in log, service.tail()
        log = log_after(b"flood!\n")
        said = log.count("transform says: line ")
        assert "transform says: line 0" in log and said < 1000, f"{said} lines of 10,000 are in the log"
        assert log.count("from here on lines are left out") == 1, "what is left out is not told, or more than once"
        # The next line that is let through tells how many they were; the allowance for it comes with time.
        until("the number left out", lambda: re.search(r"suppressed=[1-9]", log_after(b"log!\n")))


@suite.test("an answer above the limit, and 100,000 keys where keys are asked for, fail their records")
def large(folder):
    service = folder.hydrant(arguments=GUESTS).start()
    limits = {"NumberOfRetries": "1", "MemoryInMBs": "512"}
    for world in WORLDS:
        service.create(world, interval_s=900, **transform(f"poison-{world}", **limits))
        service.create(
            f"keys-{world}", prefix=f"keys-{world}/data/k=!{{partitionKeyFromLambda:k}}/", interval_s=900, size_mb=64,
            DynamicPartitioningConfiguration={"Enabled": True}, **transform(f"poison-{world}", **limits),
        )  # fmt: skip
        for n, words in enumerate((" huge!", " plain", " @k=1", " @k=1 keys!", " keys!", " keys! huge!")):
            stream = f"keys-{world}" if "k" in words else world
            service.firehose().put_record(DeliveryStreamName=stream, Record={"Data": f"{n}{words} \n".encode()})
        service.flush(world)
        service.flush(f"keys-{world}")
    ledgers = service.drained(*WORLDS, *[f"keys-{world}" for world in WORLDS])
    too_large = "It returned more than the limit of 67108864 bytes."
    for world in WORLDS:
        data, errors = outcome(service, world)
        found = [(error["raw"], error["errorCode"], error["attemptsMade"]) for error in errors]
        assert found == [(b"0 huge! \n", FUNCTION_ERROR, 2)] and too_large in errors[0]["errorMessage"], errors
        assert [content for _, content in data] == [b"1 plain \n"], data
        data, errors = outcome(service, f"keys-{world}")
        assert [(key.split("/")[0], content) for key, content in data] == [("k=1", b"2 @k=1 \n3 @k=1 keys! \n")], data
        found = {error["raw"]: (error["kind"], error["errorCode"]) for error in errors}
        assert found == {
            b"4 keys! \n": ("partitioning-failed", "DynamicPartitioning.MetadataExtractionFailed"),
            b"5 keys! huge! \n": ("processing-failed", FUNCTION_ERROR),
        }, errors
        assert (ledgers[world]["refused"], ledgers[f"keys-{world}"]["refused"]) == (1, 2), ledgers


@suite.test("beside guests that loop and hoard on all threads of transforms, another stream has an object for each interval")
def beside(folder):
    service = folder.hydrant(arguments=GUESTS).start()
    firehose = service.firehose()
    service.create("quiet", interval_s=1)
    names = [f"hostile-{n}" for n in range(max(4, 2 * (os.cpu_count() or 1)))]
    for n, name in enumerate(names):
        # As their defaults are: a minute, three retries, 256 MiB.
        service.create(name, interval_s=0, **transform(f"poison-{list(WORLDS)[n % 2]}"))
        data = f"{('loop!', 'hog!')[n // 2 % 2]}\n".encode().rjust(6000)
        answer = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": data}] * 500)
        assert answer["FailedPutCount"] == 0, answer
    sent = 0
    for _ in range(8):
        for _ in range(10):
            firehose.put_record(DeliveryStreamName="quiet", Record={"Data": f"{sent}\n".encode()})
            sent += 1
        # Nothing but the interval cuts here.
        until("the interval's object", lambda: service.ledger("quiet")["delivered"] == sent)
    data, errors = outcome(service, "quiet")
    assert len(data) >= 8 and not errors, (len(data), errors)
    oracle.same_lines(b"".join(b"%d\n" % n for n in range(sent)), b"".join(content for _, content in data), "quiet")
    still = [name for name in names if service.ledger(name)["in_flight"] > 0]
    assert len(still) == len(names), f"only {still} are still at it"
    # A stop does not wait for them, and nothing of what they had is lost by it.
    assert service.stop() == 0
    service.start()
    for name in names:
        ledger = service.ledger(name)
        assert ledger["received"] == 500 and ledger["delivered"] == 0, (name, ledger)


@suite.test("what is no transform is refused at Create, by what is wrong with it")
def refused(folder):
    service = folder.hydrant(arguments=GUESTS).start()
    names = (
        "io/error@0.2.3#error io/streams@0.2.3#output-stream io/streams@0.2.3#error "
        "io/streams@0.2.3#[method]output-stream.blocking-write-and-flush cli/environment@0.2.3#get-environment "
        "cli/environment@0.2.3#get-arguments cli/exit@0.2.3#exit cli/stdout@0.2.3#output-stream cli/stdout@0.2.3#get-stdout "
        "clocks/wall-clock@0.2.3#now random/random@0.2.3#get-random-u64"
    )
    wasi = ", ".join(f"wasi:{name}" for name in names.split())
    for function, text in (
        ("imports", "it imports test:guest/clock#now, beep; a transform may import no function"),
        ("wasi", f"it imports {wasi}; a transform may import no function"),
        ("wrong-types", "has not the types"),
    ):
        try:
            service.create("no", **transform(function))
            raise AssertionError(f"{function} is taken")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidArgumentException", error
            assert text in error.response["Error"]["Message"], error
    assert service.firehose().list_delivery_streams()["DeliveryStreamNames"] == []


@suite.test("a new file is adopted at the next cut, a broken one is told of in the status and changes nothing")
def revised(folder):
    guests, transforms = ROOT / "tests" / "guests", folder / "transforms"
    transforms.mkdir()

    def place(source):
        shutil.copy(source, transforms / "new")
        os.replace(transforms / "new", transforms / "t.wasm")

    place(guests / "poison-list.wasm")
    service = folder.hydrant(arguments=["--transforms-dir", str(transforms)]).start()
    service.create("s", interval_s=900, **transform("t", NumberOfRetries="0"))
    firehose, sent = service.firehose(), 0

    def cut():
        """Puts a record whose status tells the worlds apart, has it cut; the message of its error record, and the problem."""
        nonlocal sent
        firehose.put_record(DeliveryStreamName="s", Record={"Data": b"status! %d\n" % sent})
        sent += 1
        service.flush("s")
        service.drained("s")
        (error,) = [e for e in outcome(service, "s")[1] if e["raw"] == b"status! %d\n" % (sent - 1)]
        return error["errorMessage"], service.stream("s").get("transform_problem")

    of_list, of_packed = (WORLDS[world]["status!"][1] for world in ("list", "packed"))
    message, problem = cut()
    assert of_list in message and problem is None, (message, problem)
    for broken, text in (
        (b"half a file", "not a WebAssembly component"),
        ((guests / "wasi.wasm").read_bytes(), "it imports wasi:"),
        ((guests / "poison-list.wasm").read_bytes()[:50_000], "cut off or damaged perhaps"),
    ):
        (folder / "broken").write_bytes(broken)
        place(folder / "broken")
        message, problem = cut()
        assert of_list in message and text in problem, (message, problem)
    place(guests / "poison-packed.wasm")
    message, problem = cut()
    assert of_packed in message and problem is None, (message, problem)
    (transforms / "t.wasm").unlink()
    message, problem = cut()
    assert of_packed in message and "there is no transform" in problem, (message, problem)
    # Over a restart there is no module but that of the file: records wait for it, and the status says for what.
    service.kill().start()
    firehose = service.firehose()
    firehose.put_record(DeliveryStreamName="s", Record={"Data": b"waits\n"})
    service.flush("s")
    status = until("the fault", lambda: (s := service.stream("s")).get("last_error") and s)
    assert status["state"] == "needs_operator" and "there is no transform" in json.dumps(status), status
    place(guests / "poison-list.wasm")
    service.admin("/streams/s/resume", "POST")
    service.drained("s")
    assert b"".join(content for _, content in outcome(service, "s")[0]) == b"waits\n"


PARTITIONS = 10
BATCH = 200


def row(n):
    """A record and its fate: the times it is delivered and its folder, or the type of its error, or None if dropped."""
    key = f"@k=v{n % PARTITIONS}"
    words, fate = {
        7: (f"{key} drop!", None),
        9: (f"{key} fail!", "processing-failed"),
        11: (f"{key} fan!", 2),
        13: ("", "partitioning-failed"),
        15: (f"{key} {key}", "partitioning-failed"),
        17: (f"{key} missing!", "processing-failed"),
        19: (f"{key} twice!", "processing-failed"),
        1017: (f"{key} trap!", "processing-failed"),
    }.get(n % 2000 if n % 2000 == 1017 else n % 100, (key, 1))
    return f'{{"n":{n},"words":" {words} "}}\n'.encode(), fate


class Producer:
    """Puts batches of rows one after the other over kills; knows which were tried and which acknowledged, by number."""

    def __init__(self, api):
        self.tried, self.acknowledged, self.troubles = 0, set(), []
        self.api, self.stopping = api, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        http, connected = None, None
        while not self.stopping.is_set():
            if http is None or connected != self.api:
                connected = self.api
                http = Http(connected, timeout_s=60)
            time.sleep(0.05)  # not to put more than is looked at afterwards
            batch, self.tried = self.tried, self.tried + 1
            records = [{"Data": base64.b64encode(row(n)[0]).decode()} for n in rows_of(batch)]
            body = json.dumps({"DeliveryStreamName": "s", "Records": records}).encode()
            try:
                status, _, raw = http.request("POST", "/", body, target("PutRecordBatch"))
                if status == 200 and json.loads(raw)["FailedPutCount"] == 0:
                    self.acknowledged.add(batch)
                elif status not in (500, 503):
                    self.troubles.append((status, raw[:300]))
            except Exception:  # the service is being killed
                http.close()
                http = None
                time.sleep(0.05)  # not to spin on a closed port

    def finish(self):
        self.stopping.set()
        self.thread.join(120)
        assert not self.thread.is_alive() and not self.troubles, self.troubles[:3]


def rows_of(batch):
    return range(batch * BATCH, (batch + 1) * BATCH)


def judge(service, producer, what):
    """Every row of every batch has the fate that its words say, once; of a batch that was not acknowledged, or none has."""
    # Of the long form most may wait still: a batch that traps is halved, in an instance for each half.
    ledger = service.drained("s", deadline_s=DEADLINE_S * (5 if FULL else 1))["s"]
    data, errors = outcome(service, "s")
    found, refused = Counter(), {}
    for key, content in data:
        for line in content.splitlines():
            n = json.loads(line)["n"]
            found[n] += 1
            assert key.startswith(f"k=v{n % PARTITIONS}/s-1-"), (key, line)
    for error in errors:
        n = json.loads(error["raw"])["n"]
        assert error["raw"] == row(n)[0] and n not in refused, (n, error)
        refused[n] = error["kind"]
    fates, lost, taken = Counter(), [], 0
    for batch in range(producer.tried):
        wanted = {n: row(n)[1] for n in rows_of(batch)}
        is_there = any(n in found or n in refused for n in wanted)
        taken += is_there
        if batch in producer.acknowledged and not is_there:
            lost.append((batch, "all of it"))
        for n, fate in wanted.items() if is_there else ():
            kind = "dropped" if fate is None else "delivered" if isinstance(fate, int) else "refused"
            fates[kind] += 1
            seen = (found.pop(n, 0), refused.pop(n, None))
            if seen != {"dropped": (0, None), "delivered": (fate, None), "refused": (0, fate)}[kind]:
                lost.append((n, fate, seen))
    print(f"  {what}: acknowledged {len(producer.acknowledged)} batches of {BATCH}, taken {taken} of {producer.tried}: {fates['delivered']} delivered, "
          f"{fates['refused']} refused, {fates['dropped']} dropped; amiss {len(lost)}, alien {len(found) + len(refused)}, objects {len(data)}", flush=True)  # fmt: skip
    assert not lost and not found and not refused, (lost[:9], list(found)[:9], list(refused)[:9])
    assert producer.acknowledged and all(fates[kind] for kind in ("delivered", "refused", "dropped")), fates
    assert {kind: ledger[kind] for kind in fates} == fates and ledger["received"] == taken * BATCH, (ledger, fates)
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())


def wait_for_delivery(service, most_s=5):
    """Until something is delivered, so that a kill comes where there is something to break; not for long."""
    delivered = lambda: service.ledger("s")["delivered"]
    before, end = delivered(), time.monotonic() + most_s
    while delivered() == before and time.monotonic() < end:
        time.sleep(0.02)


def kill_round(folder, kills, seed, outside, interval_s):
    """Meanwhile the transform's file changes from one world to the other, whose guests do the same, and is broken at times.
    With `outside`, S3 is another process, which lives on."""
    rng = random.Random(seed)
    transforms = folder / "transforms"
    transforms.mkdir()

    def place(content):
        (transforms / "new").write_bytes(content)
        os.replace(transforms / "new", transforms / "t.wasm")

    files = [(ROOT / "tests" / "guests" / f"poison-{world}.wasm").read_bytes() for world in WORLDS]
    place(files[0])
    if outside:
        service = folder.hydrant_with_store(transforms_dir=str(transforms)).start()
    else:
        service = folder.hydrant(arguments=["--transforms-dir", str(transforms)]).start()
    service.create(
        "s", prefix="s/data/k=!{partitionKeyFromLambda:k}/", compression="GZIP", interval_s=interval_s,
        DynamicPartitioningConfiguration={"Enabled": True}, **transform("t", NumberOfRetries="0"),
    )  # fmt: skip
    producer = Producer(service.api)
    stops = early = changes = 0
    for turn in range(kills):
        for _ in range(rng.randrange(3)):
            time.sleep(rng.uniform(0.1, 0.8))  # a random moment, not a synchronisation
            place(rng.choice([*files, b"no component"]))
            changes += 1
        place(rng.choice(files))  # the one of the next start, which knows no older one
        if service.ready and rng.random() < 0.7:
            wait_for_delivery(service)
        time.sleep(rng.uniform(0.0, 0.6))
        if rng.random() < 0.1 and service.ready:
            assert service.stop() == 0
            stops += 1
        service.kill()
        if rng.random() < 0.2 and turn + 1 < kills:
            early += 1
            service.spawn()
            time.sleep(rng.uniform(0.0, 0.4))
            continue
        service.start()
        producer.api = service.api
    producer.finish()
    service.admin("/streams/s/resume", "POST")
    service.flush("s")
    what = f"seed {seed}, interval {interval_s} s, {kills} kills, {early} of them at the start, {stops} stops before, {changes} files"
    judge(service, producer, what)
    # Each of the two is compiled once, however often it is loaded.
    log = re.sub(r"\x1b\[[0-9;]*m", "", service.log_path.read_text())
    loaded = re.findall(r"transform loaded .*sha256_hex=\"?(\w+).*found_compiled=(\w+)", log)
    compiled = Counter(sha256 for sha256, found_compiled in loaded if found_compiled == "false")
    assert compiled and max(compiled.values()) == 1 and len(loaded) > sum(compiled.values()), (compiled, len(loaded))
    assert list(service.data_dir.glob("compiled/*/modules/*/*")), "no compiled code is kept"
    assert service.stop() == 0


def add_rounds():
    # At an interval of 0 there is always something on its way, at one of 1 s always something in the spool.
    rounds = [(100, number % 2 == 1, number // 2 % 2) for number in range(5)] if FULL else [(6, False, 1), (6, True, 0)]
    for number, (kills, outside, interval_s) in enumerate(rounds):
        where = "S3 in another process" if outside else "S3 in the same process"
        suite.test(
            f"a transform that drops, fails, fans out and partitions by content, under {kills} kills, {where}, "
            f"round {number + 1} of {len(rounds)}: each record has one fate"
        )(
            lambda folder, number=number, kills=kills, outside=outside, interval_s=interval_s: kill_round(
                folder, kills, suite.args.seed + number, outside, interval_s
            )
        )


add_rounds()

if __name__ == "__main__":
    suite.main()
