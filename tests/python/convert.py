"""`hydrant convert` judged by the rules of docs/json-to-columns.md and by readers that are not ours.

`convert_cases.py` states cases one by one, `conversion.py` is the rules written from the page, `check_parquet.py` reads rows
with pyarrow, DuckDB and Polars, `parquet_meta.py` reads what stands beside the rows. Rows are compared in their order.
"""

import base64
import contextlib
import gzip
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import check_parquet
import conversion
import conversion_infer
import convert_cases as cases
import convert_metadata
import convert_random
import parquet_meta
from conversion import Options
from harness import DEADLINE_S, FULL, ROOT, Skip, Suite, binary, data_file
from hive_types import canonical, parse_table, show_table

suite = Suite("convert")
SCHEMAS = ROOT / "tests" / "schemas"
REFUSED = cases.REFUSED
PYSPARK = "pyspark==4.1.1"


class Converted:
    """What one run of `hydrant convert` left: the file, or None, and the rejects."""

    def __init__(self, path, rejects, stderr):
        self.path, self.stderr = path, stderr
        self.rejects = {row["line"]: row for row in rejects}

    @property
    def refused(self):
        return set(self.rejects)


def convert(folder, table, source, options=Options(), more=(), output="out"):
    """Converts `source`, a path or records to be lines. `table` is the text of a declaration; without one it is inferred."""
    if not hasattr(source, "exists"):
        (folder / "in.ndjson").write_bytes(b"".join(record + b"\n" for record in source))
        source = folder / "in.ndjson"
    output, rejects = folder / f"{output}.parquet", folder / "rejects"
    output.unlink(missing_ok=True)
    arguments = ["--infer"]
    if table:
        (folder / "table.sql").write_text(table)
        arguments = ["--schema", folder / "table.sql"]
    command = [binary(), "convert", source, output, *arguments, "--rejects", rejects, *options.arguments(), *more]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    rows = [json.loads(line) for line in rejects.read_text().split("\n")[:-1]] if rejects.exists() else []
    nothing = "no line could be converted" in done.stderr
    assert done.returncode == (2 if nothing else 1 if rows else 0), f"exit code {done.returncode}: {done.stdout} {done.stderr}"
    assert output.exists() != nothing, done.stderr
    return Converted(None if nothing else output, rows, done.stderr)


def same_refusals(by_rules, converted, records):
    """The rules' refusals are the program's."""
    blank = {number for number in by_rules if not records[number - 1].strip(b" \t\r\n")}
    wanted = set(by_rules) - blank
    for number in sorted(wanted ^ converted.refused)[:1]:
        why = by_rules.get(number) or f"the program: {converted.rejects[number]['message']}"
        who = "refused by the rules alone" if number in by_rules else "refused by the program alone"
        raise AssertionError(f"record {number} {who} ({why}): {records[number - 1][:300]!r}")


def judge(folder, columns, records, options=Options(), more=(), readers=tuple(check_parquet.READERS), by_rules=None):
    """Converts, and asserts that the same records are refused and every row is as the rules say; the file and its rows.
    `by_rules`: what they say, if it is known already."""
    converted = convert(folder, show_table(columns), records, options, more)
    columns = options.columns(columns)
    wanted, refused = by_rules or check_parquet.by_rules(records, columns, options)
    same_refusals(refused, converted, records)
    check_parquet.same_rows(converted.path, wanted, columns, readers)
    return converted, wanted


# Cases

COLUMNS = parse_table(cases.TABLE)


def stated(folder, stated_cases, options):
    """`stated_cases` of (record, REFUSED or rows as dictionaries): the case, the rules and the program agree."""
    records, columns = [record for record, _ in stated_cases], options.columns(COLUMNS)
    form = canonical(("struct", columns))
    wanted, refused = check_parquet.by_rules(records, columns, options)
    for number, (record, outcome) in enumerate(stated_cases, 1):
        rows = REFUSED if outcome == REFUSED else [form([row.get(name) for name, _ in columns]) for row in outcome]
        by_rules = wanted.get(number, REFUSED)
        assert by_rules == rows, f"{record[:300]!r}: stated {rows}, by the rules {by_rules} {refused.get(number, '')}"
    # Only pyarrow is read as integers, and so has year 0.
    judge(folder, COLUMNS, records, options, readers=["pyarrow"])
    print(f"  {len(records)} cases: {len(refused)} refused, {len(records) - len(refused)} rows")


def single_values(values):
    return [(f'{{"{column}":{text}}}'.encode(), outcome if outcome == REFUSED else [{column: outcome}]) for column, text, outcome in values]


@suite.test("cases: records")
def case_records(folder):
    stated(folder, cases.RECORDS, Options())


@suite.test("cases: values, OpenX")
def case_values_openx(folder):
    stated(folder, single_values(cases.VALUES + cases.OPENX_VALUES), Options())


@suite.test("cases: values, Hive")
def case_values_hive(folder):
    stated(folder, single_values(cases.VALUES + cases.HIVE_VALUES), Options(dialect="hive"))


@suite.test("cases: values, Hive with TimestampFormats")
def case_formats(folder):
    for formats in sorted({tuple(formats) for formats, _, _ in cases.FORMATS}):
        some = [("t", text, outcome) for others, text, outcome in cases.FORMATS if tuple(others) == formats]
        stated(folder, single_values(some), Options(dialect="hive", timestamp_formats=formats))


@suite.test("cases: keys by options")
def case_keys(folder):
    for options, some in cases.KEYS:
        stated(folder, some, Options(**options))


# Data sets


def lines_of(path):
    content = gzip.decompress(path.read_bytes())
    return content.removesuffix(b"\n").split(b"\n")


def given(name):
    """The table of a set, from tests/schemas."""
    return (SCHEMAS / f"tests.{name}.sql").read_text()


def whole_set(folder, name, mode):
    """Every row of a set, value by value, by all readers; which records are refused."""
    path = data_file(name)
    records = lines_of(path)
    table, converted = MODES[mode](folder, name, path)
    columns = parse_table(table)
    wanted, refused = check_parquet.by_rules(records, columns)
    same_refusals(refused, converted, records)
    count = check_parquet.same_rows(converted.path, wanted, columns, check_parquet.READERS)
    if name == "dirty":
        golden = (ROOT / "tests" / "golden" / "convert" / f"dirty-refused-{mode}.txt").read_text().split()
        numbers = [str(number) for number in sorted(converted.refused)]
        assert numbers == golden, f"refused and not in the golden file, or the other way round: {sorted(set(numbers) ^ set(golden))[:10]}"
    else:
        assert not refused, f"record {min(refused)}: {refused[min(refused)]}"
    print(f"  {name}, schema {mode}: {count} rows equal, {len(converted.refused)} records refused")


def knows(flag):
    """Whether this build has the option."""
    return f"{flag}\n" in subprocess.run([binary(), "convert", "--help"], capture_output=True, text=True, check=True).stdout


def by_given(folder, name, path, **more):
    return given(name), convert(folder, given(name), path, **more)


def by_inferred(folder, name, path, records=None, **more):
    """The table is learnt by the program and by the rules; both have to know the same columns and types."""
    if not knows("--infer"):
        raise Skip("this build has no --infer")
    done = subprocess.run([binary(), "schema", "infer", path], capture_output=True, text=True, check=True)
    learnt, wanted = parse_table(done.stdout), conversion_infer.infer(records or lines_of(path))
    assert learnt == wanted, f"{[(a, b) for a, b in zip(learnt, wanted) if a != b][:2]}, {len(learnt)} and {len(wanted)} columns"
    return done.stdout, convert(folder, None, path, **more)


# How a set is converted: its table as a declaration, and what was converted by it.
MODES = {"given": by_given, "inferred": by_inferred}
SETS = ("wiki_edits", "web_access", "gps_telemetry", "cloudtrail", "github_events", "dirty")

for each in SETS:
    for how in MODES:
        suite.test(f"{each}: schema {how}, every value equal")(lambda folder, name=each, mode=how: whole_set(folder, name, mode))


def spark_python():
    """A Python with PySpark, made when it is first needed."""
    if given := os.environ.get("HYDRANT_TEST_SPARK"):
        return given
    java = subprocess.run(["java", "-version"], capture_output=True, text=True) if shutil.which("java") else None
    version = re.search(r'version "(\d+)', java.stderr) if java else None
    if not version or int(version[1]) < 17:
        raise Skip("PySpark: Java 17 or later is needed (Debian: openjdk-17-jre-headless)")
    venv = ROOT / "target" / "spark-venv"
    if not (venv / "ready").exists():
        for command in ([sys.executable, "-m", "venv", "--clear", venv], [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", PYSPARK]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise Skip(f"PySpark: cannot be installed: {done.stderr.strip()[-300:]}")
        (venv / "ready").touch()
    return venv / "bin" / "python"


def by_spark(folder):
    python, judged = spark_python(), {}
    for name in SETS:
        path = data_file(name)
        for mode, convert_by in MODES.items():
            if mode == "inferred" and not knows("--infer"):
                continue
            for form, more in (("", ()), ("-int96", ("--int96",)), ("-v2", ("--writer-v2", "--compression", "zstd"))):
                table, converted = convert_by(folder, name, path, more=more, output=f"{name}-{mode}{form}")
                judged[str(converted.path)] = (name, mode, parse_table(table))
    done = subprocess.run([python, ROOT / "tests" / "python" / "spark_rows.py", folder / "rows", *judged], capture_output=True, text=True, env={**os.environ, "TZ": "UTC"})
    assert done.returncode == 0, done.stderr[-3000:]
    with open(folder / "rows", "rb") as file:
        found = pickle.load(file)
    known = {}
    for path, (name, mode, columns) in judged.items():
        wanted = known[name, mode] = known.get((name, mode)) or check_parquet.by_rules(lines_of(data_file(name)), columns)[0]
        rows, names = found[path]
        assert names == [column for column, _ in columns], f"{path}: {names}"
        count = check_parquet.same_rows(path, wanted, columns, {"PySpark": lambda *_: rows})
        print(f"  {Path(path).stem}: {count} rows equal")


if FULL:
    suite.test("every set, every value equal by PySpark")(by_spark)


# Random tables and records


def writer_options(rng):
    """Arguments that change the file and must not change its rows."""
    found = ["--compression", rng.choice(("none", "snappy", "gzip", "zstd", "lz4"))]
    found += rng.choice(([], ["--writer-v2"]))
    found += rng.choice(([], ["--no-dictionary"]))
    found += rng.choice(([], [], [], ["--int96"]))
    found += rng.choice(([], ["--page-kib", "8", "--row-group-mib", "1", "--max-padding-kib", rng.choice(("0", "1024"))]))
    found += rng.choice(([], ["--threads", "1"]))
    return found


def reader_options(rng):
    dice = rng.random()
    if dice < 0.5:
        return Options()
    if dice < 0.6:
        return Options(unknown_fields=rng.choice(("rest", "REST", "Name")))
    if dice < 0.7:
        return Options(case_insensitive=False)
    if dice < 0.8:
        return Options(dots_to_underscores=True, mappings=(("a", "b"), ("tags", "Name")))
    return Options(dialect="hive", timestamp_formats=rng.choice(((), ("millis",), ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "d/MMM/yyyy h a"))))


def has(kind, wanted):
    """Whether a type is, or holds, one for which `wanted` is true."""
    parts = kind[1:] if kind[0] in ("array", "map") else [each for _, each in kind[1]] if kind[0] == "struct" else []
    return wanted(kind) or any(has(part, wanted) for part in parts)


def readers_of(columns, more):
    """The readers that have what this file is made of, beside pyarrow."""
    # Polars takes INT96 for nanoseconds in 64 bits, which do not reach beyond the years 1677 to 2262.
    far = "--int96" in more and has(("struct", columns), lambda kind: kind[0] == "timestamp")
    return ["duckdb"] if far else ["duckdb", "polars"]


def is_python_time(kind, value):
    """Whether all times and dates in it are of the years 1 to 9999, the only ones that Python's types have."""
    if value is None:
        return True
    name = kind[0]
    if name in ("date", "timestamp"):
        unit = 1 if name == "date" else 86_400 * 10**6
        return -719_162 * unit <= value < 2_932_897 * unit
    if name == "array":
        return all(is_python_time(kind[1], each) for each in value)
    if name == "map":
        return all(is_python_time(kind[1], key) and is_python_time(kind[2], each) for key, each in value)
    return name != "struct" or all(is_python_time(field, each) for (_, field), each in zip(kind[1], value))


@suite.test("random tables, records and options: refusals and values as the rules say")
def random_tables(folder):
    seed, number, rows, refused = suite.args.seed, 0, 0, 0
    until = time.monotonic() + (1200 if FULL else 20)
    # And on a slow machine until there is enough to prove something.
    while time.monotonic() < until or ((number < 10 or rows <= 1000 or refused <= 50) and time.monotonic() < until + DEADLINE_S):
        rng = random.Random(f"{seed} {number}")
        options, more = reader_options(rng), writer_options(rng)
        columns = convert_random.table(rng, options)
        records = [convert_random.record(rng, columns, options) for _ in range(rng.choice((20, 200)))]
        # Enough for several batches and row groups, now and then.
        records *= 2000 if FULL and rng.random() < 0.02 else 1
        try:
            converted, wanted = judge(folder, columns, records, options, more, ["pyarrow"])
            columns = options.columns(columns)
            whole = ("struct", columns)
            if converted.path and all(is_python_time(whole, row) for some in wanted.values() for row in some):
                check_parquet.same_rows(converted.path, wanted, columns, readers_of(columns, more))
            if converted.path and number % 4 == 0:
                convert_metadata.check(converted.path, columns, [row for at in wanted for row in conversion.rows(columns, records[at - 1], options)])
        except Exception:
            print(f"  seed {seed}, table {number}: {show_table(columns)} {options} {' '.join(more)}")
            raise
        number, rows, refused = number + 1, rows + sum(map(len, wanted.values())), refused + len(converted.refused)
    print(f"  {number} tables, {rows} rows equal, {refused} records refused; seed {seed}")
    assert number >= 10 and rows > 1000 and refused > 50, "too few to prove anything"


@suite.test("random records without a schema: the table they teach, and their values")
def random_inferred(folder):
    seed, number, rows = suite.args.seed, 0, 0
    if not knows("--infer"):
        raise Skip("this build has no --infer")
    until = time.monotonic() + (600 if FULL else 10)
    while time.monotonic() < until or ((number < 10 or rows <= 200) and time.monotonic() < until + DEADLINE_S):
        rng = random.Random(f"{seed} inferred {number}")
        records = [convert_random.shapeless(rng) for _ in range(rng.choice((1, 5, 60)))]
        try:
            wanted_columns = conversion_infer.infer(records)
            if wanted_columns:
                (folder / "in.ndjson").write_bytes(b"".join(record + b"\n" for record in records))
                table, converted = by_inferred(folder, "", folder / "in.ndjson", records=records)
                columns = parse_table(table)
                wanted, refused = check_parquet.by_rules(records, columns)
                same_refusals(refused, converted, records)
                # No shape is wrong: what is refused is no record whatever the columns are.
                for at in refused:
                    with contextlib.suppress(conversion.Refused):
                        conversion.check_record(records[at - 1])
                        raise AssertionError(f"record {at} is refused for its shape: {refused[at]}")
                rows += check_parquet.same_rows(converted.path, wanted, columns, ["pyarrow"])
        except Exception:
            print(f"  seed {seed}, number {number}: {records[:3]}")
            raise
        number += 1
    print(f"  {number} tables, {rows} rows equal; seed {seed}")
    assert number >= 10 and rows > 200, "too few to prove anything"


# What stands beside the values

BESIDE = """CREATE TABLE t (ty tinyint, sm smallint, i int, l bigint, f float, d double, o boolean, s string, v varchar(70), x binary, t timestamp,
  y date, n decimal(7,2), m decimal(15,3), w decimal(30,5), z double, e string, a array<struct<p:float,q:string>>, k map<string,bigint>)"""


def beside_records(rng, count):
    """Rows with long texts of few and many bytes a character, zeros of both signs, NaN, runs of nulls, sorted and unsorted columns."""
    columns = parse_table(BESIDE)
    form = dict(columns)
    for number in range(count):
        fields = []
        for name, kind in columns:
            if name in "ltd":
                text = str(number * 1000 - 500_000)
            elif name == "z":
                text = rng.choice(("0", "-0")) if number // 300 % 2 else rng.choice(('"NaN"', "0.0", "-1.5" if number > 3000 else '"NaN"'))
            elif name == "e":
                continue
            elif name in "sv" and number % 3:
                letter = ("a", "é", "漢", "😀", "\x7f", "\U0010ffff")[number // 300 % 6]
                text = json.dumps(f"{number % 300:03}" * rng.randrange(2) + letter * rng.randrange(1, 90), ensure_ascii=False)
            elif name == "x":
                text = json.dumps(base64.b64encode(rng.randbytes(rng.randrange(120))).decode())
            elif name == "y":
                text = f'"{2200 - number // 50:04}-01-0{rng.randrange(1, 9)}"'
            elif name == "i" and number // 200 % 2:
                continue
            else:
                text = convert_random.value(rng, form[name], Options())
            fields.append(f'"{name}":{text}')
        yield ("{" + ",".join(fields) + "}").encode()


def others_read_the_same(path):
    """Other readers of metadata find in the footer what ours does."""
    import duckdb
    import pyarrow.parquet

    file = parquet_meta.ParquetFile(path)
    by_pyarrow = pyarrow.parquet.ParquetFile(path).metadata
    by_duckdb = duckdb.connect().execute("SELECT num_values, stats_null_count, total_compressed_size FROM parquet_metadata(?) ORDER BY row_group_id, column_id", [str(path)])
    assert by_pyarrow.created_by.encode() == file.footer["created_by"] and by_pyarrow.num_rows == file.footer["num_rows"]
    for number, group in enumerate(file.footer["row_groups"]):
        for at, chunk in enumerate(group["columns"]):
            meta, column = chunk["meta_data"], by_pyarrow.row_group(number).column(at)
            nulls = meta["statistics"]["null_count"]
            assert column.has_column_index == ("column_index_offset" in chunk) and column.has_offset_index, column
            assert (column.num_values, column.statistics.null_count) == (meta["num_values"], nulls), column
            assert by_duckdb.fetchone() == (meta["num_values"], nulls, meta["total_compressed_size"]), column


@suite.test("counts, statistics, indexes and sizes are those of the values")
def beside(folder):
    rng = random.Random(suite.args.seed)
    records, columns = list(beside_records(rng, 6000)), parse_table(BESIDE)
    by_rules = check_parquet.by_rules(records, columns)
    rows = [row for number in by_rules[0] for row in conversion.rows(columns, records[number - 1])]
    ways = [
        ["--compression", "none", "--page-kib", "8", "--no-dictionary"],
        ["--compression", "zstd", "--page-kib", "8"],
        ["--compression", "snappy", "--page-kib", "64", "--writer-v2", "--no-dictionary"],
        ["--compression", "lz4", "--page-kib", "8", "--writer-v2"],
        ["--compression", "gzip", "--int96"],
    ]
    cut = 0
    for more in ways:
        try:
            converted, _ = judge(folder, columns, records, Options(), more, ["pyarrow"], by_rules)
            counts = convert_metadata.check(converted.path, columns, rows)
            others_read_the_same(converted.path)
        except Exception:
            print(f"  seed {suite.args.seed}: {' '.join(more)}")
            raise
        print(f"  {' '.join(more)}: {counts}")
        cut += counts["cut"]
    assert cut > 0, "no bound was too long"


@suite.test("row groups end when they have their size; each has its own statistics")
def many_groups(folder):
    rng = random.Random(suite.args.seed)
    columns = parse_table("CREATE TABLE t (n bigint, s string)")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    records = [b'{"n":%d,"s":"%s"}' % (number, "".join(rng.choices(letters, k=2500)).encode()) for number in range(9000)]
    ways = [
        ["--row-group-mib", "1", "--page-kib", "64"],
        ["--row-group-mib", "4", "--threads", "1", "--compression", "none"],
        ["--row-group-mib", "8", "--max-padding-kib", "8192"],
    ]
    for more in ways:
        converted, wanted = judge(folder, columns, records, Options(), more, ["pyarrow", "duckdb", "polars"])
        counts = convert_metadata.check(converted.path, columns, [row for number in wanted for row in conversion.rows(columns, records[number - 1])])
        print(f"  {' '.join(more)}: {counts}")
        assert counts["row groups"] >= 2, counts


@suite.test("a bloom filter never denies a value that is there, and mostly denies others")
def bloom(folder):
    import duckdb

    columns = parse_table("CREATE TABLE t (l bigint, i int, s string, d double, other string)")
    rng = random.Random(suite.args.seed)
    values = [(rng.randrange(2**40), rng.randrange(2**30), f"key-{rng.randrange(2**40)}", rng.random()) for _ in range(5000)]
    records = [json.dumps({"l": l, "i": i, "s": s, "d": d, "other": s}).encode() for l, i, s, d in values]
    asked = [word for name in "lisd" for word in ("--bloom-filter", name)]
    converted, _ = judge(folder, columns, records, Options(), asked)
    file = parquet_meta.ParquetFile(converted.path)
    for group in file.footer["row_groups"]:
        for chunk in group["columns"]:
            meta = chunk["meta_data"]
            has = "bloom_filter_offset" in meta
            assert has == (meta["path_in_schema"] != [b"other"]), meta["path_in_schema"]
            if has:
                header, _ = file.struct("BloomFilterHeader", meta["bloom_filter_offset"])
                assert 5000 <= header["numBytes"] <= 1 << 20, header
    db = duckdb.connect()
    for at, name in enumerate("lisd"):
        def excluded(value):
            return all(row[-1] for row in db.execute(f"SELECT * FROM parquet_bloom_probe('{converted.path}', '{name}', ?)", [value]).fetchall())

        some = rng.sample(values, 300)
        assert not any(excluded(row[at]) for row in some), f"{name}: a value that is there is denied"
        absent = {"l": lambda: rng.randrange(2**41, 2**42), "i": lambda: rng.randrange(2**30, 2**31), "s": lambda: f"no-{rng.random()}", "d": lambda: 2 + rng.random()}[name]
        denied = sum(excluded(absent()) for _ in range(300))
        print(f"  {name}: {denied} of 300 absent values denied")
        assert denied >= 240, f"{name}: {denied} of 300 absent values denied"


if __name__ == "__main__":
    suite.main()
