"""A wire proxy before PostgreSQL that makes a Redshift of it, and plays what goes wrong on the way.

`COPY … FROM 's3://…' CREDENTIALS '…' MANIFEST …` is checked word by word, its manifest byte by byte, and the objects that it
names are loaded into PostgreSQL in the session's own transaction. Everything else is PostgreSQL's. Written from the protocol's
text and shares no code with the service.
"""

import csv
import gzip
import io
import json
import re
import socket
import struct
import threading
import time

# What may become of a session at its COPY.
COPY_FAULTS = ("disk full", "cut in copy", "shut down", "forgotten")
# What may become of a session at its COMMIT.
COMMIT_FAULTS = ("late", "lost", "never")
STATEMENT = re.compile(
    r"COPY (?P<table>\S+)(?: \((?P<columns>[^)]*)\))? FROM '(?P<url>s3://[^']+)' CREDENTIALS 'aws_iam_role=(?P<role>arn:aws:iam::\d{12}:role/[^']+)' MANIFEST(?: (?P<options>.*))?"
)


def message(kind, content=b""):
    return kind + struct.pack(">I", len(content) + 4) + content


def error(state, text):
    return message(b"E", b"SERROR\0VERROR\0C%s\0M%s\0\0" % (state.encode(), text.encode()))


def whole(connection, length):
    found = b""
    while len(found) < length:
        more = connection.recv(length - len(found))
        if not more:
            raise ConnectionError("closed")
        found += more
    return found


def hang_up(connection):
    """Ends a connection although another thread may be reading from it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class Proxy:
    """`script(moment, number)` says what becomes of the number-th COPY or COMMIT of a load: one of the faults, or None."""

    def __init__(self, postgres, store=None, bucket=None, script=lambda moment, number: None, late_s=lambda: 0.3):
        self.postgres, self.store, self.bucket, self.script, self.late_s = postgres, store, bucket, script, late_s
        self.lock, self.counts, self.played = threading.Lock(), {}, {}
        self.statements, self.manifests, self.deviations = [], {}, []
        self.forgotten, self.late = [], []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            Session(self, client).run()
        except (OSError, ConnectionError):
            pass
        except Exception as error:  # told by the test
            self.deviate(f"the proxy died: {error!r}")
        finally:
            client.close()

    def deviate(self, what):
        with self.lock:
            self.deviations.append(what)

    def decide(self, moment):
        with self.lock:
            number = self.counts[moment] = self.counts.get(moment, 0) + 1
            fault = self.script(moment, number)
            if fault:
                self.played[fault] = self.played.get(fault, 0) + 1
            return fault

    def settle(self):
        """Waits for commits that come late."""
        while self.late:
            self.late.pop().join(120)

    def rows(self, statement):
        """The rows of the objects that the manifest of a COPY names, as CSV, and the statement for them; checks all of it."""
        found = STATEMENT.fullmatch(statement)
        if not found:
            self.deviate(f"not the statement: {statement}")
            return None
        url, options = found["url"], (found["options"] or "").lower()
        bucket, _, key = url.removeprefix("s3://").partition("/")
        manifest = self.store.get_object(Bucket=bucket, Key=key)["Body"].read()
        entries = json.loads(manifest)["entries"]
        with self.lock:
            self.statements.append(statement)
            self.manifests[key] = manifest
        exact = b'{"entries":[' + b",".join(b'{"url":"%s","mandatory":true}' % e["url"].encode() for e in entries) + b"]}"
        if manifest != exact or bucket != self.bucket or "manifests/" not in key:
            self.deviate(f"not the manifest: {url} {manifest!r}")
        rows = []
        columns = [c.strip().strip('"') for c in (found["columns"] or "").split(",")]
        for entry in entries:
            bucket, _, key = entry["url"].removeprefix("s3://").partition("/")
            body = self.store.get_object(Bucket=bucket, Key=key)["Body"].read()
            if "gzip" in options:
                body = gzip.decompress(body)
            if "json 'auto'" in options:
                text, at, out = body.decode(), 0, io.StringIO()
                writer = csv.writer(out)
                while at < len(text):
                    value, at = json.JSONDecoder().raw_decode(text, at)
                    writer.writerow([value.get(c) if not isinstance(value.get(c), (dict, list)) else json.dumps(value[c]) for c in columns])
                    at += len(text[at:]) - len(text[at:].lstrip())
                body = out.getvalue().encode()
            rows.append(body)
        into = f"{found['table']} ({found['columns']})" if found["columns"] else found["table"]
        return b"".join(rows), f"COPY {into} FROM STDIN WITH (FORMAT csv)"


class Session:
    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.backend = socket.create_connection(("127.0.0.1", proxy.postgres.port))
        self.rows, self.copies, self.is_refused = None, False, False
        self.is_cut = threading.Event()
        # Whether the sync behind the newest execution was passed on.
        self.is_synced = threading.Event()

    def run(self):
        startup = whole(self.client, 4)
        self.backend.sendall(startup + whole(self.client, struct.unpack(">I", startup)[0] - 4))
        answers = threading.Thread(target=self.pump_answers, daemon=True)
        answers.start()
        try:
            self.pump_requests()
        except (OSError, ConnectionError):
            pass
        # Of one that is cut, what was played decides about the other side.
        if not self.is_cut.is_set():
            hang_up(self.backend)

    def cut(self):
        """The service's side of the session ends, as if the network did."""
        self.is_cut.set()
        hang_up(self.client)

    def pump_requests(self):
        while True:
            kind = whole(self.client, 1)
            length = struct.unpack(">I", whole(self.client, 4))[0]
            content = whole(self.client, length - 4)
            if self.is_refused:
                # As a server that has told an error: nothing counts up to the sync.
                if kind == b"S":
                    self.is_refused = False
                    self.client.sendall(message(b"Z", b"E"))
                continue
            if kind == b"P" and content.split(b"\0")[1].startswith(b"COPY "):
                fault = self.proxy.decide("copy")
                self.copies = True
                if fault == "disk full":
                    self.is_refused = True
                    self.client.sendall(error("53100", "could not extend file: No space left on device"))
                    continue
                if fault == "forgotten":
                    # Nobody ever tells the server that the other side is gone.
                    self.proxy.forgotten.append(self.backend)
                    self.cut()
                    return
                if fault == "shut down":
                    self.is_cut.set()
                    self.client.sendall(error("57P01", "terminating connection by the operator of the cluster"))
                    self.client.shutdown(socket.SHUT_WR)
                    # Unread bytes would take what was said with them.
                    while self.client.recv(65536):
                        pass
                    hang_up(self.backend)
                    return
                if fault == "cut in copy":
                    self.cut()
                    hang_up(self.backend)
                    return
                name, statement, rest = content.split(b"\0", 2)
                if b"'s3://" in statement:
                    rows = self.proxy.rows(statement.decode())
                    if rows is None:
                        self.is_refused = True
                        self.client.sendall(error("42601", "not a COPY of Redshift"))
                        continue
                    self.rows, text = rows
                    content = b"\0".join((name, text.encode(), rest))
            if kind == b"Q" and content == b"COMMIT\0" and self.copies:
                self.copies = False
                fault = self.proxy.decide("commit")
                if fault == "never":
                    self.cut()
                    hang_up(self.backend)
                    return
                if fault == "late":
                    self.cut()
                    commit = threading.Thread(target=self.commit_late, daemon=True)
                    self.proxy.late.append(commit)
                    commit.start()
                    return
                if fault == "lost":
                    self.is_cut.set()
                    self.commit_late(0)
                    self.cut()
                    return
            if kind == b"E":
                self.is_synced.clear()
            self.backend.sendall(message(kind, content))
            if kind == b"S":
                self.is_synced.set()

    def commit_late(self, after_s=None):
        time.sleep(self.proxy.late_s() if after_s is None else after_s)  # that it is late is what is played
        try:
            self.backend.sendall(message(b"Q", b"COMMIT\0"))
            # Until the server has done it and closes for want of a client.
            self.backend.sendall(message(b"X"))
            while self.backend.recv(65536):
                pass
        except OSError:
            pass
        hang_up(self.backend)

    def pump_answers(self):
        try:
            while True:
                kind = whole(self.backend, 1)
                if self.is_cut.is_set():
                    return
                length = struct.unpack(">I", whole(self.backend, 4))[0]
                content = whole(self.backend, length - 4)
                if kind == b"G" and self.rows is not None:
                    rows, self.rows = self.rows, None
                    # The client's sync is ignored while copying alone.
                    if not self.is_synced.wait(120):
                        raise ConnectionError("no sync behind a COPY")
                    for at in range(0, len(rows), 60_000):
                        self.backend.sendall(message(b"d", rows[at : at + 60_000]))
                    self.backend.sendall(message(b"c") + message(b"S"))
                    continue
                self.client.sendall(message(kind, content))
        except (OSError, ConnectionError):
            if not self.is_cut.is_set():
                self.cut()
