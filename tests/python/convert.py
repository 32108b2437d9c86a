"""`hydrant convert` judged by the rules of docs/json-to-columns.md and by readers that are not ours.

`convert_cases.py` states cases one by one, `conversion.py` is the rules written from the page, `check_parquet.py` reads rows
with pyarrow, DuckDB and Polars, `parquet_meta.py` reads what stands beside the rows. Rows are compared in their order.
"""

import gzip
import json
import subprocess

import check_parquet
import convert_cases as cases
from conversion import Options, canonical, parse_table, show_table
from harness import ROOT, Suite, binary, data_file

suite = Suite("convert")
SCHEMAS = ROOT / "tests" / "schemas"
REFUSED = cases.REFUSED


class Converted:
    """What one run of `hydrant convert` left: the file, or None, and the rejects."""

    def __init__(self, path, rejects, stderr):
        self.path, self.stderr = path, stderr
        self.rejects = {row["line"]: row for row in rejects}

    @property
    def refused(self):
        return set(self.rejects)


def convert(folder, table, source, options=Options(), more=(), name="out"):
    """Converts `source`, a path or records to be lines. `table` is the text of a declaration; without one it is inferred."""
    if not hasattr(source, "exists"):
        (folder / f"{name}.ndjson").write_bytes(b"".join(record + b"\n" for record in source))
        source = folder / f"{name}.ndjson"
    output, rejects = folder / f"{name}.parquet", folder / f"{name}.rejects"
    output.unlink(missing_ok=True)
    arguments = ["--infer"]
    if table:
        (folder / f"{name}.sql").write_text(table)
        arguments = ["--schema", folder / f"{name}.sql"]
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


def judge(folder, columns, records, options=Options(), more=(), readers=tuple(check_parquet.READERS), name="out"):
    """Converts, and asserts that the same records are refused and every row is as the rules say; the file and its rows."""
    converted = convert(folder, show_table(columns), records, options, more, name)
    wanted, refused = check_parquet.by_rules(records, columns, options)
    same_refusals(refused, converted, records)
    check_parquet.same_rows(converted.path, wanted, columns, readers)
    return converted, wanted


# Cases

COLUMNS = parse_table(cases.TABLE)


def stated(folder, stated_cases, options):
    """`stated_cases` of (record, REFUSED or rows as dictionaries): the case, the rules and the program agree."""
    records = [record for record, _ in stated_cases]
    form = canonical(("struct", COLUMNS))
    wanted, refused = check_parquet.by_rules(records, COLUMNS, options)
    for number, (record, outcome) in enumerate(stated_cases, 1):
        rows = REFUSED if outcome == REFUSED else [form([row.get(name) for name, _ in COLUMNS]) for row in outcome]
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
        golden = (ROOT / "tests" / "golden" / "convert" / "dirty-refused.txt").read_text().split()
        numbers = [str(number) for number in sorted(converted.refused)]
        assert numbers == golden, f"refused and not in the golden file, or the other way round: {sorted(set(numbers) ^ set(golden))[:10]}"
    else:
        assert not refused, f"record {min(refused)}: {refused[min(refused)]}"
    print(f"  {name}, schema {mode}: {count} rows equal, {len(converted.refused)} records refused")


# How a set is converted: its table as a declaration, and what was converted by it.
MODES = {
    "given": lambda folder, name, path: (given(name), convert(folder, given(name), path)),
}
SETS = ("wiki_edits", "web_access", "gps_telemetry", "cloudtrail", "github_events", "dirty")

for each in SETS:
    for how in MODES:
        suite.test(f"{each}: schema {how}, every value equal")(lambda folder, name=each, mode=how: whole_set(folder, name, mode))


if __name__ == "__main__":
    suite.main()
