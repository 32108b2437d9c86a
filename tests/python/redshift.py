"""Redshift: what is staged, the manifest and the COPY to the byte, and each row in the table exactly once, whatever the
session, the cluster or the service does.

Judged by a real PostgreSQL (`postgres.py`). Where Redshift's own COPY is spoken, a proxy (`redshift_proxy.py`) stands
between that reads the manifest and the objects and loads them into that PostgreSQL, in the same transaction.
"""

import base64
import json
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter

import oracle
from harness import FULL, ROLE, Http, Suite, target, until
from postgres import Postgres
from redshift_proxy import Proxy

suite = Suite("redshift")
USER, PASSWORD = "loader", "sesame-0123456789-open"
FAST = {"connect_timeout": "10s", "load_timeout": "60s"}
SHARED = {}


def server():
    """The suite's PostgreSQL, with a user that may make tables."""
    if "postgres" not in SHARED:
        postgres = SHARED["postgres"] = Postgres()
        postgres.psql(f"CREATE USER {USER} PASSWORD '{PASSWORD}'")
    return SHARED["postgres"]


def database(name):
    """A new database on it, with a table for rows."""
    postgres = server()
    postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    postgres.psql(f"CREATE DATABASE {name} OWNER {USER}")
    sql(name, "CREATE TABLE events (id bigint NOT NULL, pad text)")
    return postgres


def sql(name, text, check=True):
    return server().psql(text, USER, PASSWORD, name, check)


def ids(name, table="events"):
    return [int(line) for line in sql(name, f"SELECT id FROM {table}").split()]


def service_for(folder, redshift=FAST, **settings):
    return folder.hydrant_with_store(redshift=redshift, **settings)


def cluster(service, stream, url, table="events", columns="id, pad", options="CSV", retry_s=7200, compression="UNCOMPRESSED", password=PASSWORD,
            method="COPY_FROM_STDIN", size_mb=1, interval_s=1, **more):  # fmt: skip
    """RedshiftDestinationConfiguration of `stream`."""
    return {
        "RoleARN": ROLE,
        "ClusterJDBCURL": url,
        "CopyCommand": {"DataTableName": table, "DataTableColumns": columns, "CopyOptions": options},
        "Username": USER,
        "Password": password,
        "RetryOptions": {"DurationInSeconds": retry_s},
        "S3Configuration": {
            "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}", "Prefix": f"{stream}/", "CompressionFormat": compression,
            "BufferingHints": {"SizeInMBs": size_mb, "IntervalInSeconds": interval_s},
        },
        **({"LoadMethod": method} if method else {}),
        **more,
    }  # fmt: skip


def create(service, stream, url, **options):
    """By the API as it is, which has the members that SDKs do not know."""
    request = {"DeliveryStreamName": stream, "RedshiftDestinationConfiguration": cluster(service, stream, url, **options)}
    status, body = Http(service.api).call("CreateDeliveryStream", request)
    assert status == 200, body


def lines(first, count):
    return [b"%d,%s\n" % (i, b"x" * (i * 7 % 300)) for i in range(first, first + count)]


def put(service, stream, records):
    http = Http(service.api)
    for at in range(0, len(records), 500):
        body = {"DeliveryStreamName": stream, "Records": [{"Data": base64.b64encode(r).decode()} for r in records[at : at + 500]]}
        status, _, raw = http.request("POST", "/", json.dumps(body).encode(), target("PutRecordBatch"))
        assert status == 200 and json.loads(raw)["FailedPutCount"] == 0, (status, raw[:300])
    http.close()


def same(sent, found, what):
    sent, found = Counter(sent), Counter(found)
    lost, more = sent - found, found - sent
    assert not lost and not more, f"{what}: lost {lost.total()} {list(lost)[:2]}, too many {more.total()} {list(more)[:2]}"


def objects(service, prefix):
    return {each.key: each.content() for each in oracle.objects(service.s3_client(), service.bucket, prefix)}


def staged(service, stream):
    """The manifests of a stream's loads and of those given up, their keys and bytes checked, as {key: object's key}."""
    found = {}
    for folder in ("manifests", "errors/manifests"):
        for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/{folder}/"):
            pattern = rf"{stream}/{folder}/(\d{{4}}/\d\d/\d\d/\d\d)/{stream}-(\d{{4}}-\d\d-\d\d-\d\d)-\d\d-\d\d-{oracle.UUID}"
            times = re.fullmatch(pattern, each.key)
            assert times and times[1].replace("/", "-") == times[2], each.key
            (entry,) = json.loads(each.body)["entries"]
            assert each.body == b'{"entries":[{"url":"%s","mandatory":true}]}' % entry["url"].encode(), each.body
            found[each.key] = entry["url"].removeprefix(f"s3://{service.bucket}/")
    given_up = {key: object for key, object in found.items() if "/errors/" in key}
    for key, object in given_up.items():
        assert found[key.replace("errors/", "", 1)] == object, "a manifest is kept of which there is none"
    return found


def refused_ids(service, stream):
    """Ids of the records in objects whose loads were given up."""
    found = []
    for key, object in staged(service, stream).items():
        if "/errors/" in key:
            (each,) = oracle.objects(service.s3_client(), service.bucket, object)
            found += [int(line.split(b",")[0]) for line in each.content().splitlines()]
    return found


@suite.test("COPY_FROM_STDIN end to end: plain, compressed, JSON; staged objects and manifests beside them")
def stdin(folder):
    postgres = database("plain")
    sql("plain", "CREATE TABLE packed (id bigint, pad text); CREATE TABLE docs (id bigint, name text, doc jsonb, missing text)")
    sql("plain", "CREATE TABLE whole (doc jsonb)")
    service = service_for(folder).start()
    url = postgres.url("plain")
    create(service, "plain", url)
    create(service, "packed", url, table="packed", compression="GZIP", options="CSV GZIP")
    create(service, "docs", url, table="public.docs", columns="", options="json 'auto' GZIP", compression="GZIP")
    create(service, "whole", url, table="whole", columns="doc", options="json 'noshred'")
    documents = [json.dumps({"id": i, "name": f'a "{i}"\tü\n', "doc": {"n": [i, None]}, "more": 1}).encode() for i in range(3000)]
    for at in range(0, 3000, 500):
        put(service, "plain", lines(at, 500))
        put(service, "packed", lines(at, 500))
        put(service, "docs", documents[at : at + 500])
        put(service, "whole", documents[at : at + 500])
    for stream in ("plain", "packed", "docs", "whole"):
        service.flush(stream)
    ledgers = service.drained("plain", "packed", "docs", "whole")
    for stream, table in (("plain", "events"), ("packed", "packed"), ("docs", "docs")):
        same(range(3000), ids("plain", table), stream)
        assert (ledgers[stream]["delivered"], ledgers[stream]["refused"]) == (3000, 0), ledgers[stream]
    assert sql("plain", "SELECT count(*), count(DISTINCT pad), sum(length(pad)) FROM events") == f"3000|299|{sum(i * 7 % 300 for i in range(3000))}"
    assert sql("plain", "SELECT name, doc, missing IS NULL FROM docs WHERE id = 7") == 'a "7"\tü\n|{"n": [7, null]}|t'
    same(range(3000), [int(i) for i in sql("plain", "SELECT doc->'id' FROM whole").split()], "whole documents")
    for stream in ("plain", "packed", "docs", "whole"):
        manifests = staged(service, stream)
        assert manifests and not any("/errors/" in key for key in manifests)
        ledger = sql("plain", f"SELECT stream, seq, loaded FROM hydrant_loads_{stream}")
        assert ledger == f"{stream}|{len(manifests)}|t", ledger
        assert len(oracle.keys(service.s3_client(), service.bucket, f"{stream}/")) == 2 * len(manifests)
    assert service.stop() == 0
    postgres.psql("DROP DATABASE plain WITH (FORCE)")


@suite.test("COPY … MANIFEST: the statement, the manifest and what is loaded by it")
def manifest(folder):
    postgres = database("manifest")
    sql("manifest", "CREATE TABLE docs (id bigint, name text, doc text)")
    service = service_for(folder).start()
    proxy = Proxy(postgres, service.s3_client(), service.bucket)
    url = postgres.url("manifest", proxy.port)
    create(service, "events", url, method=None)
    create(service, "docs", url, table="docs", columns="id, name, doc", options="json 'auto' GZIP", compression="GZIP", method="COPY")
    documents = [json.dumps({"id": i, "name": f'a "{i}"\tü\n', "doc": {"n": [i, None]}, "more": 1}).encode() for i in range(2000)]
    for at in range(0, 2000, 500):
        put(service, "events", lines(at, 500))
        put(service, "docs", documents[at : at + 500])
        service.flush("events")
        service.flush("docs")
    service.drained("events", "docs")
    assert not proxy.deviations, proxy.deviations[:3]
    same(range(2000), ids("manifest"), "events")
    same(range(2000), ids("manifest", "docs"), "docs")
    assert sql("manifest", "SELECT name, doc FROM docs WHERE id = 7") == 'a "7"\tü\n|{"n": [7, null]}'
    expected = []
    for stream, into, options in (("events", "events (id, pad)", "CSV"), ("docs", "docs (id, name, doc)", "json 'auto' GZIP")):
        for key in staged(service, stream):
            text = f"COPY {into} FROM 's3://{service.bucket}/{key}' CREDENTIALS 'aws_iam_role={ROLE}' MANIFEST {options}"
            expected.append(text)
    same(expected, proxy.statements, "statements")
    print(f"  {len(expected)} loads")
    assert service.stop() == 0


class Feed:
    """Puts small batches until told to stop, whatever happens to the service."""

    def __init__(self, service, streams):
        self.api, self.stopping = service.api, threading.Event()
        self.sent, self.unclear = {stream: [] for stream in streams}, {stream: [] for stream in streams}
        self.threads = [threading.Thread(target=self.run, args=(stream,), daemon=True) for stream in streams]
        for thread in self.threads:
            thread.start()

    def run(self, stream):
        http, connected, at = None, None, 0
        while not self.stopping.is_set():
            count = 1 + at % 60
            numbers = list(range(at, at + count))
            body = {"DeliveryStreamName": stream, "Records": [{"Data": base64.b64encode(r).decode()} for r in lines(at, count)]}
            at += count
            try:
                if http is None or connected != self.api:
                    connected = self.api
                    http = Http(connected, timeout_s=60)
                status, _, raw = http.request("POST", "/", json.dumps(body).encode(), target("PutRecordBatch"))
                assert status == 200 and json.loads(raw)["FailedPutCount"] == 0
                self.sent[stream] += numbers
            except Exception:  # the service is being killed
                self.unclear[stream] += numbers
                http = None
                time.sleep(0.05)  # not to spin on a closed port
            time.sleep(0.01)  # many cuts, not many records

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)


def judge(service, name, stream, table, sent, unclear=()):
    """What was sent is in the table or in an object whose load was given up, once; returns how much of it was given up."""
    loaded, refused = Counter(ids(name, table)), Counter(refused_ids(service, stream))
    found, sent = loaded + refused, Counter(sent)
    lost, more = sent - found, found - sent - Counter(unclear)
    assert not lost and not more, f"{stream}: lost {lost.total()} {list(lost)[:3]}, too many {more.total()} {list(more)[:3]}"
    assert not loaded & refused, f"{stream}: {(loaded & refused).total()} both loaded and given up"
    ledger = service.ledger(stream)
    assert (ledger["delivered"], ledger["refused"]) == (loaded.total(), refused.total()), ledger
    return refused.total()


@suite.test("sessions that are cut off, commit late, or lose their answer, and a cluster that restarts: each row exactly once")
def late(folder):
    postgres = database("late")
    rng = random.Random(suite.args.seed)
    service = service_for(folder, {**FAST, "load_timeout": "20s"}).start()

    def script(moment, number):
        # The first ones play everything.
        if moment == "copy":
            return rng.choice(["disk full", "cut in copy", "shut down"]) if number % 7 == 5 else None
        return ["late", "lost", "never", None][(number - 1) % 4] if number <= 8 else rng.choice(["late", "lost", "never", None, None])

    streams = {}
    for stream, method, retry_s in (("patient", "COPY", 7200), ("rows", "COPY_FROM_STDIN", 7200), ("hasty", "COPY", 0), ("hurried", "COPY_FROM_STDIN", 1)):
        sql("late", f"CREATE TABLE {stream} (id bigint, pad text)")
        proxy = Proxy(postgres, service.s3_client(), service.bucket, script, late_s=lambda: rng.uniform(0.01, 1.0))
        streams[stream] = proxy
        create(service, stream, postgres.url("late", proxy.port), table=stream, method=method, retry_s=retry_s, interval_s=0)
    feed = Feed(service, streams)
    # Until everything was played; the cluster goes away in between.
    until("some loads", lambda: all(proxy.counts.get("commit", 0) >= 6 for proxy in streams.values()))
    postgres.stop()
    until("all know that it is away", lambda: all("ConnectionFailed" in (service.stream(s)["last_error"] or "") for s in streams))
    postgres.start()
    for stream in streams:
        service.admin(f"/streams/{stream}/resume", "POST")
    enough = 40 if FULL else 12
    until("loads", lambda: all(proxy.counts.get("commit", 0) >= enough for proxy in streams.values()))
    feed.finish()
    service.drained(*streams)
    for stream, proxy in streams.items():
        proxy.settle()
        given_up = judge(service, "late", stream, stream, feed.sent[stream], feed.unclear[stream])
        assert not feed.unclear[stream] and not proxy.deviations, proxy.deviations[:3]
        assert (given_up > 0) == (stream == "hasty") or stream == "hurried", (stream, given_up)
        played = dict(sorted(proxy.played.items()))
        assert {"late", "lost", "never"} <= set(played), played
        print(f"  {stream}: {len(feed.sent[stream])} records, {given_up} given up, {played}: each once")
    assert service.stop() == 0


@suite.test("kill -9: each row exactly once")
def killed(folder):
    postgres = database("killed")
    rng = random.Random(suite.args.seed)
    service = service_for(folder, {**FAST, "load_timeout": "20s"}).start()
    fault = lambda moment, number: rng.choice(["late", "lost", "never"]) if moment == "commit" and rng.random() < 0.3 else None
    full = lambda moment, number: "disk full" if moment == "copy" and number % 3 == 1 else fault(moment, number)
    streams = {}
    for stream, method, retry_s in (("patient", "COPY", 7200), ("rows", "COPY_FROM_STDIN", 7200), ("hasty", "COPY_FROM_STDIN", 0)):
        sql("killed", f"CREATE TABLE {stream} (id bigint, pad text)")
        script = full if stream == "hasty" else fault
        proxy = streams[stream] = Proxy(postgres, service.s3_client(), service.bucket, script, late_s=lambda: rng.uniform(0.01, 1.0))
        create(service, stream, postgres.url("killed", proxy.port), table=stream, method=method, retry_s=retry_s, interval_s=0, compression="GZIP", options="CSV GZIP")
    feed = Feed(service, streams)
    kills = 60 if FULL else 12
    for turn in range(kills):
        time.sleep(rng.uniform(0.1, 1.5))  # a random moment, not a synchronisation
        service.kill().start({"HYDRANT_ENCODE_DIFFERENTLY": "1"} if turn % 3 == 2 else {})
        feed.api = service.api
    feed.finish()
    for stream in streams:
        service.flush(stream)
    service.drained(*streams)
    given_up = {}
    for stream, proxy in streams.items():
        proxy.settle()
        given_up[stream] = judge(service, "killed", stream, stream, feed.sent[stream], feed.unclear[stream])
        assert not proxy.deviations, proxy.deviations[:3]
    assert given_up["patient"] == given_up["rows"] == 0 < given_up["hasty"], given_up
    print(f"  {kills} kills, {sum(map(len, feed.sent.values()))} acknowledged, {sum(p.counts.get('commit', 0) for p in streams.values())} commits, "
          f"{given_up['hasty']} given up: each once")  # fmt: skip
    left = lambda: [str(path) for path in service.data_dir.glob("streams/*/outbox/*")]
    until(lambda: f"an empty outbox: {left()}", lambda: not left())
    assert service.stop() == 0


@suite.test("crashes at named points of a load and of giving one up")
def points(folder):
    postgres = database("points")
    for point, retry_s, fault in (
        ("before_commit", 7200, None),
        ("written_reply_lost:3", 7200, None),  # object, manifest, load
        ("after_settle", 0, "disk full"),
        ("after_turn", 0, "disk full"),
    ):
        name = point.partition(":")[0]
        sql("points", f"CREATE TABLE {name} (id bigint, pad text)")
        service = folder.hydrant_with_store(name, redshift=FAST).start()
        proxy = Proxy(postgres, service.s3_client(), service.bucket, lambda moment, number: fault if moment == "copy" and number == 1 else None)
        create(service, "s", postgres.url("points", proxy.port), table=name, retry_s=retry_s, method="COPY", interval_s=0)
        service.kill().start({"HYDRANT_FAILPOINT": point})
        put(service, "s", lines(0, 400))
        until(f"it crashes at {point}", lambda: not service.alive())
        service.kill()
        assert f"failpoint {name} reached" in service.tail()
        service.start()
        service.drained("s")
        given_up = judge(service, "points", "s", name, range(400))
        # What was given up before the crash is loaded after it, unless the turn was stored.
        assert given_up == (400 if point == "after_turn" else 0), (point, given_up)
        assert not proxy.deviations, proxy.deviations
        assert service.stop() == 0
        service.store.stop()


def forgotten(folder):
    postgres = database("forgotten")
    service = service_for(folder).start()
    proxy = Proxy(postgres, service.s3_client(), service.bucket, lambda moment, number: "forgotten" if moment == "copy" and number == 1 else None)
    create(service, "s", postgres.url("forgotten", proxy.port), method="COPY", interval_s=0)
    put(service, "s", lines(0, 100))
    service.drained("s")
    assert judge(service, "forgotten", "s", "events", range(100)) == 0 and not proxy.deviations, proxy.deviations
    assert service.stop() == 0


if FULL:  # it takes a minute
    suite.test("a session that nobody ended holds a load up for a minute, not for hours")(forgotten)


@suite.test("a mark that ends all data for the server fails the load, and not a row is left out in silence")
def marks(folder):
    database("marks")
    sql("marks", "CREATE TABLE kept (id text, pad text)")
    service = service_for(folder).start()
    cases = {"csv": ("CSV", b"\\.\n"), "text": ("DELIMITER ','", b"7,C:\\dir\\.\n"), "options": ("DELIMITER ','", b"\\.\n")}
    for stream, (options, mark) in cases.items():
        create(service, stream, server().url("marks"), table="kept", options=options, retry_s=0, interval_s=0)
        put(service, stream, [*lines(0, 10), mark, *lines(10, 10)])
    for stream in cases:
        service.drained(stream)
        told = service.stream(stream)["destination"]["last_error"] or ""
        assert told.startswith("Redshift.DataLoadFailed: ") and "end of all data" in told, told
        assert service.ledger(stream)["refused"] == 21, service.ledger(stream)
    assert sql("marks", "SELECT count(*) FROM kept").split() == ["0"]
    service.kill()


@suite.test("mistakes and full disks: the right code, rows kept or given up with their manifest, and mended settings free them")
def mistakes(folder):
    postgres = database("mistakes")
    sql("mistakes", "CREATE TABLE narrow (id bigint NOT NULL); CREATE TABLE texts (id text, pad text); CREATE TABLE kept (id bigint, pad text)")
    postgres.psql("CREATE TABLE foreigners (id bigint, pad text)", database="mistakes")
    service = service_for(folder).start()
    proxy = Proxy(postgres, service.s3_client(), service.bucket, lambda moment, number: "disk full" if moment == "copy" else None)
    good, through = postgres.url("mistakes"), postgres.url("mistakes", proxy.port)
    # Stream: code, settings, and an update that mends it.
    cases = {
        "password": ("AuthenticationFailed", dict(password="not-the-password"), {"Password": PASSWORD}),
        "database": ("DatabaseNotFound", dict(url=postgres.url("nowhere")), {"ClusterJDBCURL": good}),
        "table": ("TableNotFound", dict(table="nothing"), {"CopyCommand": {"DataTableName": "kept", "CopyOptions": "CSV"}}),
        "schema": ("SchemaNotFound", dict(table="nowhere.kept"), None),
        "column": ("ColumnNotFound", dict(columns="id, nothing"), {"CopyCommand": {"DataTableName": "kept", "DataTableColumns": "id, pad", "CopyOptions": "CSV"}}),
        "twice": ("ColumnSpecifiedMoreThanOnce", dict(columns="id, id"), None),
        "privilege": ("InsufficientPrivilege", dict(table="foreigners"), None),
        "syntax": ("SyntaxError", dict(options="CSV NONSENSE"), None),
        "statements": ("SyntaxError", dict(options="CSV; DROP TABLE kept"), None),
        "mismatch": ("ColumnMismatch", dict(table="narrow", columns=""), None),
        "data": ("DataLoadFailed", dict(columns="pad, id"), {"CopyCommand": {"DataTableName": "texts", "DataTableColumns": "id, pad", "CopyOptions": "CSV"}}),
        "json": ("DataLoadFailed", dict(options="json 'auto'"), None),
        # PostgreSQL does not read manifests, so the method is another too.
        "disk": ("DiskFull", dict(url=through, method="COPY"), {"ClusterJDBCURL": good, "LoadMethod": "COPY_FROM_STDIN"}),
        "gone": ("ConnectionFailed", dict(url=postgres.url("mistakes", 1)), {"ClusterJDBCURL": good}),
        "tls": ("SslNotSupported", dict(url=good + "?sslmode=require"), {"ClusterJDBCURL": good}),
    }  # fmt: skip
    # While the ledger cannot be asked nothing is given up.
    unasked = {"password", "database", "gone", "tls"}
    for stream, (code, settings, _) in cases.items():
        settings = {"url": good, "table": "kept", **settings}
        create(service, stream, settings.pop("url"), retry_s=7200, interval_s=0, **settings)
        create(service, f"{stream}-0", {"url": good, **cases[stream][1]}.pop("url"), retry_s=0, interval_s=0, **settings)
    numbers = {stream: range(1000 * at, 1000 * at + 50) for at, stream in enumerate(cases)}
    for stream in cases:
        put(service, stream, lines(numbers[stream].start, 50))
        put(service, f"{stream}-0", lines(500 + numbers[stream].start, 50))
    for stream, (code, _, mended) in cases.items():
        for each in (stream, f"{stream}-0"):
            error = lambda: service.stream(each)["destination"]["last_error"] or ""
            until(lambda: f"{each} fails with {code}: {error()}", lambda: error().startswith(f"Redshift.{code}: "))
            assert PASSWORD not in error() and "not-the-password" not in error()
        if stream in unasked:
            waits = service.stream(f"{stream}-0")
            assert waits["ledger"]["in_flight"]["records"] == 50 and waits["destination"]["given_up"] == 0, waits
        else:
            service.drained(f"{stream}-0")
            same(range(500 + numbers[stream].start, 550 + numbers[stream].start), refused_ids(service, f"{stream}-0"), f"{stream}-0")
            assert service.ledger(f"{stream}-0")["refused"] == 50
    for stream, (code, _, mended) in cases.items():
        assert service.ledger(stream)["in_flight"] == 50
        if mended is None:
            continue
        for each in (stream, f"{stream}-0") if stream in unasked else (stream,):
            # As it is: SDKs do not know all members.
            request = {"DeliveryStreamName": each, "CurrentDeliveryStreamVersionId": "1", "DestinationId": "destinationId-000000000001"}
            status, body = Http(service.api).call("UpdateDestination", {**request, "RedshiftDestinationUpdate": mended})
            assert status == 200, body
            service.admin(f"/streams/{each}/resume", "POST")
            service.drained(each)
            assert service.ledger(each)["delivered"] == 50
            assert service.stream(each)["state"] == "running"
    freed = [stream for stream, (_, _, mended) in cases.items() if mended and stream != "data"]
    expected = [i for stream in freed for i in numbers[stream]] + [500 + i for stream in unasked for i in numbers[stream]]
    same(expected, ids("mistakes", "kept"), "what was freed")
    same(numbers["data"], ids("mistakes", "texts"), "what was freed by another table")
    assert not proxy.deviations, proxy.deviations
    service.kill()


@suite.test("a cluster that says why it ends a session: that is what is told")
def last_words(folder):
    postgres = database("words")
    service = service_for(folder).start()
    proxy = Proxy(postgres, service.s3_client(), service.bucket, lambda moment, number: "shut down" if moment == "copy" else None)
    for stream, method in (("read", "COPY"), ("sent", "COPY_FROM_STDIN")):
        create(service, stream, postgres.url("words", proxy.port), method=method, interval_s=0)
        put(service, stream, lines(0, 500))
    for stream in ("read", "sent"):
        error = lambda: service.stream(stream)["last_error"] or ""
        until(lambda: f"{stream} tells why: {error()}", lambda: "by the operator of the cluster (SQLSTATE 57P01)" in error())
        assert error().startswith("Redshift.ConnectionFailed: ") and service.stream(stream)["state"] == "retrying", service.stream(stream)
    assert not proxy.deviations, proxy.deviations
    service.kill()


@suite.test("boto3: created, described, updated; the password is nowhere")
def api(folder):
    postgres = database("api")
    sql("api", "CREATE TABLE other (id bigint, pad text)")
    sql("api", """CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'took %', NEW.pad; RETURN NEW; END $$;
        CREATE TRIGGER tell BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION tell()""")
    service = service_for(folder, log={"level": "debug"}).start()
    firehose = service.firehose()
    configuration = cluster(service, "s", postgres.url("api"), method=None)
    firehose.create_delivery_stream(
        DeliveryStreamName="s", RedshiftDestinationConfiguration=configuration, Tags=[{"Key": "hydrant:LoadMethod", "Value": "COPY_FROM_STDIN"}]
    )
    described = lambda: firehose.describe_delivery_stream(DeliveryStreamName="s")["DeliveryStreamDescription"]
    destination = described()["Destinations"][0]["RedshiftDestinationDescription"]
    for member in ("RoleARN", "ClusterJDBCURL", "CopyCommand", "Username", "RetryOptions"):
        assert destination[member] == configuration[member], member
    assert destination["S3BackupMode"] == "Disabled" and destination["S3DestinationDescription"]["Prefix"] == "s/"
    assert "Password" not in destination
    put(service, "s", lines(0, 10))
    service.drained("s")

    def update(**members):
        firehose.update_destination(
            DeliveryStreamName="s", CurrentDeliveryStreamVersionId=described()["VersionId"], DestinationId="destinationId-000000000001",
            RedshiftDestinationUpdate=members,
        )  # fmt: skip

    # Something else: the password stays, over a kill too.
    update(CopyCommand={"DataTableName": "other", "DataTableColumns": "id, pad", "CopyOptions": "CSV"}, S3Update={"Prefix": "t/"})
    service.kill().start()
    firehose = service.firehose()
    put(service, "s", lines(10, 10))
    service.drained("s")
    same(range(10), ids("api"), "the first table")
    same(range(10, 20), ids("api", "other"), "the second table")
    assert oracle.keys(service.s3_client(), service.bucket, "t/manifests/")
    server().psql(f"ALTER USER {USER} PASSWORD 'another-0123456789'")
    try:
        put(service, "s", lines(20, 10))
        until("it needs the operator", lambda: service.stream("s")["state"] == "needs_operator")
        update(Password="another-0123456789")
        service.admin("/streams/s/resume", "POST")
        service.drained("s")
    finally:
        server().psql(f"ALTER USER {USER} PASSWORD '{PASSWORD}'")
    same(range(10, 30), ids("api", "other"), "by the new password")

    def refused(text, **options):
        try:
            firehose.create_delivery_stream(DeliveryStreamName="t", RedshiftDestinationConfiguration={**configuration, **options})
        except firehose.exceptions.InvalidArgumentException as error:
            assert text in str(error), error
        else:
            raise AssertionError(f"taken: {text}")

    refused("without TLS to another machine", ClusterJDBCURL="jdbc:redshift://192.0.2.1:5439/dev?ssl=false")
    refused("[UNCOMPRESSED, GZIP]", S3Configuration={**configuration["S3Configuration"], "CompressionFormat": "ZIP"})
    refused("S3 backup destination configuration is required", S3BackupMode="Enabled")
    answers = json.dumps([described(), service.stream("s")], default=str) + service.admin("/metrics")[1].decode()
    assert service.stop() == 0
    # What the server says of records is not told either.
    log = service.log_path.read_text()
    assert "a server's notice, of which the text may quote records" in log and "took x" not in log
    for secret in (PASSWORD, "another-0123456789"):
        for path in [*service.data_dir.rglob("*"), service.log_path]:
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), f"a password is in {path}"
        assert secret not in answers
    assert (service.data_dir / "secrets.key").stat().st_mode & 0o777 == 0o600


@suite.test("name and password by the ARN of a secret, read anew when it changes")
def secrets(folder):
    postgres = database("secret")
    arn, path = "arn:aws:secretsmanager:us-east-1:000000000000:secret:dwh", folder / "dwh.json"
    service = service_for(folder, {**FAST, "secrets": {arn: {"file": str(path)}}}).start()
    configuration = cluster(service, "s", postgres.url("secret"), interval_s=0)
    del configuration["Username"], configuration["Password"]
    configuration["SecretsManagerConfiguration"] = {"Enabled": True, "SecretARN": arn, "RoleARN": ROLE}
    status, body = Http(service.api).call("CreateDeliveryStream", {"DeliveryStreamName": "s", "RedshiftDestinationConfiguration": configuration})
    assert status == 200, body
    put(service, "s", lines(0, 10))
    until("it needs the operator", lambda: service.stream("s")["state"] == "needs_operator")
    assert arn in service.stream("s")["last_error"], service.stream("s")["last_error"]
    path.write_text(json.dumps({"username": USER, "password": PASSWORD}))
    service.admin("/streams/s/resume", "POST")
    service.drained("s")
    same(range(10), ids("secret"), "by secret")
    assert service.stop() == 0


@suite.test("TLS: by a certificate of ca_file, and not without it")
def tls(folder):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cluster", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    postgres = Postgres(tls=(certificate, key))
    postgres.psql(f"CREATE USER {USER} PASSWORD '{PASSWORD}'")
    postgres.psql(f"CREATE DATABASE tls OWNER {USER}")
    query = lambda text: postgres.psql(text, USER, PASSWORD, "tls")
    query("CREATE TABLE events (id bigint, pad text)")
    url = postgres.url("tls") + "?sslmode=verify-full"
    trusting = service_for(folder, {**FAST, "ca_file": str(certificate)}).start()
    create(trusting, "s", url)
    put(trusting, "s", lines(0, 500))
    trusting.drained("s")
    same(range(500), [int(i) for i in query("SELECT id FROM events").split()], "by TLS")
    # By another name than the certificate's.
    create(trusting, "elsewhere", url.replace("127.0.0.1", "localhost"), interval_s=0)
    put(trusting, "elsewhere", lines(500, 5))
    error = lambda: trusting.stream("elsewhere")["last_error"] or ""
    until(lambda: f"it is refused: {error()}", lambda: error().startswith("Redshift.SslFailure: localhost:"))
    assert "certificate is for another host" in error() and trusting.stream("elsewhere")["state"] == "needs_operator", error()
    assert query("SELECT count(*) FROM events") == "500"
    trusting.kill()
    wary = folder.hydrant_with_store("wary", redshift=FAST).start()
    create(wary, "s", url, interval_s=0)
    put(wary, "s", lines(500, 5))
    error = lambda: wary.stream("s")["last_error"] or ""
    until(lambda: f"it is wary: {error()}", lambda: error().startswith("Redshift.SslFailure: ") and "UnknownIssuer" in error())
    # It does not pass by itself, and what to do is told.
    assert "redshift.ca_file" in error() and wary.stream("s")["state"] == "needs_operator", wary.stream("s")
    wary.kill()
    postgres.remove()


@suite.test("a source backup beside the table: every record as it came")
def backed_up(folder):
    postgres = database("backup")
    service = service_for(folder).start()
    copies = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{service.bucket}", "Prefix": "copies/", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}}
    create(service, "s", postgres.url("backup"), S3BackupMode="Enabled", S3BackupConfiguration=copies)
    sent = lines(0, 1000)
    for at in range(0, 1000, 250):
        put(service, "s", sent[at : at + 250])
    service.drained("s")
    same(range(1000), ids("backup"), "the table")
    found = b"".join(each.content() for each in oracle.objects(service.s3_client(), service.bucket, "copies/"))
    same(sent, found.splitlines(keepends=True), "the backup")
    assert service.stop() == 0


@suite.test("a cluster that hangs delays its own stream alone")
def slow_cluster(folder):
    postgres = database("slow")
    service = service_for(folder, {**FAST, "connect_timeout": "600s"}).start()
    deaf = socket.create_server(("127.0.0.1", 0), backlog=64)  # takes connections, says nothing
    for i in range(4):
        create(service, f"hung{i}", postgres.url("slow", deaf.getsockname()[1]), interval_s=0)
    create(service, "good", postgres.url("slow"), interval_s=0)
    service.create("stored", interval_s=1)
    for turn in range(10):
        for i in range(4):
            put(service, f"hung{i}", lines(turn * 50, 50))
        put(service, "good", lines(turn * 50, 50))
        put(service, "stored", lines(turn * 50, 50))
    service.flush("stored")
    service.drained("good", "stored")
    same(range(500), ids("slow"), "the good table")
    told = service.stream("hung0")
    assert told["ledger"]["in_flight"]["records"] == 500 and told["oldest_undelivered_age_ms"] > 0, told
    assert service.stream("good")["state"] == "running"
    service.kill()
    deaf.close()


@suite.test("another copy of the data folder: nothing is loaded twice, and nothing is taken for loaded")
def copied(folder):
    postgres = database("copied")
    service = service_for(folder).start()
    create(service, "s", postgres.url("copied"), interval_s=0)
    put(service, "s", lines(0, 10))
    service.drained("s")
    assert service.stop() == 0
    kept = folder / "kept"
    shutil.copytree(service.data_dir, kept)
    service.start()
    put(service, "s", lines(10, 10))
    service.drained("s")
    assert service.stop() == 0
    # The operator puts the older folder back; what comes now has the number of what was loaded since.
    shutil.rmtree(service.data_dir)
    shutil.copytree(kept, service.data_dir)
    service.start()
    put(service, "s", lines(20, 10))
    until("it stops", lambda: service.stream("s")["state"] == "faulted")
    assert "Redshift.ForeignLoad" in service.stream("s")["last_error"], service.stream("s")["last_error"]
    same(range(20), ids("copied"), "the table")
    service.kill()


if __name__ == "__main__":
    suite.main()
