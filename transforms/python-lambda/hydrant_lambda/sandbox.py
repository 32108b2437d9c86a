"""What a handler finds round it: clock, chance, environment and output of the call; no files, no network.

The functions that ask the host would trap, so they are replaced: first those of `time` and `os`, before other modules
keep them; `begin` sets what they answer.
"""

import _io
import builtins
import io
import linecache
import os
import sys
import time

#: Log lines kept of a call; the host keeps fewer.
MOST_LINES = 1000
MOST_CHARACTERS = 16_384

_now_ns = 0
_lines = []
_left_out = 0


def write(level, message):
    global _left_out
    if len(_lines) == MOST_LINES:
        _left_out += 1
    else:
        _lines.append((level, message[:MOST_CHARACTERS]))


def lines():
    """Pairs of level and text, of this call."""
    sys.stdout.flush()
    sys.stderr.flush()
    return [*_lines, ("warn", f"{_left_out} more lines left out")] if _left_out else _lines


def write_traceback(error):
    import traceback

    if not isinstance(error, SystemExit):
        write("error", "".join(traceback.format_exception(error)).rstrip())


class _Output(io.TextIOBase):
    """A stream whose lines are log lines."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, level):
        super().__init__()
        self.level, self.rest = level, ""

    def writable(self):
        return True

    def write(self, text):
        *whole, self.rest = (self.rest + text).split("\n")
        for line in whole:
            write(self.level, line)
        return len(text)

    def flush(self):
        if self.rest:
            write(self.level, self.rest)
            self.rest = ""


# The clock: it shows the time of the call, and stands still.

_real = {name: getattr(time, name) for name in ("gmtime", "localtime", "strftime", "ctime", "asctime")}


def _seconds():
    return _now_ns / 1e9


def _of_now(name):
    real = _real[name]
    return lambda seconds=None: real(_seconds() if seconds is None else seconds)


time.time = _seconds
time.time_ns = lambda: _now_ns
for _name in ("monotonic", "perf_counter", "process_time", "thread_time"):
    setattr(time, _name, lambda: 0.0)
    setattr(time, f"{_name}_ns", lambda: 0)
time.clock_gettime, time.clock_gettime_ns = lambda clock: _seconds(), lambda clock: _now_ns
time.gmtime, time.localtime, time.ctime = _of_now("gmtime"), _of_now("localtime"), _of_now("ctime")
time.strftime = lambda form, when=None: _real["strftime"](form, time.localtime() if when is None else when)
time.asctime = lambda when=None: _real["asctime"](time.localtime() if when is None else when)
time.sleep = lambda seconds: None


os.urandom = lambda size: random.randbytes(size)

import _random  # noqa: E402
import datetime  # noqa: E402
import random  # noqa: E402

# Chance: a generator without a seed takes one from the generator of the call.
random._urandom = os.urandom
_seed = random.Random.seed
random.Random.__new__ = lambda cls, *_, **__: _random.Random.__new__(cls, 0)
random.Random.seed = lambda self, a=None, version=2: _seed(self, random.getrandbits(128) if a is None else a, version)
random.seed = random._inst.seed


class _Date(type):
    """Dates made by the interpreter itself are of the plain classes; they count as instances all the same."""

    def __instancecheck__(cls, value):
        return isinstance(value, cls.__mro__[1]) if cls.__name__ in ("date", "datetime") else type.__instancecheck__(cls, value)

    def __subclasscheck__(cls, other):
        return issubclass(other, cls.__mro__[1]) if cls.__name__ in ("date", "datetime") else type.__subclasscheck__(cls, other)


class date(datetime.date, metaclass=_Date):
    @classmethod
    def today(cls):
        return cls.fromtimestamp(_seconds())

    def __repr__(self):
        return f"datetime.{super().__repr__()}"


class datetime_(datetime.datetime, metaclass=_Date):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(_now_ns // 1_000_000_000, tz).replace(microsecond=_now_ns // 1000 % 1_000_000)

    @classmethod
    def utcnow(cls):
        return cls.now()

    @classmethod
    def today(cls):
        return cls.now()

    def date(self):
        return date(self.year, self.month, self.day)

    def __repr__(self):
        return f"datetime.{super().__repr__()}"


for _class, _name in ((date, "date"), (datetime_, "datetime")):
    _class.__name__ = _class.__qualname__ = _name
    _class.__module__ = "datetime"
    setattr(datetime, _name, _class)


def close():
    """Ends the building: from here on there are no files, and output goes to the log lines."""
    sys.stdout, sys.stderr = _Output("info"), _Output("error")
    sys.stdin = io.StringIO()

    # What it imports late is imported now.
    io.StringIO("".join(__import__("traceback").format_exception(ValueError())))

    def no_file(path=".", *_, **__):
        raise PermissionError(1, "a transform has no files", path)

    builtins.open = io.open = io.open_code = no_file
    # What the import system and tracebacks open files with.
    _io.open = _io.open_code = no_file
    linecache.updatecache = lambda *_, **__: []
    linecache.checkcache = lambda *_: None
    linecache.lazycache = lambda *_: False
    for name in ("open", "stat", "lstat", "listdir", "scandir", "mkdir", "remove", "unlink", "rename", "replace", "rmdir", "access", "chdir"):
        setattr(os, name, no_file)
    os.getcwd = lambda: "/var/task"

    import socket

    def no_network(*_, **__):
        raise RuntimeError("a connection is not available in a transform: it has no network")

    for name in ("getaddrinfo", "gethostbyname", "gethostname", "create_connection", "socketpair"):
        setattr(socket, name, no_network)
    socket.socket.__init__ = no_network


def begin(invocation):
    """Sets everything to what the call says."""
    global _now_ns
    _now_ns = invocation.now_ms * 1_000_000
    random.seed(invocation.seed)
    name, _, version = ":".join(invocation.function_arn.split(":")[6:]).partition(":")
    os.environ.update(
        {
            "AWS_REGION": invocation.region,
            "AWS_DEFAULT_REGION": invocation.region,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": version or "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(invocation.memory_limit_bytes >> 20),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "LAMBDA_TASK_ROOT": "/var/task",
            "TZ": ":UTC",
            **dict(invocation.variables),
        }
    )
    _log_to_lines()


def _log_to_lines():
    """The root logger as Lambda sets it up: a handler is there, at level WARNING."""
    import logging

    class Handler(logging.Handler):
        def emit(self, record):
            sys.stdout.flush()
            level = "error" if record.levelno >= 40 else "warn" if record.levelno >= 30 else "info" if record.levelno >= 20 else "debug"
            write(level, self.format(record))

    handler = Handler()
    handler.setFormatter(logging.Formatter("[%(levelname)s]\t%(message)s"))
    logging.getLogger().addHandler(handler)
