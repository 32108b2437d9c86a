"""Each compression read back by a reader that is not ours: unzip, gzip and zstd as programs, the snappy forms by readers
written from the formats' texts."""

import json
import random
import subprocess

import oracle
from harness import Suite

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


if __name__ == "__main__":
    suite.main()
