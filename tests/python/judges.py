"""The judges themselves: fed with what must not pass, they must say so. A judge that cannot fail proves nothing."""

import gzip
import io
import json
import types

import pyarrow
import pyarrow.parquet

import crash
import oracle
from harness import Suite

suite = Suite("judges")
UUID = "0f0e0d0c-0b0a-8908-8706-050403020100"


class FakeS3:
    """Objects of a dictionary behind the few calls the judges make."""

    def __init__(self, objects):
        self.objects = objects

    def get_paginator(self, _):
        contents = [{"Key": key} for key in sorted(self.objects)]
        return types.SimpleNamespace(paginate=lambda **_: [{"Contents": contents}])

    def get_object(self, Bucket, Key):
        body = self.objects[Key]
        return {
            "Body": io.BytesIO(body),
            "ContentType": "application/octet-stream",
            "ContentEncoding": "gzip" if Key.endswith(".gz") else "",
            "Metadata": {},
        }


def key(stream, number=0, extension="", kind="data"):
    return f"{stream}/{kind}/2026/01/02/03/{stream}-1-2026-01-02-03-04-05-{UUID[:-2]}{number:02}{extension}"


def world(streams=("join", "gzip")):
    """A load of two batches of five a stream, the first acknowledged, and the objects of a service that did well."""
    load = types.SimpleNamespace(streams=list(streams), attempts=crash.Attempts())
    objects, ledgers = {}, {}
    for stream in streams:
        name, ids = load.attempts.new(stream, 0, 1, 5)
        load.attempts.acknowledged(name)
        load.attempts.new(stream, 0, 2, 5)
        body = b"".join(map(crash.record, ids))
        objects[key(stream, 0, ".gz" if stream == "gzip" else "")] = gzip.compress(body) if stream == "gzip" else body
        if stream in crash.BACKED_UP:
            objects[key(stream, 2, kind="backup")] = body
        ledgers[stream] = {"received": 5, "delivered": 5, "refused": 0, "dropped": 0, "discarded": 0, "in_flight": 0}
    return load, objects, ledgers


def judged(load, objects, ledgers):
    s3 = FakeS3(objects)
    backup_ledger = lambda name: dict.fromkeys(("received", "delivered"), ledgers[name]["received"])
    service = types.SimpleNamespace(
        drained=lambda *_: ledgers, backup_ledger=backup_ledger, s3_client=lambda: s3, bucket="b", data_dir=None
    )
    crash.judge(service, load, 1, "judge of the judge")


def refuses(text, load, objects, ledgers):
    try:
        judged(load, objects, ledgers)
    except AssertionError as error:
        assert text in str(error), f"for another reason: {error}"
        return
    raise AssertionError(f"it passed, and should have said '{text}'")


@suite.test("what is right passes")
def right(_):
    judged(*world())


@suite.test("a lost record is seen")
def lost(_):
    load, objects, ledgers = world()
    body = objects[key("join")]
    objects[key("join")] = body[body.index(b"\n") + 1 :]
    refuses("lost", load, objects, ledgers)


@suite.test("a lost object is seen")
def lost_object(_):
    load, objects, ledgers = world()
    del objects[key("gzip", 0, ".gz")]
    refuses("lost", load, objects, ledgers)


@suite.test("a doubled record is seen, in one object and in two")
def doubled(_):
    load, objects, ledgers = world()
    objects[key("join", 1)] = objects[key("join")]
    refuses("doubled", load, objects, ledgers)
    load, objects, ledgers = world()
    body = objects[key("join")]
    objects[key("join")] = body + body[: body.index(b"\n") + 1]
    refuses("doubled", load, objects, ledgers)


@suite.test("alien, altered and torn records are seen")
def alien(_):
    load, objects, ledgers = world()
    objects[key("join", 1)] = crash.record("join.9.9.0")
    refuses("alien", load, objects, ledgers)
    load, objects, ledgers = world()
    objects[key("join")] = objects[key("join")].replace(b'"pad":"', b'"pad":"!', 1)
    refuses("not as it was sent", load, objects, ledgers)
    load, objects, ledgers = world()
    objects[key("join")] = objects[key("join")][:-1]
    refuses("ends within a record", load, objects, ledgers)
    load, objects, ledgers = world()
    objects[key("gzip", 1, ".gz")] = objects.pop(key("gzip", 0, ".gz"))[:-9]
    refuses("gzip", load, objects, ledgers)
    load, objects, ledgers = world()
    objects["stray"] = b""
    try:
        judged(load, objects, ledgers)
    except (AssertionError, ValueError):
        return
    raise AssertionError("a stray object passed")


@suite.test("a ledger that differs from the objects is seen")
def ledger(_):
    load, objects, ledgers = world()
    ledgers["join"]["delivered"] = 4
    refuses("join", load, objects, ledgers)


@suite.test("a record that is delivered and refused is seen; broken JSON as a row is seen")
def both(_):
    load, objects, ledgers = world(streams=("parquet",))
    _, ids = load.attempts.new("parquet", 1, 17, 3)  # its first record is broken JSON
    assert ids[0].endswith("x")
    table = lambda names: pyarrow.table({"id": names, "pad": [crash.pad(name) for name in names]})

    def parquet(names):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table(names), sink)
        return sink.getvalue()

    objects.clear()
    first = [f"parquet.0.1.{number}" for number in range(5)]
    objects[key("parquet", 0, ".parquet")] = parquet(first)
    judged(load, objects, ledgers)
    import base64

    error = {"attemptsMade": 1, "arrivalTimestamp": 1, "rawData": base64.b64encode(crash.record(first[0])).decode()}
    objects[key("parquet", 1, kind="error")] = json.dumps(error).encode() + b"\n"
    refuses("doubled", load, objects, ledgers)
    del objects[key("parquet", 1, kind="error")]
    objects[key("parquet", 2, ".parquet")] = parquet([ids[0]])
    refuses("broken JSON", load, objects, ledgers)


@suite.test("of dropped records none is missed and none may stand anywhere")
def dropped(_):
    load, objects, ledgers = world(streams=("enrich",))
    name, ids = load.attempts.new("enrich", 0, 11, 1)
    assert ids[0].endswith("d")
    load.attempts.acknowledged(name)
    objects[key("enrich", 3, kind="backup")] = crash.record(ids[0])
    ledgers["enrich"].update(received=6, dropped=1)
    judged(load, objects, ledgers)
    ledgers["enrich"].update(received=5, dropped=0)
    refuses("enrich", load, objects, ledgers)
    ledgers["enrich"].update(received=6, dropped=1)
    objects[key("enrich", 1)] = crash.record(ids[0])
    refuses("refused or dropped", load, objects, ledgers)


@suite.test("a record that its backup lacks is seen")
def not_backed_up(_):
    load, objects, ledgers = world()
    body = objects[key("gzip", 2, kind="backup")]
    objects[key("gzip", 2, kind="backup")] = body[body.index(b"\n") + 1 :]
    refuses("lost", load, objects, ledgers)


@suite.test("a record in another's partition is seen")
def partitions(_):
    load, objects, ledgers = world(streams=("parts",))
    body = objects.pop(key("parts"))
    name = lambda k, number: key("parts", number, ".gz").replace("2026/01/02/03", f"k=.{k}")
    rows = body.splitlines(keepends=True)
    objects.update({name(k, k): gzip.compress(row) for k, row in enumerate(rows)})
    judged(load, objects, ledgers)
    objects[name(0, 7)] = objects.pop(name(1, 1))
    refuses("of other partitions", load, objects, ledgers)


@suite.test("lines lost, doubled or changed are seen")
def lines(_):
    sent = b"a\nb\nb\nc\n"
    oracle.same_lines(sent, b"c\nb\na\nb\n", "another order")
    for arrived in (b"a\nb\nc\n", b"a\nb\nb\nb\nc\n", b"a\nb\nb\nd\n", b"a\nb\nb\nc", b""):
        try:
            oracle.same_lines(sent, arrived, "must fail")
        except AssertionError:
            continue
        raise AssertionError(f"{arrived} passed")


@suite.test("readers of the snappy forms refuse what is torn")
def torn(_):
    raw = b"abcdefgh" * 5000
    block = pyarrow.Codec("snappy").compress(raw, asbytes=True)
    length = len(block).to_bytes(4, "big")
    xerial = b"\x82SNAPPY\x00" + b"\x00\x00\x00\x01" * 2 + length + block
    hadoop = len(raw).to_bytes(4, "big") + length + block
    for reader, body in ((oracle.xerial, xerial), (oracle.hadoop_snappy, hadoop)):
        assert reader(body) == reader(body, raw=oracle.snappy_by_hand) == raw
        for at in (0, 3, 18, len(body) // 2):
            wrong = body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :]
            try:
                assert reader(wrong) != raw or at == 18, f"{reader.__name__} took a changed byte at {at}"
            except Exception:
                continue


if __name__ == "__main__":
    suite.main()
