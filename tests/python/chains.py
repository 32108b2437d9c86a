"""Processors, conversion and dynamic partitioning together, over boto3: what one of them makes is what the next one gets,
every record or part has one fate, and the key of an object equals the values in its rows.
"""

import collections
import gzip
import io
import json
import random

import duckdb
import oracle
import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
from harness import ROOT, Suite, until
from partitioning import FAILED, K, by, folder_of, processor, put, table
from processors import APPEND, CONTROL, DECOMPRESS, ENRICH, EXTRACT, JSON_PARTS, envelope, fates, packed, subscribe

suite = Suite("chains")


def read(service, stream):
    """[(folder, object)] of the data, error records by kind, and declarations of learnt tables."""
    data, errors, declared = [], collections.defaultdict(list), []
    for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/"):
        if each.key.startswith(f"{stream}/error/"):
            kind = each.key.split("/")[2]
            errors[kind] += oracle.error_records(each.content(), kind)
        elif each.key.startswith(f"{stream}/data/_schema/"):
            declared.append(each.content().decode())
        else:
            data.append((folder_of(each.key, stream), each))
    return data, errors, declared


def settled(service, stream, records):
    service.flush(stream)
    ledger = service.drained(stream)[stream]
    assert ledger["received"] == len(records) and ledger["bytes"]["received"] == sum(map(len, records)), ledger
    return ledger, *read(service, stream)


def raws(errors):
    return {kind: collections.Counter(error["raw"] for error in found) for kind, found in errors.items()}


def rows_of(each):
    return pyarrow.parquet.read_table(io.BytesIO(each.body)).to_pylist()


# Tables that are learnt


@suite.test("a learnt table in many partitions: rows as they were sent, wider with time, over kills")
def learnt(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant().start()
    service.create("s", size_mb=1, interval_s=0, **by("s/data/" + K, "{k:.k}"), **table("hydrant", "infer"))
    sent, keyless, broken = {}, [], []
    for turn in range(6):
        rows = []
        for _ in range(300):
            n = len(sent)
            row = {"n": n, "k": f"p{rng.randrange(60)}"}
            # Each turn has columns of its own, and one column's type widens from bigint over double to string.
            row["wide"] = [n, n + 0.5, f"t{n}"][min(turn // 2, 2)]
            row[f"of_{turn}"] = {"turn": turn, "list": [n, None]}
            sent[n] = row
            rows.append(json.dumps(row).encode() + b"\n")
        keyless.append(b'{"n":-1,"turn":%d}\n' % turn)
        # A key, and an object that is cut off behind it, is no JSON.
        broken.append(b'{"k":"p1","turn":%d,\n' % turn)
        put(service, "s", rows + [keyless[-1], broken[-1]])
        if turn % 2:
            service.kill().start()
    service.flush("s")
    ledger = service.drained("s")["s"]
    data, errors, declared = read(service, "s")
    seen = {}
    for path, each in data:
        for row in rows_of(each):
            wanted = sent[row["n"]]
            assert path == f"k={wanted['k']}" == f"k={row['k']}", (each.key, row)
            assert row["n"] not in seen, f"{row['n']} stands in {seen[row['n']]} and in {each.key}"
            seen[row["n"]] = each.key
            # As the table was when the file was made, at least wide enough for the value.
            assert row["wide"] in (wanted["wide"], str(wanted["wide"])), (row, wanted)
            of = next(name for name in wanted if name.startswith("of_"))
            assert row[of]["turn"] == wanted[of]["turn"] and row[of]["list"] == wanted[of]["list"], (row, wanted)
    assert len(seen) == len(sent), (len(seen), len(sent))
    assert raws(errors) == {"partitioning-failed": collections.Counter(keyless + broken)}, raws(errors)
    fates(ledger, delivered=len(sent), refused=len(keyless + broken))
    last = max(declared, key=len)
    assert all(f"`of_{turn}`" in last for turn in range(6)) and "`wide` string" in last, last
    print(f"  {len(seen)} rows in {len(data)} files of {len({path for path, _ in data})} partitions, {len(declared)} tables declared")


# All processors


GROUPS = ["/aws/lambda/one", "/aws/lambda/two", "API-Gateway.x_1", "a/b#c", "g"]


def group_of(name):
    return name.lstrip("/").replace("/", "-")


# As `group_of`: what is left of a log group without folders.
GROUP_QUERY = '{g:(.logGroup|ltrimstr("/")|gsub("/";"-"))}'
BY_GROUP = "data/g=!{partitionKeyFromQuery:g}/"


def documents(rng, count):
    """Documents of several log groups, some of them control messages, some without a group's name."""
    made = []
    for number in range(count):
        kind = rng.randrange(10)
        messages = [f"{number} {n} é" * rng.randrange(1, 9) for n in range(rng.randrange(1, 6))]
        if kind == 0:
            made.append(envelope([CONTROL], kind="CONTROL_MESSAGE"))
        elif kind == 1:
            made.append(envelope(messages, group=""))
        else:
            made.append(envelope(messages, group=rng.choice(GROUPS)))
    return made


@suite.test("decompression, de-aggregation, a transform, keys and a delimiter: each document once, or its record as it came")
def all_processors(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant(arguments=["--transforms-dir", str(ROOT / "transforms")]).start()
    enrich = processor("Lambda", **{"LambdaArn": ENRICH, "Variable.drop": "messageType=CONTROL_MESSAGE", "Variable.add": "env=test"})
    delimiter = processor("AppendDelimiterToRecord", Delimiter="--\\n")
    members = by("s/" + BY_GROUP, GROUP_QUERY, delimiter, enrich, JSON_PARTS, DECOMPRESS)
    service.create("s", size_mb=64, interval_s=900, compression="GZIP", **members)
    wanted, keyless, junk, dropped, split = collections.defaultdict(collections.Counter), collections.Counter(), [], 0, 0
    records = []
    for _ in range(300):
        if rng.random() < 0.1:
            junk.append(rng.choice([b"", b"junk", packed(["x"])[:-9], gzip.compress(b'{"a":1}')]))
            records.append(junk[-1])
            continue
        together = documents(rng, rng.randrange(1, 5))
        # Some in one gzip member, some in several, with or without something between them.
        if rng.random() < 0.5:
            records.append(b"".join(gzip.compress(one) for one in together))
        else:
            records.append(gzip.compress(rng.choice([b"", b"\n", b" "]).join(together)))
        split += len(together) - 1
        is_keyless = False
        for one in together:
            group = json.loads(one)["logGroup"]
            if b"CONTROL_MESSAGE" in one:
                dropped += 1
            elif not group:
                is_keyless = True
            else:
                wanted["g=" + group_of(group)][json.dumps(json.loads(one))] += 1
        # There once, however many of its documents fail; an equal record is there for itself.
        keyless[records[-1]] += is_keyless
    keyless = +keyless
    subscribe(service, "s", records[:150])
    service.kill().start()
    subscribe(service, "s", records[150:])
    ledger, data, errors, _ = settled(service, "s", records)
    assert len(data) == len(wanted), [each.key for _, each in data]
    for path, each in data:
        content, found = each.content(), collections.Counter()
        assert content.endswith(b"\n--\n"), content[-50:]
        for part in content.split(b"\n--\n")[:-1]:
            document = json.loads(part)
            assert document.pop("env") == "test" and document.pop("ingested_at"), part
            found[json.dumps(document)] += 1
        assert found == wanted[path], (path, list(found - wanted[path])[:1], list(wanted[path] - found)[:1])
    assert raws(errors) == {"decompression-failed": collections.Counter(junk), "partitioning-failed": keyless}
    refused = ledger["refused"] - len(junk)
    fates(ledger, delivered=sum(each.total() for each in wanted.values()), dropped=dropped, split=split, refused=ledger["refused"])
    assert refused >= keyless.total() > 0 and dropped, ledger
    assert {error["errorCode"] for error in errors["partitioning-failed"]} == {FAILED}
    print(f"  {len(records)} records, {ledger['delivered']} documents in {len(data)} partitions, {refused} without a key, {dropped} dropped")


@suite.test("messages de-aggregated, partitioned and converted: rows of each message under its key")
def messages_to_parquet(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant().start()
    members = by("s/data/" + K, "{k:.k}", DECOMPRESS, EXTRACT, JSON_PARTS, APPEND)
    service.create("s", size_mb=64, interval_s=900, **members, **table("hydrant", "infer"))
    wanted, keyless, broken, junk, records, n, dropped = {}, set(), set(), [], [], 0, 0
    for turn in range(120):
        messages, has_keyless, is_broken = [], False, False
        for _ in range(rng.randrange(1, 40)):
            row = {"n": n, "k": rng.choice(["a", "b b", "ü", "x=y"]), "t": "x" * rng.randrange(50)}
            n += 1
            if rng.random() < 0.01:
                del row["k"]
                has_keyless = True
            else:
                wanted[row["n"]] = row
            messages.append(json.dumps(row, ensure_ascii=rng.random() < 0.5))
        if rng.random() < 0.1:
            messages.append("no JSON")
            is_broken = True
        records.append(packed(messages))
        if has_keyless:
            keyless.add(records[-1])
        if is_broken:
            broken.add(records[-1])
        if turn % 20 == 0:
            records += [packed([CONTROL], kind="CONTROL_MESSAGE"), b"junk %d" % turn]
            dropped += 1
            junk.append(records[-1])
    subscribe(service, "s", records)
    ledger, data, errors, _ = settled(service, "s", records)
    seen = {}
    for path, each in data:
        for row in rows_of(each):
            assert path == f"k={row['k']}" and row["n"] not in seen, (each.key, row)
            seen[row["n"]] = row
    assert seen == wanted, (len(seen), len(wanted))
    found = collections.defaultdict(collections.Counter)
    for error in errors.pop("partitioning-failed", []):
        found[error["errorCode"]][error["raw"]] += 1
    # What fails behind the decompression is written as it came; once for each record, whatever fails of it.
    assert set().union(*found.values()) == keyless | broken, {code: len(raws) for code, raws in found.items()}
    assert sum(found.values(), collections.Counter()).most_common(1)[0][1] == 1, found
    assert raws(errors) == {"decompression-failed": collections.Counter(junk)}, errors
    fates(ledger, delivered=len(wanted), refused=ledger["refused"], dropped=dropped, split=ledger["split"])
    assert ledger["refused"] >= len(keyless | broken) + len(junk), ledger
    print(f"  {len(seen)} rows in {len(data)} partitions, {len(keyless | broken)} records with parts that failed")


# CloudWatch Logs by group


@suite.test("CloudWatch Logs by log group without extraction: documents whole, control messages by their own key")
def by_group(folder):
    rng = random.Random(suite.args.seed)
    service = folder.hydrant().start()
    service.create("docs", size_mb=64, interval_s=900, **by("docs/" + BY_GROUP, GROUP_QUERY, DECOMPRESS, APPEND))
    # The same, with a key for the checks of the destination.
    control = '{g:(if .messageType == "CONTROL_MESSAGE" then "_control" else (.logGroup|ltrimstr("/")|gsub("/";"-")) end)}'
    service.create("all", size_mb=64, interval_s=900, **by("all/" + BY_GROUP, control, DECOMPRESS, APPEND))
    made = documents(rng, 400)
    # A record of two documents is two JSON values, of which nobody can say which one the key is of.
    double = [gzip.compress(made[0]) + gzip.compress(made[1]), gzip.compress(made[2] + made[3])]
    junk = [b"", b"junk", gzip.compress(b"a vended log line\n")]
    # Equal documents are equal records: no time stands in their headers.
    records = [gzip.compress(one, mtime=0) for one in made] + double + junk
    rng.shuffle(records)
    for stream in ("docs", "all"):
        subscribe(service, stream, records)
        wanted, keyless = collections.defaultdict(collections.Counter), collections.Counter(double)
        for one in made:
            row = json.loads(one)
            if row["messageType"] == "CONTROL_MESSAGE" and stream == "all":
                wanted["g=_control"][one] += 1
            elif row["logGroup"]:
                wanted["g=" + group_of(row["logGroup"])][one] += 1
            else:
                # A check has an empty log group, so it has no key and is refused as it came.
                keyless[gzip.compress(one, mtime=0)] += 1
        ledger, data, errors, _ = settled(service, stream, records)
        found = {path: collections.Counter(each.content().split(b"\n")[:-1]) for path, each in data}
        assert found == wanted and len(data) == len(wanted), [each.key for _, each in data]
        assert raws(errors) == {"partitioning-failed": keyless, "decompression-failed": collections.Counter(junk)}, errors
        fates(ledger, delivered=sum(each.total() for each in wanted.values()), refused=keyless.total() + len(junk))


@suite.test("with extraction the envelope is gone: a query for the log group finds none; documents by it need none")
def after_extraction(folder):
    service = folder.hydrant().start()
    good = [packed([json.dumps({"n": n, "level": level})], group="/aws/x") for n, level in enumerate(["info", "warn", "info"])]
    checks, empty = [packed([CONTROL], kind="CONTROL_MESSAGE")] * 3, [packed([], group="/aws/x")]
    records = good + checks + empty + [b"junk"]
    service.create("gone", size_mb=64, interval_s=900, **by("gone/" + BY_GROUP, GROUP_QUERY, DECOMPRESS, EXTRACT))
    subscribe(service, "gone", records)
    ledger, data, errors, _ = settled(service, "gone", records)
    assert not data, data
    # In its original, compressed form.
    assert raws(errors) == {"partitioning-failed": collections.Counter(good), "decompression-failed": collections.Counter([b"junk"])}
    fates(ledger, refused=len(good) + 1, dropped=len(checks + empty))
    service.create("level", size_mb=64, interval_s=900, **by("level/data/" + K, "{k:.level}", DECOMPRESS, EXTRACT))
    subscribe(service, "level", records)
    ledger, data, errors, _ = settled(service, "level", records)
    assert {path: each.content() for path, each in data} == {
        "k=info": b'{"n": 0, "level": "info"}\n{"n": 2, "level": "info"}\n',
        "k=warn": b'{"n": 1, "level": "warn"}\n',
    }, data
    fates(ledger, delivered=3, refused=1, dropped=len(checks + empty))


# Datasets


TABLE = """CREATE EXTERNAL TABLE tests.sales (
  n bigint, shop string, price double, item struct<id: int, kind: string>, paid boolean, at timestamp
) STORED AS PARQUET
"""


@suite.test("a hive-style dataset over S3: in DuckDB and pyarrow every row's columns equal the folders it lies in")
def dataset(folder):
    rng = random.Random(suite.args.seed)
    (folder / "schemas").mkdir()
    (folder / "schemas" / "tests.sales.sql").write_text(TABLE)
    service = folder.hydrant(arguments=["--schemas-dir", str(folder / "schemas")]).start()
    keys = {"p_shop": ".shop", "p_item": ".item.id", "p_paid": ".paid", "day": '.at[:10]|strptime("%Y-%m-%d")|mktime|strftime("%d")'}
    prefix = "s/data/" + "".join("%s=!{partitionKeyFromQuery:%s}/" % (key, key) for key in keys)
    query = "{%s}" % ",".join(f"{key}:({path})" for key, path in keys.items())
    service.create("s", size_mb=64, interval_s=900, **by(prefix, query), **table("tests", "sales"))
    shops = ["Köln", "New York", "a+b", "東京", "x-1"]
    rows = [
        {
            "n": n, "shop": rng.choice(shops), "price": rng.randrange(1000) / 8, "paid": rng.random() < 0.5,
            "item": {"id": rng.choice([1, 20]), "kind": rng.choice(["k", None])},
            "at": f"2026-07-{rng.randrange(1, 4):02} 10:00:{n % 60:02}",
        }
        for n in range(4000)
    ]  # fmt: skip
    bad = [b'{"n":"x","shop":"y","item":{"id":1},"paid":true,"at":"2026-07-01"}\n'] * 3
    keyless = [json.dumps({**rows[0], key: None}).encode() + b"\n" for key in ("shop", "paid", "item", "at")]
    records = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows] + bad + keyless
    put(service, "s", records)
    ledger, data, errors, _ = settled(service, "s", records)
    assert raws(errors) == {"format-conversion-failed": collections.Counter(bad), "partitioning-failed": collections.Counter(keyless)}
    fates(ledger, delivered=len(rows), refused=len(bad + keyless))
    paths = {(row["shop"], row["item"]["id"], row["paid"], row["at"][8:10]) for row in rows}
    assert len(data) == len(paths) == len({path for path, _ in data}), (len(data), len(paths))
    # pyarrow reads the bucket itself.
    s3 = pyarrow.fs.S3FileSystem(
        access_key="test", secret_key="test", region="us-east-1", scheme="http", endpoint_override=service.s3.removeprefix("http://")
    )
    kinds = pyarrow.schema([("p_shop", "string"), ("p_item", "int32"), ("p_paid", "string"), ("day", "string")])
    hive = pyarrow.dataset.HivePartitioning(kinds, segment_encoding="none")
    lake = pyarrow.dataset.dataset(f"{service.bucket}/s/data", filesystem=s3, format="parquet", partitioning=hive)
    found = lake.to_table().to_pylist()
    assert sorted(row["n"] for row in found) == list(range(len(rows)))
    for row in found:
        own = (row["shop"], row["item"]["id"], str(row["paid"]).lower(), f"{row['at'].day:02}")
        assert own == (row["p_shop"], row["p_item"], row["p_paid"], row["day"]), row
        sent = rows[row["n"]]
        assert (row["shop"], row["price"], row["item"], row["paid"]) == (sent["shop"], sent["price"], sent["item"], sent["paid"]), row
        assert str(row["at"]) == sent["at"], row
    pruned = lake.to_table(filter=(pyarrow.dataset.field("p_shop") == "東京") & (pyarrow.dataset.field("p_item") == 20))
    assert pruned.num_rows == sum(row["shop"] == "東京" and row["item"]["id"] == 20 for row in rows) > 0
    # DuckDB reads the objects as files under their keys.
    files = folder / "files"
    for path, each in data:
        file = files / path / each.key.rsplit("/", 1)[-1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(each.body)
    types = "{'p_shop': VARCHAR, 'p_item': INT, 'p_paid': BOOLEAN, 'day': INT}"
    sql = f"from read_parquet('{files}/**/*.parquet', hive_partitioning = true, hive_types = {types})"
    alien = f"select count(*) {sql} where p_shop <> shop or p_item <> item.id or p_paid <> paid or day <> dayofmonth(\"at\")"
    sums = f"select count(*), count(distinct n), sum(price), count(*) filter (p_shop = 'a+b') {sql}"
    assert duckdb.sql(alien).fetchall() == [(0,)]
    plus = sum(row["shop"] == "a+b" for row in rows)
    assert duckdb.sql(sums).fetchall() == [(len(rows), len(rows), sum(row["price"] for row in rows), plus)], duckdb.sql(sums).fetchall()
    assert until("nothing is left", lambda: not list(service.data_dir.glob("streams/*/outbox/*")))


if __name__ == "__main__":
    suite.main()
