"""The README as its reader runs it: the commands of its code blocks, as they stand; and those that the demo prints.

What is put in another's place, and nothing else, stands in `Trial`: a program `cargo` that runs the built binary, the
ports (a busy machine may have the usual ones in use), and one option that only the second version of the AWS CLI has,
which the README itself says to leave out.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess

import duckdb

import oracle
from harness import DEADLINE_S, ROOT, Suite, binary, clean_environment, until

suite = Suite("readme")
README = (ROOT / "README.md").read_text()
USUAL_PORTS = {"api": 4573, "s3": 4572, "admin": 4574}
V2_OPTION = "--cli-binary-format raw-in-base64-out"


def blocks(text):
    """Code blocks in their order: fenced ones, and paragraphs indented by four spaces."""
    found = []
    for fenced, indented in re.findall(r"^```sh\n(.*?)^```$|((?:^    \S[^\n]*\n)+)", text, re.M | re.S):
        found.append(fenced or re.sub(r"^    ", "", indented, flags=re.M))
    return found


class Trial:
    """A terminal in a folder of its own, beside a running `hydrant dev`."""

    def __init__(self, folder, service):
        self.folder, self.service, self.exports = folder, service, {}
        self.ports = {usual: service.ready[name].rsplit(":", 1)[1] for name, usual in USUAL_PORTS.items()}
        programs = folder / "programs"
        programs.mkdir()
        # `cargo run --release -- ARGUMENTS`: the binary that is there. `put` has the API's usual port as its default.
        cargo = programs / "cargo"
        cargo.write_text(
            f'#!/bin/sh\n[ "$1 $2 $3" = "run --release --" ] || exit 9\nshift 3\n[ "$1" != put ] || set -- "$@" --endpoint {service.api}\n'
            f'exec {shlex.quote(binary())} "$@"\n'
        )
        cargo.chmod(0o755)
        # curl shall say by its exit code what it otherwise only prints.
        (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        self.environment = {
            **clean_environment(), "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder.path), "CURL_HOME": str(folder.path),
        }  # fmt: skip
        version = subprocess.run(["aws", "--version"], capture_output=True, text=True, env=self.environment).stdout
        self.first_cli = version.startswith("aws-cli/1.")

    def here(self, commands):
        for usual, port in self.ports.items():
            commands = commands.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{port}")
        return commands.replace(V2_OPTION, "") if self.first_cli else commands

    def run(self, commands):
        """All commands of a block in one shell, which ends at the first that fails; what it exports stays."""
        names = " ".join(re.findall(r"(\w+)=", " ".join(re.findall(r"^export (.*)$", commands, re.M))))
        script = f"set -e -o pipefail\n{self.here(commands)}\nfor name in {names}; do printf '%s=%s\\n' \"$name\" \"${{!name}}\" >>exports; done\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder.path, env={**self.environment, **self.exports}, capture_output=True, text=True,
            timeout=DEADLINE_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"exit code {done.returncode} of:\n{commands}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        exports = self.folder / "exports"
        if exports.exists():
            self.exports.update(line.split("=", 1) for line in exports.read_text().splitlines())
        return done.stdout


@suite.test("every command of the README")
def every_command(folder):
    found = blocks(README)
    shells = [block for block in found if "aws " in block or "curl " in block]
    starts = [block.strip() for block in found if block not in shells]
    # Each start has its trial: demo and tests/run in suites of their own, dev below.
    assert starts == ["cargo run --release -- demo", "tests/run", "cargo run --release -- dev --data-dir /tmp/hydrant"], starts
    assert len(shells) == 3 and any("put-record" in block for block in shells), shells
    service = folder.hydrant("hydrant").start()
    usual = subprocess.run([binary(), "dev", "--help"], capture_output=True, text=True).stdout
    for name, port in USUAL_PORTS.items():
        assert f"127.0.0.1:{port}" in usual, f"{name}: {port} is not the default port"
    trial = Trial(folder, service)
    printed = trial.run(shells[0])
    assert re.search(r"\d+ clicks/\d{4}/\d\d/\d\d/\d\d/clicks-1-\S+\.gz", printed), printed
    printed = trial.run(shells[1])
    assert '"accepted":2' in printed.replace(" ", "") and "accepted 2 records" in printed and '"state":"running"' in printed, printed
    trial.run(shells[2])
    s3 = service.s3_client()
    rows = lambda: b"".join(each.content() for each in oracle.objects(s3, service.bucket, "clicks/"))
    until("what waited is delivered before the stream goes", lambda: rows().count(b"\n") == 5)
    wanted = b'{"user": 7, "page": "/start"}\n' + b'{"user": 8, "page": "/"}\n{"user": 9, "page": "/help"}\n' * 2
    oracle.same_lines(wanted, rows(), "the README's records")


@suite.test("the configuration in deploy/ is good")
def sample_configuration(folder):
    done = subprocess.run([binary(), "check", "--config", "deploy/hydrant.yaml"], cwd=ROOT, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), f"the README links to {name}"


def look_further(printed):
    """The commands under the demo's last heading."""
    _, _, rest = printed.partition("Look further:\n")
    return [line.strip() for line in rest.splitlines() if line.startswith("  ")]


def by_duckdb(folder, command):
    """`duckdb -c SQL`, by the program or else by its Python package, which is the same engine."""
    program, option, sql = shlex.split(command)
    assert (program, option) == ("duckdb", "-c"), command
    if shutil.which("duckdb"):
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=DEADLINE_S, cwd=folder.path)
        assert done.returncode == 0, done.stderr
    rows = duckdb.sql(sql).fetchall()
    assert len(rows) == 10, rows


@suite.test("what demo prints to look further")
def demo_look_further(folder):
    environment = {**clean_environment(), "HOME": str(folder.path), "TMPDIR": str(folder.path)}
    done = subprocess.run([binary(), "demo", "--events", "3000"], cwd=folder.path, capture_output=True, text=True, timeout=DEADLINE_S, env=environment)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    query, keep = look_further(done.stdout)
    by_duckdb(folder, query)
    assert keep.startswith("hydrant demo --keep"), keep


@suite.test("what demo --keep prints to look further, and Ctrl-C")
def demo_kept(folder):
    environment = {**clean_environment(), "HOME": str(folder.path), "TMPDIR": str(folder.path)}
    ports = [argument for name in USUAL_PORTS for argument in (f"--{name}-addr", "127.0.0.1:0")]
    log = open(folder / "demo.log", "w+")
    demo = subprocess.Popen(
        [binary(), "demo", "--keep", "--events", "3000", *ports], cwd=folder.path, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )  # fmt: skip
    try:
        printed = lambda: (folder / "demo.log").read_text()
        until(printed, lambda: "Up until Ctrl-C" in printed() or demo.poll() is not None)
        assert demo.poll() is None, printed()
        query, *commands = look_further(printed())
        by_duckdb(folder, query)
        assert [command.split()[0] for command in commands] == ["export", "aws", "aws", "curl"], commands
        done = subprocess.run(["bash", "-ec", "\n".join(commands)], env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, (done.stdout, done.stderr)
        for name in ("demo-parquet", "demo-gzip", "demo-transform"):
            assert f'"name":"{name}"' in done.stdout.replace(" ", ""), done.stdout
        assert re.search(r"\d+ demo-parquet/\S+\.parquet", done.stdout), done.stdout
        demo.send_signal(signal.SIGINT)
        assert demo.wait(DEADLINE_S) == 0, printed()
    finally:
        if demo.poll() is None:
            demo.kill()
        log.close()


if __name__ == "__main__":
    suite.main()
