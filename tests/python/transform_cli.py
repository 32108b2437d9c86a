"""`hydrant transform`: what it prints about the sample `enrich.wasm` and the guests of the tests, what it says of wrong
input, and templates that build. Judged by texts stated here; what guests do in a stream is `transforms.py`'s affair.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

from harness import FULL, ROOT, Skip, Suite, binary, clean_environment

suite = Suite("transform_cli")
ENRICH = ROOT / "transforms" / "enrich.wasm"
GUESTS = ROOT / "tests" / "guests"
LIST, PACKED = GUESTS / "poison-list.wasm", GUESTS / "poison-packed.wasm"
NOW = ["--now", "2025-01-01T00:00:00Z"]
FUNCTION_ERROR = "The Lambda function was successfully invoked but it returned an error result."
CORE_MODULE = b"\0asm\x01\0\0\0"


def run(folder, *arguments, code=0, stdin=None, environment=None):
    """Runs `hydrant transform …`: (standard output, standard error)."""
    done = subprocess.run(
        [binary(), "transform", *map(str, arguments)], cwd=folder.path, input=stdin, capture_output=True, timeout=900,
        env={**clean_environment(), "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder.path), **(environment or {})},
    )  # fmt: skip
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{out}\n{err}"
    assert not re.search(r"panicked|backtrace|\.rs:\d+", err), err
    return out, err


def refused(folder, *arguments, stdin=None, environment=None):
    """The line of standard error of a command that does nothing."""
    out, err = run(folder, *arguments, code=2, stdin=stdin, environment=environment)
    assert out == "", out
    return err


def objects(out):
    """The lines of --json: (records, log lines, sums)."""
    lines = [json.loads(line) for line in out.splitlines()]
    logs = [line["log"] for line in lines if "log" in line]
    return [line for line in lines if "verdict" in line], logs, lines[-1]["summary"]


def without_speed(out):
    """The last line has times, which differ."""
    lines = out.splitlines()
    assert re.fullmatch(r"\d+ calls?(, \d+ of them failed)?, in [\d.]+ [mµ]?s: \d+ records/s, [\d.]+ MB/s; memory at most .*", lines[-1]), lines[-1]
    return "\n".join(lines[:-1]) + "\n"


EVENTS = b"""{"a": 1, "user": {"name": "ada"}, "password": "x"}

{"a": 2, "level": "debug"}
no JSON
{"a": "3"}{"a": 4}
"""
SHOWN = """line 1: passed, changed
    - password: "x"
    + password: "***"
    + env: "test"
    + ingested_at: "2025-01-01T00:00:00.000Z"
    key a: 1
line 3: dropped
line 4: refused: Lambda.ProcessingFailedStatus: ProcessingFailed status set for record: object 1 of the record: expected ident at line 1 column 2
line 5: passed, changed
    - {"a": "3"}{"a": 4}
    + {"a": "3","env":"test","ingested_at":"2025-01-01T00:00:00.000Z"}
    + {"a": 4,"env":"test","ingested_at":"2025-01-01T00:00:00.000Z"}
    key a: 3
enrich.wasm: 4 records: 2 passed (2 changed), 1 dropped, 1 refused
    1 Lambda.ProcessingFailedStatus
"""
VARIABLES = ["--variable", "add=env=test", "--variable", "partition=a"]


@suite.test("verdicts, changes, keys and sums of the sample, from a file, gzip, zstd and standard input")
def golden(folder):
    (folder / "in.ndjson").write_bytes(EVENTS)
    (folder / "in.gz").write_bytes(gzip.compress(EVENTS))
    subprocess.run(["zstd", "-q", folder / "in.ndjson", "-o", folder / "in.zst"], check=True)
    for name, stdin in (("in.ndjson", None), ("in.gz", None), ("in.zst", None), ("-", EVENTS), ("-", gzip.compress(EVENTS))):
        out, err = run(folder, "test", ENRICH, name, *NOW, *VARIABLES, code=1, stdin=stdin)
        assert (without_speed(out), err) == (SHOWN, ""), (name, out, err)
    out, _ = run(folder, "test", ENRICH, "in.ndjson", *NOW, *VARIABLES, "--color", "always", code=1)
    assert "\x1b[32mpassed\x1b[0m" in out and re.sub(r"\x1b\[\d+m", "", without_speed(out)) == SHOWN, out
    out, _ = run(folder, "test", ENRICH, "in.ndjson", *NOW, *VARIABLES, "--quiet", code=1)
    assert without_speed(out) == "".join(SHOWN.splitlines(True)[-2:]), out
    # The same batches one by one: each record in a call of its own.
    out, _ = run(folder, "test", ENRICH, "in.ndjson", *NOW, *VARIABLES, "--buffer-size", "0", code=1)
    assert without_speed(out) == SHOWN and out.splitlines()[-1].startswith("4 calls, in "), out


@suite.test("every verdict and code of the guests in both worlds, as JSON")
def verdicts(folder):
    lines = ["plain", "log! a", "drop!", "fail!", "mute!", "null!", "missing!", "twice!", "lines!", "@a=1 x", "err!", "trap!", "hog!", "big!", "alien!"]
    (folder / "in").write_text("\n".join(lines))
    wanted = {
        "drop!": ("dropped", None), "fail!": ("refused", "Lambda.ProcessingFailedStatus"), "mute!": ("refused", "Lambda.ProcessingFailedStatus"),
        "null!": ("refused", "Lambda.InvalidReturnFormat"), "missing!": ("refused", "Lambda.MissingRecordId"),
        "twice!": ("refused", "Lambda.DuplicatedRecordId"), "err!": ("refused", "Lambda.FunctionError"),
        "trap!": ("refused", "Lambda.FunctionError"), "hog!": ("refused", "Lambda.FunctionError"),
    }  # fmt: skip
    for guest in (LIST, PACKED):
        out, err = run(folder, "test", guest, "in", "--json", "--memory", "16", "--retries", "1", code=1)
        assert err == "", err
        records, logs, sums = objects(out)
        assert [record["line"] for record in records] == list(range(1, len(lines) + 1))
        found = {line: (record["verdict"], record.get("code")) for line, record in zip(lines, records)}
        assert found == {**dict.fromkeys(lines, ("passed", None)), **wanted}, found
        by_line = dict(zip(lines, records))
        assert by_line["plain"] == {"line": 1, "verdict": "passed", "changed": False, "data": "plain\n"}
        assert by_line["lines!"]["data"] == "one\ntwo\n" and by_line["@a=1 x"]["partitionKeys"] == {"a": "1"}
        assert by_line["err!"]["message"] == f"{FUNCTION_ERROR} err! in a record" and by_line["err!"]["attempts"] == 2
        assert by_line["hog!"]["message"] == f"{FUNCTION_ERROR} It needs more memory than its limit of 16777216 bytes."
        assert by_line["big!"]["data"] == "b" * (2 << 20)
        told = [log for log in logs if log["message"] == "log! a\n"]
        assert told and all(log["level"] == "warn" and log["firstLine"] <= 2 <= log["lastLine"] for log in told), logs
        counted = [sums[name] for name in ("records", "passed", "changed", "dropped", "refused", "codes")]
        codes = {"Lambda.ProcessingFailedStatus": 2, "Lambda.InvalidReturnFormat": 1, "Lambda.MissingRecordId": 1, "Lambda.DuplicatedRecordId": 1, "Lambda.FunctionError": 3}
        assert counted == [15, 6, 2, 1, 8, codes], sums
        assert 1 << 20 < sums["memoryBytes"] <= 16 << 20 and sums["failedCalls"] > 3, sums
    # Text that is none, limits of time and fuel, metadata of open tables.
    (folder / "bytes").write_bytes(b"\xff\xfe\n")
    records, _, _ = objects(run(folder, "test", PACKED, "bytes", "--json")[0])
    assert base64.b64decode(records[0]["dataBase64"]) == b"\xff\xfe\n", records
    (folder / "loop").write_text("a\nloop!\n")
    records, _, _ = objects(run(folder, "test", PACKED, "loop", "--json", "--timeout", "2", "--retries", "0", code=1)[0])
    assert [record.get("code") for record in records] == [None, "Lambda.FunctionTimedOut"], records
    for _ in range(2):
        records, _, sums = objects(run(folder, "test", LIST, "loop", "--json", "--fuel", "3", "--retries", "0", code=1)[0])
        assert records[1]["message"] == f"{FUNCTION_ERROR} It used up its fuel of 3000000.", records
        assert sums["fuel"] == 3_000_000, sums
    (folder / "keys").write_text("keys!\n")
    records, _, _ = objects(run(folder, "test", LIST, "keys", "--json")[0])
    assert len(records[0]["partitionKeys"]) == 100_000
    assert records[0]["otfMetadata"] == {"destinationDatabaseName": "db", "destinationTableName": "table", "operation": "update"}
    out, _ = run(folder, "test", PACKED, "keys")
    assert "… and 99980 more keys; --full shows them" in out and "    table: db.table, update\n" in out, out


@suite.test("what is expected is compared, by the members that are named")
def expect(folder):
    (folder / "in").write_bytes(EVENTS)
    out, _ = run(folder, "test", ENRICH, "in", *NOW, "--json", code=1)
    (folder / "wanted").write_text(out)
    out, _ = run(folder, "test", ENRICH, "in", *NOW, "--expect", "wanted", "--quiet")
    assert "\nas expected in wanted\n" in out, out
    out, _ = run(folder, "test", ENRICH, "in", "--now", "1", "--expect", "wanted", "--quiet", code=1)
    assert "\n2 differences from wanted\n" in out and out.count("    expected data: ") == 2, out
    (folder / "short").write_text('{"verdict": "passed"}\n{"verdict": "passed"}\n{}\n')
    out, _ = run(folder, "test", ENRICH, "in", "--expect", "short", "--quiet", code=1)
    assert 'line 3: dropped\n    expected verdict: "passed"\n' in out and "    not expected: there is no expectation left\n" in out, out
    assert "\n2 differences from short\n" in out, out
    (folder / "long").write_text("{}\n" * 7)
    out, _ = run(folder, "test", ENRICH, "in", "--expect", "long", "--json", code=1)
    assert objects(out)[2]["differences"] == 3, out
    (folder / "typo").write_text('{}\n{"verdickt": "passed"}\n')
    done = subprocess.run([binary(), "transform", "test", ENRICH, "in", "--expect", "typo"], cwd=folder.path, capture_output=True, text=True)
    assert done.returncode == 2 and "typo, line 2: unknown member 'verdickt'; did you mean 'verdict'?" in done.stderr, done.stderr


@suite.test("wrong input is told apart in a line, and nothing is done")
def wrong_input(folder):
    (folder / "in").write_bytes(EVENTS)
    (folder / "core.wasm").write_bytes(CORE_MODULE)
    (folder / "cut.wasm").write_bytes(ENRICH.read_bytes()[:5000])
    (folder / "text.wasm").write_text("{}")
    (folder / "empty").write_bytes(b"")
    for component, told in (
        ("text.wasm", "text.wasm: it is no WebAssembly\n"),
        ("empty", "empty: it is no WebAssembly\n"),
        ("core.wasm", "core.wasm: it is a core module, not a component; `hydrant transform wrap` makes one of it\n"),
        ("cut.wasm", "cut.wasm: not a component that can be used, cut off or damaged perhaps: "),
        ("none.wasm", "cannot read none.wasm: No such file"),
        (".", ". is a folder; give a .wasm file\n"),
        (GUESTS / "imports.wasm", "imports.wasm: it imports test:guest/clock#now, beep; a transform may import no function\n"),
        (GUESTS / "wrong-types.wasm", "wrong-types.wasm: its function has not the types of the contract: "),
    ):
        for command in ("test", "bench"):
            err = refused(folder, command, component, "in")
            assert err.startswith("hydrant: ") and told in err and err.count("\n") == 1, err
    for arguments, told in (
        (["test", ENRICH, "none"], "cannot read none: No such file"),
        (["test", ENRICH, "."], ". is a folder; give a file, or '-' for standard input"),
        (["test", ENRICH, "in", "--expect", "none"], "cannot read none: No such file"),
        (["test", ENRICH, "-", "--expect", "-"], "standard input can be one of them"),
        (["test", ENRICH, "in", "--variable", "a=1", "--variable", "a=2"], "--variable a is given twice"),
        (["test", ENRICH, "in", "--variable", "a"], "expected NAME=VALUE"),
        (["test", ENRICH, "in", "--timeout", "0"], "expected a number from 0.001 to 300"),
        (["test", ENRICH, "in", "--now", "soon"], "expected a time such as 2025-01-31T12:00:00Z"),
        (["test", ENRICH, "in", "--memory", "5000"], "5000 is not in 1..=4096"),
        (["test", ENRICH, "in", "--seed", "-1"], "invalid value '-1' for '--seed <NUMBER>'"),
        (["test", ENRICH, "in", "--qiet"], "--quiet"),
        (["bench", ENRICH, "empty"], "empty: there is no record in it"),
        (["inspect", "none.wasm"], "cannot read none.wasm: No such file"),
        (["wrap", "core.wasm", "-o", "out.wasm"], "core.wasm: it exports neither hydrant:transform/transformer@1.0.0#transform nor"),
        (["wrap", ENRICH, "-o", "out.wasm"], "enrich.wasm: it is a component already"),
        (["wrap", "core.wasm", "-o", "core.wasm"], "core.wasm is read from; write to another file"),
        (["wrap", "core.wasm", "-o", "."], ". is a folder; name a file in it"),
        (["wrap", "core.wasm", "-o", "out.wasm", "--handler", "f"], "--handler is for .mjs, .js, .cjs, .ts, .mts, .cts and .py; core.wasm is none"),
        (["wrap", "none.mjs", "-o", "out.wasm"], "cannot read none.mjs: No such file"),
        (["wrap", "text.wasm", "-o", "out.wasm"], "text.wasm: it is no WebAssembly; a handler ends in .mjs, .js, .cjs, .ts, .mts, .cts and .py"),
        (["wrap", ".", "-o", "out.wasm"], ". is a folder; name the handler or the core module in it"),
        (["wrap", "none.mjs", "-o", "nowhere/out.wasm"], "there is no folder nowhere to write nowhere/out.wasm to"),
        (["new", "Big", "--lang", "c"], "'Big' does not end in a name for a transform"),
        (["new", "in", "--lang", "c"], "in is there already; nothing is overwritten"),
        (["new", "x", "--lang", "cobol"], "rust, c, js, python"),
    ):
        assert told in (err := refused(folder, *arguments)), f"{arguments}: {err}"
    # A name in a file steers no terminal.
    (folder / "paint.wasm").write_bytes(CORE_MODULE[:8] + b"\1\4\1\x60\0\0" + b"\2\x0e\1\5\x1b[31m\4\nbad\0\0")
    err = refused(folder, "wrap", "paint.wasm", "-o", "out.wasm")
    assert err == "hydrant: paint.wasm: it imports \\u{1b}[31m#\\nbad; a transform may import no function\n", err
    out, _ = run(folder, "inspect", "paint.wasm", code=1)
    assert "imports  \\u{1b}[31m#\\nbad\n" in out and "\x1b" not in out, out
    assert not (folder / "out.wasm").exists() and sorted(path.name for path in folder.path.iterdir()) == sorted(
        ["paint.wasm", "cache", "core.wasm", "cut.wasm", "empty", "in", "text.wasm"]
    )
    # No record is no mistake of a test.
    for name in ("empty", "-"):
        out, _ = run(folder, "test", ENRICH, name, stdin=b"\n \n")
        assert out.startswith("enrich.wasm: 0 records: 0 passed (0 changed), 0 dropped, 0 refused\n0 calls, in "), out


@suite.test("a line beyond 64 MiB is refused alone, and any number of records takes little memory")
def memory(folder):
    with gzip.open(folder / "long.gz", "wb", compresslevel=1) as file:
        file.write(b'{"a": 1}\n')
        for _ in range(65):
            file.write(b"x" * (1 << 20))
        file.write(b'\n{"a": 2}\n')
    out, _ = run(folder, "test", ENRICH, "long.gz", "--json", code=1)
    records, _, _ = objects(out)
    assert [record["verdict"] for record in records] == ["passed", "refused", "passed"], records
    assert (records[1]["line"], records[1]["code"]) == (2, "ValidationException"), records[1]
    assert records[1]["message"] == "The line is longer than 64 MiB."
    # 300 MB of records of two sizes, over a pipe.
    command = [binary(), "transform", "test", str(PACKED), "-", "--quiet", "--json"]
    environment = {**clean_environment(), "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    block = (b"r" * 99_999 + b"\n") * 20 + b"small\n" * 1000
    for _ in range(150):
        process.stdin.write(block)
    process.stdin.close()
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, out[-500:]
    sums = json.loads(out.splitlines()[-1])["summary"]
    assert (sums["records"], sums["passed"], sums["changed"]) == (150 * 1020, 150 * 1020, 0), sums
    mib = usage.ru_maxrss / 1024
    print(f"  {sums['recordBytes'] / 1e6:.0f} MB of records, {mib:.0f} MiB of memory")
    assert mib < 250, f"{mib:.0f} MiB"


@suite.test("a component is inspected, whether the service takes it or not")
def inspect(folder):
    (folder / "core.wasm").write_bytes(CORE_MODULE)
    (folder / "text.wasm").write_text("no")
    types = "hydrant:transform/types@1.0.0 (types only)"
    for path, kind, worlds, exports, imports, refusal in (
        (LIST, "component", ["transform"], ["hydrant:transform/transformer@1.0.0#transform"], [types], None),
        (PACKED, "component", ["transform-packed"], ["hydrant:transform/packed@1.0.0#transform"], [types], None),
        (GUESTS / "imports.wasm", "component", [], [], ["test:guest/clock#now", "beep"], "it imports test:guest/clock#now, beep;"),
        (GUESTS / "wrong-types.wasm", "component", ["transform"], ["hydrant:transform/transformer@1.0.0#transform"], [], "its function has not the types"),
        (folder / "core.wasm", "core module", [], [], [], "it is a core module"),
        (folder / "text.wasm", "no WebAssembly", [], [], [], "it is no WebAssembly"),
    ):
        out, _ = run(folder, "inspect", path, "--json", code=0 if refusal is None else 1)
        found = json.loads(out)
        assert [found[name] for name in ("kind", "worlds", "exports", "imports", "accepted")] == [kind, worlds, exports, imports, refusal is None], found
        assert (found["refusal"] or "").startswith(refusal or ""), found
        content = path.read_bytes()
        assert (found["sizeBytes"], found["sha256"]) == (len(content), hashlib.sha256(content).hexdigest()), found
        assert (found["compileSeconds"] is None) == (found["usedWorld"] is None) == (refusal is not None), found
        out, _ = run(folder, "inspect", path, code=0 if refusal is None else 1)
        last = out.splitlines()[-1]
        assert last == f"the service takes it, as {worlds[0]}" if refusal is None else last.startswith(f"the service does not take it: {refusal}"), out
        assert all(name in out for name in exports + imports), out


@suite.test("a bench tells rates, and that records were refused")
def bench(folder):
    (folder / "in").write_bytes(b'{"a": 1}\n' * 1000)
    found = json.loads(run(folder, "bench", ENRICH, "in", "--seconds", "1", "--threads", "2", "--json")[0])
    assert [rate["threads"] for rate in found["rates"]] == [1, 2] and found["world"] == "transform-packed", found
    for rate in found["rates"]:
        assert rate["records"] > 0 and rate["records"] % 1000 == 0 and rate["refused"] == 0, rate
        assert rate["recordsPerSecond"] > 0 and rate["cpuNanosecondsPerRecord"] > 0, rate
    assert found["instanceStartNanoseconds"] > 0, found
    (folder / "bad").write_bytes(b"no JSON\n")
    out, err = run(folder, "bench", ENRICH, "bad", "--seconds", "1", "--threads", "1", code=1)
    assert re.search(r"^1 core : \d+ records/s, [\d.]+ MB/s, [\d.]+ \S+ of CPU a record$", out, re.M), out
    assert re.search(r"^hydrant: \d+ of \d+ records were refused;", err, re.M), err


def built(folder, name, *arguments, environment=None):
    """Builds a template by its script, and has its own expectations judge it."""
    done = subprocess.run(
        [folder / name / "build", *arguments], capture_output=True, text=True, timeout=1800,
        env={**clean_environment(), "HYDRANT": binary(), "XDG_CACHE_HOME": str(folder / "cache"), **(environment or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    as_expected(folder, name)


def as_expected(folder, name, environment=None):
    here = folder / name
    arguments = [here / f"{name}.wasm", here / "sample.ndjson", *NOW, "--expect", here / "expected.ndjson"]
    out, _ = run(folder, "test", *arguments, environment=environment)
    assert f"\nas expected in {here / 'expected.ndjson'}\n" in out, out


@suite.test("the template in C builds and does what it says")
def template_c(folder):
    targets = subprocess.run(["clang", "--print-targets"], capture_output=True, text=True).stdout if shutil.which("clang") else ""
    if "wasm32" not in targets or not shutil.which("wasm-ld"):
        raise Skip("no clang with the target wasm32, or no wasm-ld")
    run(folder, "new", "c-one", "--lang", "c")
    built(folder, "c-one")
    (folder / "in").write_bytes(b'k="\\\x01\n\nx=y\xff\n')
    records, _, _ = objects(run(folder, "test", folder / "c-one" / "c-one.wasm", "in", "--json", "--variable", "upper=", code=1)[0])
    assert json.loads(records[0]["data"]) == {"K": '"\\\x01'} and records[1]["verdict"] == "refused", records


@suite.test("the template in Rust builds and does what it says")
def template_rust(folder):
    if not FULL:
        raise Skip("with --full: a build of 36 crates")
    tools = ROOT / "target" / "transform-tools"
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True).stdout.strip()
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target" / "transform-template")}
    if not os.path.isdir(f"{sysroot}/lib/rustlib/wasm32-unknown-unknown"):
        if not (tools / "debian" / "rustc").exists():
            raise Skip("no Rust for wasm32-unknown-unknown; transforms/build --debian fetches one")
        environment |= {
            "RUSTC": str(tools / "debian" / "rustc"),
            "PATH": f"{sysroot}/lib/rustlib/x86_64-unknown-linux-gnu/bin:{os.environ['PATH']}",
            "CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS": "fallback",
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER": "rust-lld",
        }
    run(folder, "new", "rust-one", "--lang", "rust")
    # The versions of its lock file, and nothing from the network.
    fetch = ["cargo", "fetch", "--locked", "--offline"]
    done = subprocess.run(fetch, cwd=folder / "rust-one", env={**clean_environment(), **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        assert "--locked" not in done.stderr, f"the template's Cargo.lock is not that of its Cargo.toml: {done.stderr}"
        raise Skip("the template's crates are not here; `cargo fetch --locked` in a folder made of it fetches them")
    built(folder, "rust-one", "--locked", "--offline", environment=environment)


#: Where the tools are kept, and the code of what was wrapped.
TOOLS = {"XDG_CACHE_HOME": str(ROOT / "target" / "wrap-cache")}


def need_tools(program):
    if not FULL:
        raise Skip("with --full: the tools are some 500 MB")
    if not shutil.which(program):
        raise Skip(f"no {program}")


def wrapped(folder, name, language, handler):
    run(folder, "new", name, "--lang", language)
    here = folder / name
    run(folder, "wrap", here / handler, "-o", here / f"{name}.wasm", environment=TOOLS)
    as_expected(folder, name, TOOLS)


@suite.test("the template in JavaScript is wrapped and does what it says")
def template_js(folder):
    need_tools("npm")
    wrapped(folder, "js-one", "js", "index.mjs")


@suite.test("the template in Python is wrapped and does what it says")
def template_python(folder):
    need_tools("python3")
    wrapped(folder, "python-one", "python", "handler.py")


TYPED = """import type { Context } from 'aws-lambda';
import { FirehoseTransformationEvent } from 'aws-lambda';
enum Mark { None, Seen }
export const run = async (event: FirehoseTransformationEvent, context: Context): Promise<{ records: unknown[] }> => {
  if (!process.env.TABLE) throw new Error('TABLE is not set');
  return { records: event.records.map((record) => ({ ...record, result: 'Ok', data: btoa(`${Mark[1]} ${atob(record.data)}`) })) };
};
"""
PACKAGED = """import base64
from . import adapter
import sandbox
from area.deep.size import SIZE


def handle(event, context):
    def answer(record):
        data = base64.b64encode(f"{adapter.NAME} {sandbox.NAME} {SIZE} ".encode() + base64.b64decode(record["data"]))
        return {"recordId": record["recordId"], "result": "Ok", "data": data}

    return {"records": [answer(record) for record in event["records"]]}
"""


@suite.test("a handler in TypeScript is wrapped; what it does without records is told, and what it lacks refused")
def wrap_js(folder):
    need_tools("npm")
    (folder / "typed.ts").write_text(TYPED)
    (folder / "in").write_text("a\n")
    out, err = run(folder, "wrap", "typed.ts", "--handler", "typed.run", "-o", "typed.wasm", environment=TOOLS)
    assert out.startswith("typed.wasm: world transform-packed, "), out
    assert "typed.ts fails when it is called without records, which may be as it should: Error: TABLE is not set\n" in err, err
    records, _, _ = objects(run(folder, "test", "typed.wasm", "in", "--json", "--variable", "TABLE=t", environment=TOOLS)[0])
    assert records[0]["data"] == "Seen a\n", records
    (folder / "cut.mjs").write_text("export const handler = (event) => { return {\n")
    (folder / "needs.mjs").write_text("import _ from 'not-installed';\nexport const handler = () => _;\n")
    for arguments, told in (
        (["cut.mjs"], "bundling the handler failed (exit status: 1):\n"),
        (["needs.mjs"], "Could not resolve 'not-installed' in "),
        (["typed.ts"], "hydrant: typed.ts: there is no function 'handler', but run; name the function with --handler\n"),
        (["typed.ts", "--handler", "index.run"], "hydrant: typed.ts: 'index.run' is the handler of another file, index\n"),
    ):
        err = refused(folder, "wrap", *arguments, "-o", "out.wasm", environment=TOOLS)
        assert told in err and "node_modules/rolldown" not in err, err
    assert not (folder / "out.wasm").exists()


@suite.test("a handler in a Python package is wrapped beside modules of any name, and what it lacks is refused")
def wrap_python(folder):
    need_tools("python3")
    (folder / "area" / "deep").mkdir(parents=True)
    (folder / "area" / "my-app.py").write_text(PACKAGED)
    (folder / "area" / "adapter.py").write_text("NAME = 'mine'\n")
    (folder / "sandbox.py").write_text("NAME = 'too'\n")
    (folder / "area" / "deep" / "size.py").write_text("SIZE = 3\n")
    (folder / "in").write_text("a\n")
    run(folder, "wrap", "area/my-app.py", "--handler", "area/my-app.handle", "-o", "packaged.wasm", environment=TOOLS)
    records, _, _ = objects(run(folder, "test", "packaged.wasm", "in", "--json", environment=TOOLS)[0])
    assert records[0]["data"] == "mine too 3 a\n", records
    (folder / "cut.py").write_text("def lambda_handler(event, context):\n    return {\n")
    (folder / "needs.py").write_text("import not_installed\n\n\ndef lambda_handler(event, context):\n    return {}\n")
    for arguments, told in (
        (["cut.py"], "SyntaxError: '{' was never closed (cut.py, line 2)\n"),
        (["needs.py"], "hydrant: needs.py: ModuleNotFoundError: No module named 'not_installed' in this component"),
        (["needs.py", "--handler", "handle"], "hydrant: needs.py: "),
    ):
        err = refused(folder, "wrap", *arguments, "-o", "out.wasm", environment=TOOLS)
        assert told in err and "backtrace" not in err, err
    assert not (folder / "out.wasm").exists()


@suite.test("what is missing to wrap a handler is named")
def wrap_needs(folder):
    (folder / "bin").mkdir()
    nothing = {"PATH": str(folder / "bin")}
    for name, needed in (("index.mjs", "Node.js 20 or newer with npm, but 'node'"), ("handler.py", "Python 3.10 or newer with pip and venv, but 'python3'")):
        (folder / name).write_text("")
        err = refused(folder, "wrap", name, "-o", "out.wasm", environment=nothing)
        if "carries no adapter" in err:
            raise Skip("this build carries no adapter")
        assert f"this needs {needed} cannot be run" in err, err
    # As Debian 12 has it.
    (folder / "bin" / "node").write_text("#!/bin/sh\necho v18.19.0\n")
    (folder / "bin" / "node").chmod(0o755)
    err = refused(folder, "wrap", "index.mjs", "-o", "out.wasm", environment=nothing)
    assert err == "hydrant: this needs Node.js 20 or newer with npm, but 'node' is v18.19.0\n", err
    assert not (folder / "out.wasm").exists()
    assert not [path for path in folder.path.iterdir() if path.name.startswith("hydrant-wrap-")], "a scratch folder is left"


if __name__ == "__main__":
    sys.exit(suite.main())
