"""Each compression read back by a reader that is not ours: unzip, gzip and zstd as programs, the snappy forms by readers
written from the formats' texts."""

import json
import random
import subprocess

import oracle
from harness import FULL, ROLE, Http, Suite

suite = Suite("compression")
EXTENSION = {"UNCOMPRESSED": "", "GZIP": ".gz", "ZIP": ".zip", "Snappy": ".snappy", "HADOOP_SNAPPY": ".snappy", "ZSTD": ".zst"}
ENCODING = {"UNCOMPRESSED": None, "GZIP": "gzip", "ZIP": "zip", "Snappy": "snappy-java", "HADOOP_SNAPPY": "hadoop-snappy", "ZSTD": "zstd"}


def sample(size, seed):
    """Rows some of which repeat and some do not, so that copies and literals of all lengths come up."""
    rng, rows, total = random.Random(seed), [], 0
    while total < size:
        kind = rng.random()
        text = rng.randbytes(rng.randrange(300)).hex() if kind < 0.5 else "abcdefgh" * rng.randrange(200)
        rows.append(json.dumps({"n": len(rows), "text": text}).encode() + b"\n")
        total += len(rows[-1])
    return rows


def program(*arguments, body):
    return subprocess.run(arguments, input=body, capture_output=True, check=True, timeout=120).stdout


def by_program(compression, each, folder):
    path = folder / ("object" + (each.extension or ".txt"))
    path.write_bytes(each.body)
    if compression == "GZIP":
        subprocess.run(["gzip", "-t", str(path)], check=True)
        return program("gzip", "-dc", body=each.body)
    if compression == "ZIP":
        assert b"No errors detected" in subprocess.run(["unzip", "-t", str(path)], capture_output=True, check=True).stdout
        return subprocess.run(["unzip", "-p", str(path)], capture_output=True, check=True).stdout
    if compression == "ZSTD":
        return program("zstd", "-dc", body=each.body)
    if compression == "Snappy":
        return oracle.xerial(each.body, raw=oracle.snappy_by_hand)
    if compression == "HADOOP_SNAPPY":
        return oracle.hadoop_snappy(each.body, raw=oracle.snappy_by_hand)
    return each.body


def round_trip(folder, compression, size):
    service = folder.hydrant().start()
    rows = sample(size, suite.args.seed)
    options = {"tags": {"hydrant:CompressionFormat": "ZSTD"}} if compression == "ZSTD" else {"compression": compression}
    service.create("packed", size_mb=64, interval_s=900, **options)
    firehose = service.firehose()
    for at in range(0, len(rows), 400):
        firehose.put_record_batch(DeliveryStreamName="packed", Records=[{"Data": row} for row in rows[at : at + 400]])
    service.flush("packed")
    service.drained("packed")
    found = list(oracle.objects(service.s3_client(), service.bucket))
    content = []
    for each in found:
        oracle.assert_key(each.key, "packed/data/", "packed")
        assert each.extension == EXTENSION[compression], each.key
        assert each.content_encoding == ENCODING[compression], vars(each)
        assert each.content_type == "application/octet-stream"
        content.append(by_program(compression, each, folder))
        assert content[-1] == each.content(), "two readers differ"
    oracle.same_lines(b"".join(rows), b"".join(content), compression)


for each in EXTENSION:
    suite.test(f"{each}: a few records")(lambda folder, name=each: round_trip(folder, name, 100))
    suite.test(f"{each}: some MiB")(lambda folder, name=each: round_trip(folder, name, 3_000_000))


@suite.test("FileExtension replaces the extension")
def file_extension(folder):
    service = folder.hydrant().start()
    service.create("named", compression="GZIP", FileExtension=".jsonl.gz")
    service.firehose().put_record(DeliveryStreamName="named", Record={"Data": b"row\n"})
    service.drained("named")
    (key,) = oracle.keys(service.s3_client(), service.bucket, "named/")
    assert key.endswith(".jsonl.gz") and ".gz.jsonl" not in key, key


def target_size(folder, compression, **more):
    """Objects of 2 MiB out of records that are encoded to a fraction of that; memory does not follow the source."""
    target = 2 << 20
    service = folder.hydrant().start()
    service.create("sized", interval_s=900, compression=compression, tags={"hydrant:TargetObjectSizeInMBs": "2"}, **more)
    described = service.firehose().describe_delivery_stream(DeliveryStreamName="sized")["DeliveryStreamDescription"]
    assert described["Destinations"][0]["ExtendedS3DestinationDescription"]["BufferingHints"]["SizeInMBs"] == 1
    rng, http, sent, rows = random.Random(suite.args.seed), Http(service.api), 0, 0
    while sent < (120 << 20 if FULL else 40 << 20):
        lines = [b'{"id":"%s","text":"%s"}' % (rng.randbytes(48).hex().encode(), b"the same again and again " * 6) for _ in range(4000)]
        body = b"\n".join(lines) + b"\n"
        status, _, answer = http.request("POST", "/streams/sized/records", body)
        assert status == 200, (status, answer)
        sent, rows = sent + len(body), rows + len(lines)
    service.flush("sized")
    assert service.drained("sized")["sized"]["delivered"] == rows
    found = [o for o in oracle.objects(service.s3_client(), service.bucket) if "/_schema/" not in o.key]
    sizes = [len(each.body) for each in found]
    whole = [size for size in sizes if target * 0.9 < size < target * 1.3]
    print(f"  {compression or 'Parquet'}: {sent >> 20} MiB into {sizes}, peak {service.peak_bytes() >> 20} MiB", flush=True)
    # The first is cut before it is known what an object needs, the last by the flush.
    assert len(whole) >= len(sizes) - 2 and len(whole) >= 1 and max(sizes) < target * 1.3, sizes
    assert service.stop() == 0


@suite.test("TargetObjectSizeInMBs: GZIP objects grow to their size")
def target_gzip(folder):
    target_size(folder, "GZIP")


@suite.test("TargetObjectSizeInMBs: Parquet objects grow to their size")
def target_parquet(folder):
    table = {"DatabaseName": "hydrant", "TableName": "infer", "RoleARN": ROLE}
    conversion = {
        "SchemaConfiguration": table,
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    }
    target_size(folder, "UNCOMPRESSED", DataFormatConversionConfiguration=conversion)


if __name__ == "__main__":
    suite.main()
