"""Judges of what was delivered: reads every object of a bucket back and compares with what was sent.

Shares no code with the service: bodies are decoded by Python's libraries or by readers written here from the formats'
texts (xerial snappy-java stream, Hadoop BlockCompressorStream, raw snappy).
"""

import base64
import binascii
import gzip
import io
import json
import re
import struct
import zipfile
from collections import Counter

import pyarrow

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CONTENT_ENCODING = {".gz": "gzip", ".zip": "zip", ".zst": "zstd", "": None}


class Object:
    """A delivered object: key, headers, body as stored."""

    def __init__(self, key, body, content_type, content_encoding, metadata):
        self.key, self.body, self.content_type = key, body, content_type
        self.content_encoding, self.metadata = content_encoding or None, metadata

    @property
    def extension(self):
        name = self.key.rsplit("/", 1)[-1]
        found = re.search(rf"{UUID}(\.\w+)?$", name)
        assert found, f"the key has no UUID at its end: {self.key}"
        return found[1] or ""

    def content(self):
        """The body decoded as its Content-Encoding says; a Parquet body is left as it is."""
        if self.extension == ".parquet":
            return self.body
        return decode(self.content_encoding, self.body)


def keys(s3, bucket, prefix=""):
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        found += [entry["Key"] for entry in page.get("Contents", [])]
    return found


def objects(s3, bucket, prefix=""):
    """All objects below `prefix`, read over the S3 API."""
    for key in keys(s3, bucket, prefix):
        answer = s3.get_object(Bucket=bucket, Key=key)
        yield Object(key, answer["Body"].read(), answer["ContentType"], answer.get("ContentEncoding"), answer["Metadata"])


def assert_key(key, prefix, name, version="1"):
    """The key is `<prefix>yyyy/MM/dd/HH/<name>-<version>-yyyy-MM-dd-HH-mm-ss-<uuid><extension>`, one time in both."""
    pattern = rf"{re.escape(prefix)}(\d{{4}}/\d\d/\d\d/\d\d)/{re.escape(name)}-{version}-(\d{{4}}-\d\d-\d\d-\d\d)-\d\d-\d\d-{UUID}(\.\w+)?"
    found = re.fullmatch(pattern, key)
    assert found, f"{key} is not of the form {pattern}"
    assert found[1].replace("/", "-") == found[2], f"two times in one key: {key}"


def decode(content_encoding, body):
    if content_encoding in (None, "", "aws-chunked"):
        return body
    if content_encoding == "gzip":
        return gunzip_one_member(body)
    if content_encoding == "zip":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (entry,) = archive.infolist()
            assert archive.testzip() is None
            return archive.read(entry)
    if content_encoding == "zstd":
        return pyarrow.input_stream(io.BytesIO(body), compression="zstd").read()
    if content_encoding == "snappy-java":
        return xerial(body)
    if content_encoding == "hadoop-snappy":
        return hadoop_snappy(body)
    raise AssertionError(f"unknown Content-Encoding {content_encoding!r}")


def gunzip_one_member(body):
    import zlib

    member = zlib.decompressobj(wbits=31)
    content = member.decompress(body) + member.flush()
    assert member.eof and not member.unused_data, "not one whole gzip member"
    assert content == gzip.decompress(body)
    return content


def xerial(body, raw=None):
    """snappy-java's stream: a header of 16 bytes, then blocks, each a big-endian length and raw snappy."""
    assert body[:8] == b"\x82SNAPPY\x00", body[:8]
    assert struct.unpack(">ii", body[8:16]) == (1, 1)
    content, at = [], 16
    while at < len(body):
        (length,) = struct.unpack_from(">i", body, at)
        at += 4
        assert 0 < length <= len(body) - at, f"block of {length} bytes at {at} of {len(body)}"
        content.append((raw or snappy)(body[at : at + length]))
        at += length
    return b"".join(content)


def hadoop_snappy(body, raw=None):
    """Hadoop's BlockCompressorStream: uncompressed length of a block, then its chunks, each a length and raw snappy."""
    content, at = [], 0
    while at < len(body):
        (whole,) = struct.unpack_from(">I", body, at)
        at += 4
        got = 0
        while got < whole:
            (length,) = struct.unpack_from(">I", body, at)
            at += 4
            assert 0 < length <= len(body) - at, f"chunk of {length} bytes at {at} of {len(body)}"
            chunk = (raw or snappy)(body[at : at + length])
            at += length
            got += len(chunk)
            content.append(chunk)
        assert got == whole, f"a block of {whole} bytes holds {got}"
    return b"".join(content)


def varint(body):
    value = shift = at = 0
    while True:
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def snappy(body):
    """One raw snappy block, by pyarrow."""
    length, _ = varint(body)
    return pyarrow.Codec("snappy").decompress(body, length, asbytes=True)


def snappy_by_hand(body):
    """One raw snappy block, by the format description: slow, for small inputs."""
    length, at = varint(body)
    out = bytearray()
    while at < len(body):
        tag = body[at]
        at += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                wide = size - 59
                size = int.from_bytes(body[at : at + wide], "little")
                at += wide
            out += body[at : at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:
            size, offset = ((tag >> 2) & 7) + 4, ((tag >> 5) << 8) | body[at]
            at += 1
        else:
            wide = 2 if tag & 3 == 2 else 4
            size, offset = (tag >> 2) + 1, int.from_bytes(body[at : at + wide], "little")
            at += wide
        assert 0 < offset <= len(out), "a copy from before the start"
        for _ in range(size):
            out.append(out[-offset])
    assert len(out) == length, f"{len(out)} bytes instead of {length}"
    return bytes(out)


ERROR_FIELDS = {
    "format-conversion-failed": [
        "attemptsMade", "arrivalTimestamp", "lastErrorCode", "lastErrorMessage", "attemptEndingTimestamp", "rawData",
        "sequenceNumber", "subSequenceNumber", "dataCatalogTable",
    ],
    "processing-failed": [
        "rawData", "errorCode", "errorMessage", "attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp", "lambdaARN",
    ],
    "decompression-failed": [
        "rawData", "errorCode", "errorMessage", "attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp",
    ],
    "partitioning-failed": [
        "rawData", "errorCode", "errorMessage", "attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp",
    ],
}  # fmt: skip


def error_records(content, kind=None):
    """Error records of an error object's content; checks form and order of the fields. `raw` is the record's bytes."""
    assert content.endswith(b"\n"), "the last line has no end"
    found = []
    for line in content[:-1].split(b"\n"):
        record = json.loads(line)
        if kind:
            names = [name for name in record if name not in ("sequenceNumber", "subSequenceNumber")]
            wanted = [name for name in ERROR_FIELDS[kind] if name not in ("sequenceNumber", "subSequenceNumber")]
            assert names == wanted, f"fields of {kind}: {list(record)}"
        assert isinstance(record["arrivalTimestamp"], int) and isinstance(record["attemptsMade"], int)
        try:
            record["raw"] = base64.b64decode(record["rawData"], validate=True)
        except binascii.Error as error:
            raise AssertionError(f"rawData is not base64: {record['rawData'][:80]}") from error
        found.append(record)
    return found


def same_lines(sent, arrived, what):
    """Both are bytes; the multiset of their lines and the sum of their bytes must be equal, whatever their order."""
    wanted, found = Counter(sent.split(b"\n")), Counter(arrived.split(b"\n"))
    if wanted != found or len(sent) != len(arrived):
        missing, alien = wanted - found, found - wanted
        show = lambda counter: [line[:120] for line in list(counter)[:3]]
        raise AssertionError(
            f"{what}: sent {len(sent)} bytes, found {len(arrived)}; missing {missing.total()} lines {show(missing)}, "
            f"too many {alien.total()} lines {show(alien)}"
        )
