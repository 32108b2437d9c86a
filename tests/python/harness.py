"""What the Python suites share: a suite's frame, a running Hydrant, clients, and readers of what was delivered.

Neighbours: `oracle.py` compares what was sent with what arrived. Nothing here sleeps to wait for an effect: `until`
polls a condition until a deadline that a busy machine keeps easily.
"""

import argparse
import atexit
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import urllib.parse
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("HYDRANT_TEST_FULL") == "1"
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/delivery"
DEADLINE_S = 180


class Skip(Exception):
    """Raised by a test that cannot run here; counted."""


def until(what, condition, deadline_s=DEADLINE_S, pause_s=0.02):
    """Polls `condition` until it returns something true, and returns that."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what() if callable(what) else what}")
        time.sleep(pause_s)


def shortened(text, longest=6000):
    """The beginning and the end of a long text."""
    return text if len(text) <= longest else f"{text[: longest // 2]}\n[…]\n{text[-longest // 2 :]}"


def reason(error):
    """Why a test failed, in few lines: where in the suite, the line there, the beginning of what the error says."""
    here = Path(__file__).parent
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)[1:] if Path(frame.filename).parent == here]
    lines = [f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}" for frame in frames[-2:]]
    told = f"{type(error).__name__}: {error}".splitlines()
    return "\n".join(line[:400] for line in [*lines, *told[:6]])


class Suite:
    """Tests of one file, run in order; the last line printed is what tests/run reads."""

    def __init__(self, name):
        self.name, self.tests = name, []
        self.parser = argparse.ArgumentParser(prog=name)
        self.parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="tests whose name holds TEXT")
        self.parser.add_argument("--list", action="store_true", help="names of the tests")
        self.parser.add_argument("--keep", action="store_true", help="keep the folders of failed tests")
        self.parser.add_argument(
            "--seed", type=int, default=int(os.environ.get("HYDRANT_TEST_SEED") or random.SystemRandom().randrange(2**32))
        )

    def test(self, name):
        def add(function):
            self.tests.append((name, function))
            return function

        return add

    def main(self):
        self.args = self.parser.parse_args()
        if self.args.list:
            print("\n".join(name for name, _ in self.tests))
            return
        chosen = [t for t in self.tests if not self.args.only or any(text in t[0] for text in self.args.only)]
        passed, failed, skipped = 0, {}, 0
        for name, function in chosen:
            started = time.monotonic()
            error = None
            with Folder(keep=self.args.keep) as folder:
                try:
                    function(folder)
                    passed += 1
                    verdict = "ok"
                except Skip as why:
                    skipped += 1
                    verdict = f"skipped: {why}"
                except Exception as found:
                    error, verdict = found, "FAILED"
                    folder.failed = True
                finally:
                    folder.stop_all()
                    if folder.failed:
                        folder.show_logs()
            if error:
                # After the logs, and what it says in few lines last: output that is cut off is cut off above.
                failed[name] = reason(error)
                print(shortened("".join(traceback.format_exception(error)).rstrip()))
            print(f"{name}: {verdict} ({time.monotonic() - started:.1f} s)", flush=True)
        for name, why in failed.items():
            print(f"  failed: {name}\n{textwrap.indent(why, '    ')}")  # tests/run says it again at its end
        if failed:
            print(f"repeat with: HYDRANT_TEST_SEED={self.args.seed} tests/run --only {self.name}")
        print(f"{self.name}: {passed} passed, {len(failed)} failed, {skipped} skipped", flush=True)
        sys.exit(1 if failed else 0)


class Folder:
    """A test's own folder, removed at the end, and the processes that live in it."""

    def __init__(self, keep=False):
        self.path = Path(tempfile.mkdtemp(prefix="hydrant-test-"))
        self.keep, self.failed, self.processes = keep, False, []
        atexit.register(self.stop_all)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_all()
        if self.failed and self.keep:
            print(f"kept: {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def __truediv__(self, name):
        return self.path / name

    def hydrant(self, name="data", **options):
        """A service on the data folder `name` of this test, not yet started."""
        service = Hydrant(self.path / name, self.path / f"{name}.log", **options)
        self.processes.append(service)
        return service

    def hydrant_with_store(self, name="data", between=lambda url: url, s3=None, **settings):
        """A service by `hydrant serve` whose S3 is another process, already started; `settings` are of the file, `s3` of
        its section. `between` is given the store's URL and returns the one by which the service reaches it."""
        store = self.hydrant(f"{name}-store").start()
        port = urllib.parse.urlsplit(store.ready["s3"]).port
        store.arguments = ["--s3-addr", f"127.0.0.1:{port}"]  # where it stays over restarts
        config = self.path / f"{name}.yaml"
        s3 = {"endpoint": between(store.ready["s3"]), "region": "us-east-1", "path_style": True, **(s3 or {})}
        listeners = {"api": {"addr": "127.0.0.1:0"}, "admin": {"addr": "127.0.0.1:0"}}
        # JSON is YAML.
        config.write_text(json.dumps({"version": 1, "data_dir": str(self.path / name), **listeners, "s3": s3, **settings}))
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        service = self.hydrant(name, command="serve", arguments=["--config", str(config)], environment=keys)
        service.store = store
        return service

    def stop_all(self):
        for service in self.processes:
            with contextlib.suppress(Exception):
                service.kill()

    def show_logs(self, lines=40):
        for log in sorted(self.path.glob("*.log")):
            text = log.read_text(errors="replace").splitlines()
            print(f"--- {log.name}, last {min(lines, len(text))} of {len(text)} lines")
            print("\n".join(line[:400] for line in text[-lines:]))


def binary():
    return os.environ.get("HYDRANT_BIN") or str(ROOT / "target" / "debug" / "hydrant")


class Hydrant:
    """One `hydrant dev` (or another command) on a data folder; can be killed and started again."""

    def __init__(self, data_dir, log, command="dev", arguments=(), environment=None):
        self.data_dir, self.log_path = Path(data_dir), Path(log)
        self.command, self.arguments, self.environment = command, list(arguments), dict(environment or {})
        self.process, self.ready, self.store = None, None, None

    def spawn(self, environment=None):
        """Starts the process without waiting for it."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        arguments = [binary(), self.command]
        if self.command == "dev":
            arguments += ["--data-dir", str(self.data_dir)]
            for name in ("api", "s3", "admin"):
                if f"--{name}-addr" not in self.arguments:
                    arguments += [f"--{name}-addr", "127.0.0.1:0"]
        self.ready = None
        self._log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            arguments + self.arguments,
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            env={**clean_environment(), **self.environment, **(environment or {})},
        )
        self._line = []
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout, self._line), daemon=True)
        self._reader.start()
        return self

    @staticmethod
    def _read(pipe, lines):
        for line in pipe:
            lines.append(line)

    def wait_ready(self, deadline_s=DEADLINE_S):
        def ready():
            if self._line:
                return True
            if self.process.poll() is not None:
                self._reader.join(5)
                if not self._line:
                    raise AssertionError(f"hydrant ended with {self.process.returncode} before it was ready: {self.tail()}")
            return bool(self._line)

        until("the ready line", ready, deadline_s, pause_s=0.005)
        self.ready = json.loads(self._line[0])
        assert self.ready["pid"] == self.process.pid
        return self

    def start(self, environment=None):
        return self.spawn(environment).wait_ready()

    def tail(self, size=2000):
        try:
            return self.log_path.read_bytes()[-size:].decode(errors="replace")
        except FileNotFoundError:
            return ""

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self._log.close()
        return self

    def stop(self, deadline_s=DEADLINE_S):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end(deadline_s)

    def wait_end(self, deadline_s=DEADLINE_S):
        code = self.process.wait(deadline_s)
        self._reader.join(5)
        self._log.close()
        return code

    # Addresses and clients

    @property
    def api(self):
        return self.ready["api"]

    @property
    def s3(self):
        return (self.store or self).ready["s3"]

    @property
    def bucket(self):
        return (self.store or self).ready["bucket"]

    def firehose(self, **config):
        return client("firehose", self.api, **config)

    def s3_client(self, **config):
        return client("s3", self.s3, **config)

    def cli_environment(self):
        """Environment with which the AWS CLI talks to this service."""
        return {
            **clean_environment(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_FIREHOSE": self.api,
            "AWS_ENDPOINT_URL_S3": self.s3,
        }

    # The admin port

    def admin(self, path, method="GET", check=True):
        status, _, body = request(self.ready["admin"], method, path)
        if check:
            assert 200 <= status < 300, f"{method} {path}: {status} {body[:400]!r}"
        return status, body

    def stream(self, name):
        """Status of a stream as the admin port shows it."""
        return json.loads(self.admin(f"/streams/{name}")[1])

    def flush(self, name):
        self.admin(f"/streams/{name}/flush", "POST")

    def metrics(self):
        """All samples as {name with labels: number}."""
        samples = {}
        for line in self.admin("/metrics")[1].decode().splitlines():
            if line and not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                samples[sample] = float(value)
        return samples

    def ledger(self, name):
        """Records of a stream by fate, from /metrics; asserts that they add up."""
        samples = self.metrics()
        found = {}
        for unit in ("records", "bytes"):
            fates = {
                m[1]: int(value)
                for sample, value in samples.items()
                if (m := re.fullmatch(rf'hydrant_stream_{unit}\{{stream="{re.escape(name)}",fate="(\w+)"\}}', sample))
            }
            assert fates, f"no ledger of {name} in /metrics"
            rest = sum(value for fate, value in fates.items() if fate != "received")
            split = int(samples[f'hydrant_stream_split_records{{stream="{name}"}}']) if unit == "records" else 0
            assert fates["received"] + split == rest, f"ledger of {name} ({unit}) does not add up: {fates}, split {split}"
            found[unit] = fates
            found["split"] = max(split, found.get("split", 0))
        return {**found["records"], "split": found["split"], "bytes": found["bytes"]}

    def backup_ledger(self, name):
        """Records of a stream's source backup by fate, from /metrics; asserts that they add up. Empty without one."""
        found = {
            m[1]: int(value)
            for sample, value in self.metrics().items()
            if (m := re.fullmatch(rf'hydrant_backup_records\{{stream="{re.escape(name)}",fate="(\w+)"\}}', sample))
        }
        assert found.get("received") == (sum(v for f, v in found.items() if f != "received") if found else None), found
        return found

    def drained(self, *names, deadline_s=DEADLINE_S, backups=True):
        """Waits until nothing of these streams and their source backups is in flight; returns the streams' ledgers. Fails
        once none of it has moved for `deadline_s`."""
        last = {}

        def done():
            for name in names:
                if last.get(name, {}).get("in_flight") != 0:
                    last[name] = self.ledger(name)
                    if last[name]["in_flight"] != 0:
                        return False
                if backups and self.backup_ledger(name).get("in_flight", 0) != 0:
                    return False
            return True

        def fates():
            ledgers = [ledger for name in names for ledger in (self.ledger(name), self.backup_ledger(name))]
            return [{fate: ledger.get(fate) for fate in ("delivered", "refused", "dropped", "split")} for ledger in ledgers]

        before = fates()
        while True:
            try:
                until(lambda: f"nothing in flight: {last} {[self.stream(n) for n in names]}", done, deadline_s, pause_s=0.1)
                return last
            except AssertionError:
                now = fates()
                if now == before:
                    raise
                before = now

    def peak_bytes(self):
        """VmHWM of the process: the most memory it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def create(self, name, prefix=None, size_mb=1, interval_s=1, compression="UNCOMPRESSED", tags=None, **more):
        """CreateDeliveryStream to the embedded bucket; objects go below `<name>/data/` and `<name>/error/`."""
        configuration = {
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{more.pop('bucket', self.bucket)}",
            "Prefix": prefix if prefix is not None else f"{name}/data/",
            "ErrorOutputPrefix": f"{name}/error/",
            "BufferingHints": {"SizeInMBs": size_mb, "IntervalInSeconds": interval_s},
            "CompressionFormat": compression,
            **more,
        }
        request = {"DeliveryStreamName": name, "ExtendedS3DestinationConfiguration": configuration}
        if tags:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.firehose().create_delivery_stream(**request)


def clean_environment():
    """This environment without what would steer an AWS client or a test build."""
    drop = ("AWS_", "HYDRANT_FAILPOINT", "HYDRANT_ENCODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}


def client(service, endpoint, retries=5, **config):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            retries={"total_max_attempts": retries, "mode": "standard"},
            connect_timeout=20,
            # CreateDeliveryStream compiles the transform; those that the long form builds are large.
            read_timeout=DEADLINE_S * (5 if FULL else 1),
            max_pool_connections=32,
            **({"s3": {"addressing_style": "path"}} if service == "s3" else {}),
            **config,
        ),
    )


class Http:
    """A kept connection for raw requests; cheaper than an SDK where requests are many."""

    def __init__(self, url, timeout_s=180):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)

    def request(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()

    def call(self, operation, members):
        """An AWS JSON 1.1 call; returns status and decoded body."""
        status, _, body = self.request("POST", "/", json.dumps(members).encode(), target(operation))
        return status, json.loads(body or b"{}")

    def close(self):
        self.connection.close()


def target(operation):
    return {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Firehose_20150804.{operation}"}


def request(url, method, path, body=None, headers=None):
    connection = Http(url)
    try:
        return connection.request(method, path, body, headers)
    finally:
        connection.close()


def data_file(name):
    """Path of a recorded data set, or a skip."""
    folder = os.environ.get("HYDRANT_TEST_DATA")
    if not folder:
        raise Skip(f"{name}: HYDRANT_TEST_DATA is not set")
    path = Path(folder) / f"{name}.ndjson.gz"
    if not path.exists():
        raise Skip(f"{name}: {path} does not exist")
    return path
