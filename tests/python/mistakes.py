"""What users get wrong: each mistake is answered by a clear line that names the thing and what to do, never by a panic
or a backtrace, and never with a secret in it. Where a command cannot do what it was asked, its exit code says so.

Neighbour: `operation.py` has the data folder that is locked, or newer than the program, and the bucket that is missing.
"""

import json
import os
import re
import socket
import subprocess
import urllib.parse

import oracle
from harness import ROLE, Suite, binary, clean_environment, until

suite = Suite("mistakes")
SECRET = "sesame-open-0123456789"
FREE = [argument for name in ("api", "s3", "admin") for argument in (f"--{name}-addr", "127.0.0.1:0")]


def clean(text):
    assert not re.search(r"panicked|backtrace|RUST_BACKTRACE|\.rs:\d+", text), text
    assert SECRET not in text, "a secret is shown"
    return text


def refused(folder, arguments, *named, code=None, environment=None):
    """Runs a command that must fail by itself and name all of `named` in one line of standard error."""
    done = subprocess.run(
        [binary(), *map(str, arguments)], cwd=folder.path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**clean_environment(), "TMPDIR": str(folder.path), **(environment or {})},
    )  # fmt: skip
    clean(done.stdout + done.stderr)
    assert done.returncode != 0 and code in (None, done.returncode), f"{arguments}: exit code {done.returncode}\n{done.stderr}"
    lines = done.stderr.splitlines()
    assert any(all(each in line for each in named) for line in lines), f"{arguments}: no line with all of {named}:\n{done.stderr}"
    assert len(lines) <= 4, f"{arguments}: one clear line was asked for\n{done.stderr}"
    return done.stderr


def configuration(folder, **sections):
    """A file for `hydrant serve`; JSON is YAML."""
    listeners = {"api": {"addr": "127.0.0.1:0"}, "admin": {"addr": "127.0.0.1:0"}}
    path = folder / "hydrant.yaml"
    path.write_text(json.dumps({"version": 1, "data_dir": "data", **listeners, **sections}, indent=1))
    return path


@suite.test("a configuration with a mistake is named by file, line and key")
def bad_configuration(folder):
    path = folder / "hydrant.yaml"
    for text, *named in (
        ("version: 1\ndata_dir: d\nlimts:\n  inflight: 3\n", "hydrant.yaml:3", "limts", "'limits'"),
        ("version: 1\ndata_dir: d\nlimits:\n  inflght: 3MiB\n", "hydrant.yaml:4", "inflght", "'inflight'"),
        ("version: 1\ndata_dir: d\nlimits:\n  inflight: much\n", "hydrant.yaml:4", "inflight"),
        ("version: 1\ndata_dir: d\napi: [\n", "hydrant.yaml:3"),
        ("version: 7\ndata_dir: d\n", "hydrant.yaml:1", "version", "7"),
        ("data_dir: d\n", "hydrant.yaml", "version: 1"),
        ("", "hydrant.yaml", "version: 1"),
        (f"version: 1\ndata_dir: d\ns3:\n  credentials:\n    access_key_id: a\n    secret_access_key: {SECRET}\n", "hydrant.yaml:6", "{env: NAME}"),
        ("version: 1\ndata_dir: d\nstreams:\n  - DeliveryStreamName: s\n    ExtendedS3DestinationConfiguration: {RoleARN: x}\n", "hydrant.yaml"),
    ):  # fmt: skip
        path.write_text(text)
        refused(folder, ["check", "--config", path], *named, code=1)
        refused(folder, ["serve", "--config", path], *named, code=2)
    for command in ("check", "serve"):
        refused(folder, [command, "--config", "absent.yaml"], "absent.yaml", "No such file")
        path.write_bytes(b"\xff\xfe\x00")
        refused(folder, [command, "--config", path], "hydrant.yaml", "UTF-8")


@suite.test("nobody reads what a command prints: it is done all the same")
def closed_output(folder):
    path = configuration(folder)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [binary(), "check", "--config", str(path)], cwd=folder.path, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, env=clean_environment()
        )  # fmt: skip
    finally:
        os.close(writer)
    assert clean(done.stderr) == "" and done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}"


@suite.test("a secret that is not there: the variable keeps the service from starting, the file is found by check")
def missing_secrets(folder):
    keys = {"access_key_id": {"env": "STORE_KEY_ID"}, "secret_access_key": {"env": "STORE_KEY"}}
    path = configuration(folder, s3={"endpoint": "http://127.0.0.1:1", "credentials": keys})
    for command in ("check", "serve"):
        refused(folder, [command, "--config", path], "secret_access_key", "STORE_KEY", "set it", environment={"STORE_KEY_ID": "k"})
    keys["secret_access_key"] = {"file": "no-such-file"}
    path = configuration(folder, s3={"buckets": {"other": {"credentials": keys}}})
    text = refused(folder, ["check", "--config", path], "s3.buckets.other.credentials.secret_access_key", "no-such-file")
    assert "STORE_KEY_ID" in text, text


@suite.test("an address in use, a folder that is none, an address open to all")
def addresses_and_folders(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addr = f"127.0.0.1:{taken.getsockname()[1]}"
        for name in ("api", "s3", "admin"):
            option = f"--{name}-addr"
            for command in ("dev", "demo"):
                arguments = [command, "--data-dir", f"data-{command}-{name}", *FREE]
                refused(folder, swap(arguments, option, addr), addr, "in use", option)
        path = configuration(folder, api={"addr": addr})
        refused(folder, ["serve", "--config", path], addr, "in use", "api.addr")
    (folder / "file").write_text("x")
    refused(folder, ["dev", "--data-dir", "file", *FREE], str(folder / "file"), "is a file", "--data-dir")
    refused(folder, ["dev", "--data-dir", "/proc/none", *FREE], "/proc/none", "--data-dir")
    refused(folder, swap(["dev", *FREE], "--api-addr", "0.0.0.0:0"), "0.0.0.0:0", "--insecure-bind")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "FORMAT").write_text("of something else\n")
    refused(folder, ["dev", "--data-dir", "foreign", *FREE], str(folder / "foreign"), "FORMAT")


def swap(arguments, option, value):
    at = arguments.index(option)
    return [*arguments[: at + 1], value, *arguments[at + 2 :]]


@suite.test("put: no file, no stream, no service, no such URL, a damaged file")
def put_mistakes(folder):
    (folder / "one.ndjson").write_text('{"a":1}\n')
    (folder / "torn.gz").write_bytes(b"\x1f\x8b\x08garbage")
    service = folder.hydrant().start()
    service.create("there")
    here = ["--endpoint", service.api, "--retry-for", "1"]
    refused(folder, ["put", "there", "absent.ndjson", *here], "absent.ndjson", "No such file", code=2)
    refused(folder, ["put", "there", folder.path, *here], str(folder.path), "is a folder", code=2)
    refused(folder, ["put", "there", "torn.gz", *here], "gzip", code=2)
    refused(folder, ["put", "missing", "one.ndjson", *here], "missing", "not found", "CreateDeliveryStream", code=2)
    refused(folder, ["put", "there", "one.ndjson", "--endpoint", "127.0.0.1:4573"], "127.0.0.1:4573", "http://", code=2)
    refused(folder, ["put", "there", "one.ndjson", "--endpoint", service.s3, "--retry-for", "1"], "--endpoint", code=2)
    service.kill()
    refused(folder, ["put", "there", "one.ndjson", *here], urllib.parse.urlsplit(service.api).netloc, "refused", "--endpoint", code=2)


@suite.test("demo: a file that is empty, holds no JSON, is not there; a folder used before")
def demo_mistakes(folder):
    empty, blank, broken, nested = (folder / name for name in ("empty", "blank", "broken", "nested"))
    empty.write_text("")
    blank.write_text("\n\n \n")
    broken.write_text("not JSON\n{neither\n")
    nested.write_text('[1,2]\n"text"\n{"a":{"b":1}}\n')
    for path in (empty, blank):
        refused(folder, ["demo", "--input", path], str(path), "no line", code=2)
    for path in (broken, nested):
        refused(folder, ["demo", "--input", path], str(path), "JSON object", code=2)
    refused(folder, ["demo", "--input", "absent"], "absent", "No such file", code=2)
    refused(folder, ["demo", "--input", folder.path], str(folder.path), "directory", code=2)
    # Some bad lines among good ones are what the demo is about.
    (folder / "mixed").write_text('not JSON\n{"a":1}\n{neither\n')
    arguments = [binary(), "demo", "--input", "mixed", "--data-dir", "used"]
    done = subprocess.run(arguments, cwd=folder.path, capture_output=True, text=True, timeout=120, env=clean_environment())
    assert done.returncode == 0 and re.search(r"demo-parquet +3 +1 +2 +0 +adds up", done.stdout), (done.stdout, clean(done.stderr))
    refused(folder, ["demo", "--input", "mixed", "--data-dir", "used"], "used", "earlier demo", "--data-dir", code=2)


def stream_to(bucket):
    return {
        "DeliveryStreamName": "events",
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{bucket}", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        },
    }  # fmt: skip


@suite.test("S3 is down at the start, then refuses the keys, then gets the right ones: named, and nothing lost")
def store_in_trouble(folder):
    store = folder.hydrant("store").start()
    port = urllib.parse.urlsplit(store.ready["s3"]).port
    store.arguments = ["--s3-addr", f"127.0.0.1:{port}"]  # where it stays
    bucket = store.bucket
    assert store.stop() == 0
    (folder / "key-id").write_text("AKIDWRONG\n")
    (folder / "key").write_text(SECRET + "\n")
    keys = {"access_key_id": {"file": "key-id"}, "secret_access_key": {"file": "key"}}
    path = configuration(folder, s3={"endpoint": f"http://127.0.0.1:{port}", "credentials": keys}, streams=[stream_to(bucket)])
    service = folder.hydrant("service", command="serve", arguments=["--config", str(path)]).start()
    service.firehose().put_record(DeliveryStreamName="events", Record={"Data": b"kept\n"})

    def reported(state, *named):
        status = until(lambda: service.stream("events"), lambda: (s := service.stream("events")) and s["state"] == state and s)
        assert all(each in status["last_error"] for each in named), status
        until("the log says so too", lambda: all(each in service.log_path.read_text() for each in named))

    reported("retrying", "S3.ConnectionFailed", f"127.0.0.1:{port}", "tried again")
    store.start()
    reported("needs_operator", "S3.InvalidAccessKeyId", "s3.credentials")
    (folder / "key-id").write_text("test\n")
    # Slow tries for what the operator must mend; a pause and resume ends the waiting.
    try_now = lambda: (service.admin("/streams/events/pause", "POST"), service.admin("/streams/events/resume", "POST"))
    until("the other refusal", lambda: try_now() and "S3.SignatureDoesNotMatch" in (service.stream("events")["last_error"] or ""), pause_s=0.3)
    # The pause is over a moment after the resume was answered.
    told = until("it runs again", lambda: (s := service.stream("events"))["state"] == "needs_operator" and s)
    assert "s3.credentials" in told["last_error"], told
    (folder / "key").write_text("test\n")
    until("delivery with the right keys", lambda: try_now() and service.ledger("events")["in_flight"] == 0, pause_s=0.3)
    assert b"".join(each.content() for each in oracle.objects(store.s3_client(), bucket)) == b"kept\n"
    assert service.stream("events")["last_error"] is None
    clean(service.log_path.read_text())
    assert service.stop() == 0


if __name__ == "__main__":
    suite.main()
