"""Tables of AWS Glue: asked for with calls that Glue would take, adopted when they change, delivered on without it.

Glue is moto's server in a process of its own. Between it and Hydrant stands `Gate`, which checks each signature as AWS
does, by botocore, and can be told to answer badly or not at all.
"""

import http.client
import http.server
import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.parse

import pyarrow.parquet
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import oracle
from harness import ROLE, Suite, client, until

suite = Suite("glue")
KEY_ID, KEY = "AKIDGLUESUITE", "a-key-that-nobody-may-see"
DATABASE = "shop"
TOKEN = "a-token-that-nobody-may-see"
# As AWS tells it: with the request that should have been signed.
SIGNATURE_REFUSED = json.dumps(
    {
        "__type": "InvalidSignatureException",
        "message": "The request's signature does not match.\n\nThe Canonical String should have been\n'POST\n/\n\n"
        f"host:glue\nx-amz-security-token:{TOKEN}\n\nhost;x-amz-security-token\n'",
    }
).encode()


class Moto:
    """moto's server on a free port."""

    def __init__(self, folder):
        self.log = open(folder / "moto.log", "ab")
        script = (
            "import threading; from moto.server import ThreadedMotoServer as S; s = S('127.0.0.1', 0, verbose=False);"
            "s.start(); print(s.get_host_and_port()[1], flush=True); threading.Event().wait()"
        )
        self.process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=self.log)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.glue = client("glue", self.url)
        self.glue.create_database(DatabaseInput={"Name": DATABASE})

    def table(self, name, *columns, update=False):
        """Makes or changes a table; `columns` are pairs of name and type."""
        descriptor = {"Columns": [{"Name": column, "Type": kind} for column, kind in columns]}
        call = self.glue.update_table if update else self.glue.create_table
        call(DatabaseName=DATABASE, TableInput={"Name": name, "StorageDescriptor": descriptor, "PartitionKeys": []})

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Gate:
    """A proxy that lets through what is signed well; `fault` says what it answers instead."""

    def __init__(self, upstream):
        self.calls, self.fault, self.held = [], None, threading.Event()
        gate, port = self, urllib.parse.urlsplit(upstream).port

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gate.calls.append((self.headers["X-Amz-Target"], json.loads(body)))
                fault = gate.fault
                if fault == "silence":
                    gate.held.wait()
                    self.close_connection = True
                elif fault == "close":
                    self.close_connection = True
                elif fault:
                    self.answer(*fault)
                elif wrong := signature_problem(self.headers, body):
                    text = {"__type": "InvalidSignatureException", "message": wrong}
                    self.answer(403, json.dumps(text).encode())
                else:
                    upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    kept = ("x-amz-target", "content-type", "authorization", "x-amz-date")
                    try:
                        upstream.request("POST", "/", body, {k: v for k, v in self.headers.items() if k.lower() in kept})
                        answer = upstream.getresponse()
                        self.answer(answer.status, answer.read())
                    except ConnectionError:
                        self.close_connection = True
                    upstream.close()

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.held.set()
        self.server.shutdown()
        self.server.server_close()


def signature_problem(headers, body):
    """What is wrong with the signature, if anything: it is made again and compared."""
    given = headers["Authorization"] or ""
    fields = dict(part.split("=", 1) for part in given.partition(" ")[2].replace(" ", "").split(",") if "=" in part)
    scope = fields.get("Credential", "").split("/")
    if len(scope) != 5 or scope[0] != KEY_ID or scope[3:] != ["glue", "aws4_request"]:
        return f"credential {scope}"
    signed = {name: headers[name] for name in fields["SignedHeaders"].split(";")}
    if not {"host", "x-amz-date", "x-amz-target"} <= set(signed):
        return f"signed are only {sorted(signed)}"
    request = AWSRequest("POST", f"http://{headers['Host']}/", signed, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(KEY_ID, KEY), "glue", scope[2])
    again = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return None if again == fields["Signature"] else "the signature is another"


def started(folder, refresh="200ms", answer_timeout="60s", **glue):
    """moto, the gate and a service that asks it."""
    moto = Moto(folder)
    folder.processes.append(moto)
    gate = Gate(moto.url)
    keys = {"access_key_id": {"env": "GLUE_KEY_ID"}, "secret_access_key": {"env": "GLUE_KEY"}}
    settings = {"endpoint": gate.url, "refresh": refresh, "answer_timeout": answer_timeout, "credentials": keys, **glue}
    service = folder.hydrant_with_store(glue=settings, log={"level": "debug"})
    service.environment |= {"GLUE_KEY_ID": KEY_ID, "GLUE_KEY": KEY}
    return moto, gate, service.start()


def create(service, name, table, version=None, **input_format):
    """A stream that converts to a table of the catalog."""
    schema = {"RoleARN": ROLE, "DatabaseName": DATABASE, "TableName": table}
    conversion = {
        "SchemaConfiguration": schema | ({"VersionId": version} if version else {}),
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}, **input_format},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    }
    service.create(name, interval_s=0, DataFormatConversionConfiguration=conversion)


def refused(service, *what):
    """The text with which a stream is refused."""
    try:
        create(service, *what)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidArgumentException", error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{what} was taken")


def put(service, name, *rows):
    entries = [{"Data": json.dumps(row).encode()} for row in rows]
    answer = service.firehose().put_record_batch(DeliveryStreamName=name, Records=entries)
    assert answer["FailedPutCount"] == 0, answer


def objects(service, name):
    return [o.content() for o in oracle.objects(service.s3_client(), service.bucket, f"{name}/data/")]


def rows(service, name):
    """All rows delivered so far, by their id."""
    service.drained(name)
    tables = [pyarrow.parquet.read_table(io.BytesIO(content)) for content in objects(service, name)]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row.get("id", 0))


@suite.test("a table is adopted when it changes, and delivery goes on without Glue, over a restart too")
def adopted(folder):
    moto, gate, service = started(folder)
    moto.table("orders", ("id", "bigint"))
    create(service, "s", "orders")
    assert gate.calls[0] == ("AWSGlue.GetTable", {"DatabaseName": DATABASE, "Name": "orders"}), gate.calls
    put(service, "s", {"id": 1, "note": "first"})
    assert rows(service, "s") == [{"id": 1}]

    moto.table("orders", ("id", "bigint"), ("note", "string"), update=True)
    before = len(gate.calls)
    # Two calls that began after the change: the answer of the first is in use before the second.
    until("the table asked for again", lambda: len(gate.calls) >= before + 3)
    put(service, "s", {"id": 2, "note": "second"})
    assert rows(service, "s") == [{"id": 1}, {"id": 2, "note": "second"}]
    put(service, "s", {"id": "no number", "note": "third"})
    service.drained("s")
    [error] = oracle.objects(service.s3_client(), service.bucket, "s/error/")
    [line] = [json.loads(line) for line in error.content().splitlines()]
    table = line["dataCatalogTable"]
    assert (table["databaseName"], table["tableName"], table["versionId"]) == (DATABASE, "orders", "2"), table

    journal = b"".join(path.read_bytes() for path in (folder / "data" / "journal").iterdir())
    assert b'"schema":"glue:1:' in journal and b'"schema":"glue:2:' in journal, "no version in the seals"

    moto.kill()
    problem = until("a problem", lambda: service.stream("s")["schema_problem"])
    assert urllib.parse.urlsplit(gate.url).netloc in problem, problem
    put(service, "s", {"id": 4, "note": "fourth"})
    assert rows(service, "s")[2:] == [{"id": 4, "note": "fourth"}]
    assert service.stream("s")["state"] == "running"

    assert service.stop() == 0, service.tail()
    gate.close()
    service.start()
    put(service, "s", {"id": 5, "note": "fifth"})
    assert rows(service, "s")[3:] == [{"id": 5, "note": "fifth"}]
    until("a problem", lambda: service.stream("s")["schema_problem"])
    kept = [path for path in (folder / "data" / "tables").iterdir()]
    assert len(kept) == 1 and json.loads(kept[0].read_text())["version"] == "2", kept
    text = service.log_path.read_text()
    assert KEY not in text and KEY_ID not in text, "a key in the log"

    service.firehose().delete_delivery_stream(DeliveryStreamName="s")
    until("the table forgotten", lambda: not any((folder / "data" / "tables").iterdir()))


@suite.test("what Glue does not have or does not say is told at creation")
def refused_at_creation(folder):
    moto, gate, service = started(folder, answer_timeout="5s")
    moto.table("good", ("id", "bigint"))
    try:
        client("glue", gate.url).get_table(DatabaseName=DATABASE, Name="good")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidSignatureException", error
    else:
        raise AssertionError("the gate lets everybody through")
    moto.table("odd", ("id", "uniontype<int,string>"))
    text = refused(service, "s", "absent")
    assert "Table absent not found. (Service: AWSGlue; Status Code: 400; Error Code: EntityNotFoundException)" in text, text
    text = refused(service, "s", "odd")
    assert "uniontype" in text and "'id'" in text, text
    text = refused(service, "s", "good", "9")
    assert "Error Code: EntityNotFoundException" in text and "ersion" in text, text
    for fault, part in [
        ("close", "cannot be asked"),
        ("silence", "did not answer within 5000 ms"),
        ((500, b'{"__type":"InternalServiceException","Message":"oh"}'), "oh (Service: AWSGlue; Status Code: 500"),
        ((400, b'{"__type":"AccessDeniedException","Message":"not you"}'), "not you"),
        ((400, b'{"__type":"ThrottlingException","Message":"Rate exceeded"}'), "Rate exceeded"),
        ((403, SIGNATURE_REFUSED), "signature does not match"),
        ((200, b"<html>"), "does not answer as AWS Glue does"),
        ((200, b'{"Table":{"Name":"good"}}'), "StorageDescriptor.Columns is missing"),
    ]:
        gate.fault = fault
        text = refused(service, "s", "good")
        assert part in text and TOKEN not in text, (fault, text)
    gate.fault = None
    create(service, "s", "good")
    put(service, "s", {"id": 1})
    assert rows(service, "s") == [{"id": 1}]
    gate.fault = (403, SIGNATURE_REFUSED)
    told = lambda: service.stream("s")["schema_problem"] or ""
    problem = until(lambda: f"the problem: {told()}", lambda: "signature does not match" in (text := told()) and text)
    assert TOKEN not in problem, problem
    assert TOKEN not in service.log_path.read_text(), "a token in the log"


@suite.test("a version by name, a file before Glue, and the column of unknown fields")
def versions_and_files(folder):
    (folder / "data" / "schemas").mkdir(parents=True)
    moto, gate, service = started(folder)
    moto.table("t", ("a", "int"))
    moto.table("t", ("a", "int"), ("b", "int"), update=True)
    create(service, "pinned", "t", "1")
    create(service, "newest", "t")
    (folder / "data" / "schemas" / f"{DATABASE}.own.sql").write_text("create table own (c int)")
    create(service, "own", "own")
    service.create(
        "rest",
        interval_s=0,
        tags={"hydrant:UnknownFieldsColumn": "rest"},
        DataFormatConversionConfiguration={
            "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": DATABASE, "TableName": "t"},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        },
    )
    for name in ("pinned", "newest", "own", "rest"):
        put(service, name, {"a": 1, "b": 2, "c": {"d": 3}} if name == "rest" else {"a": 1, "b": 2, "c": 3})
    assert rows(service, "pinned") == [{"a": 1}]
    assert rows(service, "newest") == [{"a": 1, "b": 2}]
    assert rows(service, "own") == [{"c": 3}]
    assert rows(service, "rest") == [{"a": 1, "b": 2, "rest": '{"c":{"d": 3}}'}]
    targets = {(target.partition(".")[2], call.get("Name") or call["TableName"]) for target, call in gate.calls}
    assert targets == {("GetTable", "t"), ("GetTableVersion", "t")}, targets


@suite.test("without a table records wait, and say why, until Glue has it")
def waits(folder):
    moto, gate, service = started(folder, answer_timeout="5s")
    moto.table("t", ("a", "int"))
    create(service, "s", "t")
    assert service.stop() == 0
    # As after a restore of a folder without its tables.
    shutil.rmtree(folder / "data" / "tables")
    gate.fault = (400, b'{"__type":"AccessDeniedException","Message":"not you"}')
    service.start()
    put(service, "s", {"a": 1})
    # Before it, that Glue has not answered.
    status = until("the cause", lambda: "AccessDenied" in ((s := service.stream("s"))["last_error"] or "") and s)
    assert status["state"] == "needs_operator", status
    assert status["last_error"].startswith("DataFormatConversion.AccessDenied: table 'shop.t': not you"), status
    gate.fault = "silence"
    until("the next cause", lambda: "SchemaValidationTimeout" in (service.stream("s")["last_error"] or ""))
    assert service.stream("s")["state"] in ("retrying", "needs_operator")
    assert service.stop() == 0, "a Glue that hangs holds nothing up"
    service.start()
    gate.fault = None
    service.admin("/streams/s/resume", "POST")
    assert rows(service, "s") == [{"a": 1}]


@suite.test("a listed stream does not keep the service from starting, whatever Glue does")
def listed(folder):
    conversion = {
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": DATABASE, "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    }
    moto, gate, service = started(folder, answer_timeout="5s")
    moto.table("t", ("id", "bigint"))
    gate.fault = "silence"
    destination = {
        "RoleARN": ROLE,
        "BucketARN": f"arn:aws:s3:::{service.bucket}",
        "Prefix": "s/data/",
        "ErrorOutputPrefix": "s/error/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 0},
        "DataFormatConversionConfiguration": conversion,
    }
    assert service.stop() == 0
    path = folder / "data.yaml"
    stream = {"DeliveryStreamName": "s", "ExtendedS3DestinationConfiguration": destination}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"streams": [stream]}))
    service.start()
    put(service, "s", {"id": 1})
    until("the cause", lambda: "SchemaValidationTimeout" in (service.stream("s")["last_error"] or ""))
    gate.fault = None
    assert rows(service, "s") == [{"id": 1}]


if __name__ == "__main__":
    suite.main()
