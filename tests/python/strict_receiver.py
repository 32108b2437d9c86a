"""An HTTP endpoint that takes nothing but what the service's protocol says, and plays faults.

Written from the protocol's text alone, over bare sockets: whatever a request has that the text does not name is a
deviation and is kept in `deviations`, which a test asserts to be empty. A fault is chosen by the script for each request
id and attempt; what was taken is kept by id, so that repeats can be judged.
"""

import base64
import gzip
import hashlib
import json
import re
import socket
import ssl
import threading
import time
from collections import Counter, defaultdict

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Faults after which the receiver has the records all the same.
TAKES = {"accept", "slow", "lost", "cut answer", "wrong id", "no json", "extra member", "string timestamp", "text", "chunked", "accepted", "long reason", "huge"}
REFUSES = {"refuse", "busy", "redirect", "hang", "cut off", "too large", "unauthorized"}


class Receiver:
    """Listens on loopback. `script(stream, request id, attempt)` names what happens, attempts counted from 1."""

    def __init__(self, script=None, access_key=None, attributes=None, encoding=None, path="/in?x=1", plain=None, tls=None):
        self.script, self.access_key, self.attributes, self.encoding = script, access_key, attributes, encoding
        self.path, self.plain, self.tls = path, plain, tls
        self.lock = threading.Lock()
        self.deviations, self.connections, self.requests = [], 0, 0
        self.attempts = Counter()  # by request id
        self.played = Counter()  # by (stream, fault)
        self.bodies = {}  # request id → what must be the same each time
        self.taken = defaultdict(dict)  # stream → request id → records
        self.answered = set()  # request ids that were told that they are taken
        self.times = defaultdict(list)  # request id → when its attempts came
        self.under_way, self.most_under_way = Counter(), Counter()  # by stream
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{self.path}"

    def records(self, stream):
        """What a receiver that drops repeats by id has, in no order."""
        with self.lock:
            return [record for records in self.taken[stream].values() for record in records]

    def close(self):
        self.closing.set()
        self.listener.close()

    def serve(self):
        while not self.closing.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connection, args=(connection,), daemon=True).start()

    def connection(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with self.lock:
                self.connections += 1
            with connection, connection.makefile("rb") as reader:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while self.one(connection, reader):
                    pass
        except (OSError, ssl.SSLError, ValueError):
            pass  # the other side went away: it may be killed at any moment

    def deviation(self, text):
        with self.lock:
            self.deviations.append(text)

    def one(self, connection, reader):
        """Reads a request and answers it. False: the connection is over."""
        line = reader.readline()
        if not line:
            return False
        headers, order = {}, []
        while (header := reader.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("ascii").partition(":")
            if name.lower() in headers:
                self.deviation(f"{name} is there twice")
            headers[name.lower()] = value.strip()
            order.append(name)
        stream = headers.get("x-amz-firehose-source-arn", "").rpartition("/")[2]
        identity = headers.get("x-amz-firehose-request-id", "")
        length = int(headers.get("content-length", "-1"))
        with self.lock:
            self.requests += 1
            self.attempts[identity] += 1
            attempt = self.attempts[identity]
            self.times[identity].append(time.monotonic())
            self.under_way[stream] += 1
            self.most_under_way[stream] = max(self.most_under_way[stream], self.under_way[stream])
        try:
            fault = (self.script and self.script(stream, identity, attempt)) or "accept"
            with self.lock:
                self.played[stream, fault] += 1
            if fault == "cut off":
                reader.read(max(length // 2, 1))
                return False
            if fault == "slow":
                body = b""
                while len(body) < length:
                    piece = reader.read(min(8192, length - len(body)))
                    if not piece:
                        return False
                    body += piece
                    time.sleep(0.001)  # takes its time; nothing waits for it
            else:
                body = reader.read(max(length, 0))
            if len(body) < length:
                return False  # the sender was killed in the middle
            records = self.judge(line, headers, body)
            if fault in TAKES:
                with self.lock:
                    self.taken[stream][identity] = records
            if fault == "hang":
                return self.answer(connection, fault, identity, len(records))
        finally:
            # Before the answer, with which the next request may come.
            with self.lock:
                self.under_way[stream] -= 1
        return self.answer(connection, fault, identity, len(records))

    def judge(self, line, headers, body):
        """The records of a request; whatever the protocol does not say is a deviation."""
        method, target, version = line.decode("ascii").split(" ")
        expected = {
            "host": f"127.0.0.1:{self.port}",
            "x-amz-firehose-protocol-version": "1.0",
            "content-type": {None: "application/json", "array": "application/json", "lines": "application/x-ndjson"}[self.plain],
            "user-agent": "Amazon Kinesis Data Firehose Agent/1.0",
            "content-length": str(len(body)),
        }
        if self.encoding:
            expected["content-encoding"] = self.encoding
        if self.access_key is not None:
            expected["x-amz-firehose-access-key"] = self.access_key
        wrong = [
            *([line] if (method, target, version) != ("POST", self.path, "HTTP/1.1\r\n") else []),
            *[f"{name}: {headers.get(name)!r}, not {value!r}" for name, value in expected.items() if headers.get(name) != value],
        ]
        free = {"x-amz-firehose-request-id", "x-amz-firehose-source-arn"} | ({"x-amz-firehose-common-attributes"} if self.attributes else set())
        wrong += [f"{name}: not of the protocol" for name in headers if name not in free | set(expected)]
        identity, arn = headers.get("x-amz-firehose-request-id", ""), headers.get("x-amz-firehose-source-arn", "")
        if not GUID.fullmatch(identity):
            wrong.append(f"request id {identity!r}")
        if not re.fullmatch(r"arn:aws:firehose:us-east-1:\d{12}:deliverystream/[a-zA-Z0-9._-]+", arn):
            wrong.append(f"source ARN {arn!r}")
        if self.attributes and json.loads(headers.get("x-amz-firehose-common-attributes", "null")) != {"commonAttributes": self.attributes}:
            wrong.append(f"common attributes {headers.get('x-amz-firehose-common-attributes')!r}")
        # Repeats: the same bytes.
        same = (hashlib.sha256(body).hexdigest(), arn, headers.get("content-encoding"), headers.get("x-amz-firehose-common-attributes"))
        with self.lock:
            if self.bodies.setdefault(identity, same) != same:
                wrong.append(f"request {identity} came with other bytes")
        plain = body
        if self.encoding == "gzip":
            plain = gzip.decompress(body)
        if len(plain) > 64 << 20:
            wrong.append(f"{len(plain)} bytes before compression")
        records = []
        if self.plain == "lines":
            records = plain.splitlines(keepends=True)
        elif self.plain == "array":
            records = [json.dumps(value).encode() for value in json.loads(plain)]
        else:
            records = self.protocol(identity, plain, wrong)
        if not 1 <= len(records) <= 10_000:
            wrong.append(f"{len(records)} records")
        for text in wrong:
            self.deviation(f"{identity}: {text}")
        return records

    @staticmethod
    def protocol(identity, plain, wrong):
        content = json.loads(plain, object_pairs_hook=lambda pairs: (len(pairs) != len(dict(pairs)) and wrong.append("a member twice")) or dict(pairs))
        if list(content) != ["requestId", "timestamp", "records"]:
            wrong.append(f"members {list(content)}")
        if content.get("requestId") != identity:
            wrong.append(f"requestId {content.get('requestId')!r}")
        stamp = content.get("timestamp")
        if type(stamp) is not int or not 0 <= time.time() * 1000 + 5000 - stamp < 3_600_000:
            wrong.append(f"timestamp {stamp!r}")
        records = []
        for record in content["records"]:
            data = record.get("data")
            if list(record) != ["data"] or type(data) is not str or len(data) > 1_365_336:
                wrong.append(f"record {str(record)[:80]}")
                continue
            decoded = base64.b64decode(data, validate=True)
            if base64.b64encode(decoded).decode() != data:
                wrong.append("base64 that is not canonical")
            records.append(decoded)
        return records

    def answer(self, connection, fault, identity, count):
        good = json.dumps({"requestId": identity, "timestamp": int(time.time() * 1000)}).encode()
        send = connection.sendall

        def reply(status, body=good, reason="OK", content_type="application/json", more=(), length=True):
            head = [f"HTTP/1.1 {status} {reason}", *([f"Content-Type: {content_type}"] if content_type else []), *more]
            if length:
                head.append(f"Content-Length: {len(body)}")
            send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            return True

        explained = lambda text: json.dumps({"requestId": identity, "timestamp": 1, "errorMessage": text}).encode()
        match fault:
            case "accept" | "slow":
                with self.lock:
                    self.answered.add(identity)
                return reply(200)
            case "refuse":
                return reply(500, explained('disk "full"\n'), "Internal Server Error")
            case "busy":
                return reply(503, b"", "Service Unavailable", more=["Retry-After: 1"])
            case "unauthorized":
                return reply(401, explained("who are you"), "Unauthorized")
            case "echo":
                return reply(401, explained(f"not by {self.access_key}"), "Unauthorized")
            case "too large":
                return reply(413, explained("too much"), "Payload Too Large")
            case "redirect":
                return reply(302, b"", "Found", more=[f"Location: {self.url}"])
            case "accepted":
                return reply(202, reason="Accepted")
            case "hang":
                # Until the sender has enough of it.
                connection.settimeout(3600)
                connection.recv(1)
                return False
            case "lost":
                return False
            case "cut answer":
                send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(good)}\r\n\r\n".encode() + good[:20])
                return False
            case "wrong id":
                return reply(200, good.replace(identity.encode(), identity[::-1].encode()))
            case "no json":
                return reply(200, b"<html>OK</html>")
            case "extra member":
                return reply(200, good[:-1] + b', "count": %d}' % count)
            case "string timestamp":
                return reply(200, json.dumps({"requestId": identity, "timestamp": str(int(time.time() * 1000))}).encode())
            case "text":
                return reply(200, content_type="text/plain")
            case "chunked":
                send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(good), good))
                return True
            case "long reason":
                return reply(200, reason="x" * 65)
            case "huge":
                reply(200, good[:-1] + b" " * (1 << 20) + b"}", more=["Connection: close"])
                return False
            case other:
                raise AssertionError(f"no fault {other}")


def first_attempts(fault, times=2):
    """The fault at the first attempts of each request."""
    return lambda stream, identity, attempt: fault if attempt <= times else "accept"
