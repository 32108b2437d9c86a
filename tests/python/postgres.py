"""A PostgreSQL server of a suite's own: Debian's, on a free port of this machine, with data that go with it.

It refuses to run as root, so there it runs as another user. `psql` asks it; nothing else of Python is needed.
"""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Skip, until

SUPERUSER_PASSWORD = "super-0123456789"


def program(name):
    """Path of a program of the server; Debian keeps them off the PATH."""
    found = shutil.which(name) or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    if not found:
        raise Skip(f"PostgreSQL is not installed: no {name}")
    return found


class Postgres:
    """A running server. Passwords are checked for everybody."""

    def __init__(self, tls=None):
        """`tls`: (certificate, key), PEM files."""
        initdb, self.server = program("initdb"), program("postgres")
        program("psql")
        self.folder = Path(tempfile.mkdtemp(prefix="hydrant-pg-"))
        self.user = None
        if os.geteuid() == 0:
            try:
                self.user = pwd.getpwnam("postgres").pw_name
            except KeyError:
                raise Skip("PostgreSQL does not run as root, and there is no user postgres") from None
            shutil.chown(self.folder, self.user)
        secret = self.folder / "password"
        secret.write_text(SUPERUSER_PASSWORD)
        options = []
        for name, source in zip(("ssl_cert_file", "ssl_key_file"), tls or ()):
            path = self.folder / name
            shutil.copy(source, path)
            path.chmod(0o600)
            options += ["-c", f"{name}={path}"]
        if self.user:
            for path in self.folder.iterdir():
                shutil.chown(path, self.user)
        self.data = self.folder / "data"
        made = self.run(initdb, "-D", self.data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "-E", "UTF8", "--locale=C")
        assert made.returncode == 0, made.stdout + made.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.options = [
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=50",
            "-p", str(self.port), *(["-c", "ssl=on"] if tls else []), *options,
        ]  # fmt: skip
        self.log = self.folder / "log"
        self.process = None
        atexit.register(self.remove)
        self.start()

    def command(self, *arguments):
        return [*(["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--clear-groups"] if self.user else []), *map(str, arguments)]

    def run(self, *arguments):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, cwd=self.folder)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(self.server, "-D", self.data, *self.options), stdout=log, stderr=log, cwd=self.folder)
        until(lambda: f"PostgreSQL answers: {self.log.read_text()[-500:]}", lambda: self.psql("SELECT 1", check=False) == "1", pause_s=0.05)
        return self

    def stop(self):
        """Ends it and all of its sessions at once; what is committed stays."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.process = None
        return self

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def psql(self, sql, user="postgres", password=SUPERUSER_PASSWORD, database="postgres", check=True, stdin=None):
        """Rows as text, columns between `|`."""
        environment = {**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"}
        arguments = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database, "-c", sql]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, input=stdin)
        assert not check or done.returncode == 0, f"{sql}: {done.stderr}"
        return done.stdout.rstrip("\n") if done.returncode == 0 else None

    def url(self, database="postgres", port=None):
        return f"jdbc:postgresql://127.0.0.1:{port or self.port}/{database}"
