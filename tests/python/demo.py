"""`hydrant demo` as a newcomer runs it."""

import re
import subprocess

from harness import ROOT, Suite, binary, clean_environment

suite = Suite("demo")


def run(folder, *arguments):
    done = subprocess.run(
        [binary(), "demo", *arguments], cwd=folder.path, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        env={**clean_environment(), "HOME": str(folder.path), "TMPDIR": str(folder.path)},
    )  # fmt: skip
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@suite.test("demo delivers and says so")
def plain(folder):
    out = run(folder)
    for word in ("received", "delivered", "refused", "dropped", ".parquet", ".gz", "aws ", "duckdb"):
        assert word.lower() in out.lower(), f"'{word}' is not in what demo prints:\n{out}"
    assert re.search(r"\d", out)
    assert "panicked" not in out


@suite.test("demo takes a file of the user's own")
def own_file(folder):
    rows = folder / "mine.ndjson"
    rows.write_text("".join('{"id":%d,"name":"row %d","price":%d.5}\n' % (n, n, n) for n in range(5000)))
    out = run(folder, "--input", str(rows))
    assert re.search(r"5[,_ ]?000", out), out


if __name__ == "__main__":
    suite.main()
