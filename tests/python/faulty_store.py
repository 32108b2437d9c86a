"""A proxy before an S3 server that plays the faults of a script, and sees that one key never gets two contents.

One request a connection, as in `tests/faulty_s3` of the tests in Rust, whose matrix goes through every call; this one
stands before a whole service and leaves the streams' data, error and backup objects apart by their keys.
"""

import hashlib
import random
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections import Counter, defaultdict

KINDS = ("data", "error", "backup")


def error(status, code):
    body = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>scripted</Message></Error>" % code.encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/xml\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


# What a fault may be: whether the request is passed on before it, and what comes back. `None`: the connection is reset;
# `b""`: closed without a byte; "silence": nothing comes until the caller hangs up; other texts change the true answer.
FAULTS = {
    "refuse": [
        (False, error(500, "InternalError")),
        (False, error(503, "SlowDown")),
        (False, None),
        (False, error(403, "AccessDenied")),
        (False, error(404, "NoSuchBucket")),
        (False, error(429, "TooManyRequests")),
    ],
    "fail after write": [
        (True, error(500, "InternalError")),
        (True, None),
        (True, b""),
        (True, error(503, "ServiceUnavailable")),
        (True, error(409, "ConditionalRequestConflict")),
    ],
    "hold": [(True, "silence"), (False, "silence")],
    "slow": [(True, "slow")],
    "wrong answer": [
        (False, error(200, "InternalError")),
        (True, error(200, "InternalError")),
        (True, "truncated"),
        (False, b"SSH-2.0-OpenSSH_9.2\r\n"),
        (True, error(412, "PreconditionFailed")),
        (True, error(404, "NotFound")),
        (False, error(301, "PermanentRedirect")),
        (True, "damaged"),
    ],
    "disk full": [
        (False, error(507, "InsufficientStorage")),
        (False, error(507, "XMinioStorageFull")),
        (False, error(500, "InternalError")),
    ],
}  # fmt: skip


def first_of_each(times):
    """A script: what is named by the stream's second part meets the first PUTs of each kind of its objects, and again
    the first repeat of these. Streams are named `<set>.<fault>`."""

    def choose(store, stream, kind, key, attempt):
        fault = stream.partition(".")[2].replace("-", " ")
        with store.lock:
            chosen = store.chosen[stream, kind]
            if key not in chosen and len(chosen) < times:
                chosen.append(key)
            hit = key in chosen and attempt <= (1 if fault in ("hold", "slow") else 2)
        return fault if hit else None

    return choose


def at_random(share, seed, faults=tuple(FAULTS)):
    """A script: each request that writes meets some fault with the probability `share`."""
    rng = random.Random(seed)

    def choose(store, stream, kind, key, attempt):
        with store.lock:
            return rng.choice(faults) if rng.random() < share else None

    return choose


def always(fault):
    return lambda store, stream, kind, key, attempt: fault


class FaultyStore:
    """Serves until `close`. `script` is a function as above, or None for no faults; it may be changed at any time."""

    def __init__(self, upstream, script=None):
        parts = urllib.parse.urlsplit(upstream)
        self.upstream, self.script, self.lock = (parts.hostname, parts.port), script, threading.Lock()
        self.chosen, self.attempts, self.contents = defaultdict(list), Counter(), {}
        self.uploads = 0
        self.under_way = 0
        # (stream, kind, fault) → times; keys that got two contents; whatever went wrong here.
        self.played, self.changed, self.troubles, self.turn = Counter(), [], [], Counter()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def assert_sound(self):
        assert not self.troubles, self.troubles[:3]
        assert not self.changed, f"one key, two contents: {self.changed[:3]}"

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.under_way += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client:
                client.settimeout(120)
                request = read_request(client)
                if request:
                    self.answer(client, *request)
        except OSError:
            pass  # one of the two hung up, or died
        except Exception as trouble:
            self.troubles.append(repr(trouble))
        finally:
            with self.lock:
                self.under_way -= 1

    def answer(self, client, method, target, head, body):
        fault, passed_on, reply = self.fault_for(method, target, body)
        if fault is None:
            client.sendall(self.pass_on(head, body))
            return
        if fault == "slow":
            time.sleep(0.05)  # the fault itself
        if reply == "damaged" and body:
            body = body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 16]) + body[len(body) // 2 + 1 :]
        true = self.pass_on(head, body) if passed_on else b""
        if reply is None:
            # A close with a zero linger time sends a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif reply == "silence":
            client.recv(1)
        elif reply == "truncated":
            client.sendall(true[: len(true) // 2])
        elif reply == "slow":
            for first in range(0, len(true), 60):
                client.sendall(true[first : first + 60])
                time.sleep(0.002)
        else:
            client.sendall(true if reply == "damaged" else reply)

    def fault_for(self, method, target, body):
        path, _, query = target.partition("?")
        if method not in ("PUT", "POST"):
            return None, True, b""
        key = urllib.parse.unquote(path.split("/", 2)[2])
        stream, kind = key.split("/")[:2]
        digest, part = hashlib.sha256(body).digest(), re.search(r"partNumber=\d+", query)
        with self.lock:
            # Repeats of the same request, whatever upload they are for.
            same = (key, method, part and part[0], "uploads" in query)
            self.attempts[same] += 1
            attempt = self.attempts[same]
            if method == "PUT" and self.contents.setdefault(same, digest) != digest:
                self.changed.append(same)
            self.uploads += "uploads" in query
        fault = self.script and self.script(self, stream, kind, key, attempt)
        if not fault:
            return None, True, b""
        with self.lock:
            self.played[stream, kind, fault] += 1
            ways = FAULTS[fault]
            way = ways[self.turn[fault] % len(ways)]
            self.turn[fault] += 1
        return fault, *way

    def pass_on(self, head, body):
        with socket.create_connection(self.upstream, timeout=120) as server:
            server.sendall(head + body)
            answer = b""
            while piece := server.recv(1 << 16):
                answer += piece
        return answer


class Kept(FaultyStore):
    """A store by itself that takes objects into memory and no other request: for tests of many objects, to which a
    server that syncs each would be most of the time."""

    def __init__(self):
        super().__init__("http://127.0.0.1:9")
        self.objects = {}

    def answer(self, client, method, target, head, body):
        key = urllib.parse.unquote(target.partition("?")[0].split("/", 2)[2])
        with self.lock:
            is_new = self.objects.setdefault(key, body) is body
        assert method == "PUT" and is_new, (method, key)
        client.sendall(b'HTTP/1.1 200 OK\r\netag: "0"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')


def read_request(client):
    """(method, target, head to pass on, body); None if nothing came."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = client.recv(1 << 16)
        if not piece:
            assert not got, got[:100]
            return None
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    names = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines}
    assert b"transfer-encoding" not in names, names
    length = int(names.get(b"content-length", 0))
    if b"100-continue" in names.get(b"expect", b"") and len(body) < length:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    parts = [body]
    while length > sum(map(len, parts)):
        piece = client.recv(1 << 18)
        if not piece:
            return None
        parts.append(piece)
    kept = [line for line in lines if line.partition(b":")[0].lower() not in (b"connection", b"expect")]
    return method, target, b"\r\n".join([first, *kept, b"connection: close", b"", b""]), b"".join(parts)
