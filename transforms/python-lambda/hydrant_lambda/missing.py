"""Stands for packages that a transform cannot have: they can be imported, and clients of them made; a call of a client
fails with a text that says why.
"""

import importlib.abc
import types

#: By the first part of the name.
REFUSED = ("boto3", "botocore", "aws_xray_sdk", "requests", "urllib3", "aiobotocore", "aioboto3")


def refuse(what):
    raise RuntimeError(f"{what} is not available in a transform: it has no network")


class _Client:
    """An object of such a package: its members are there until they are called."""

    def __init__(self, name):
        self.__dict__["_name"] = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Client(f"{self._name}.{name}")

    def __setattr__(self, name, value):
        pass

    def __call__(self, *_, **__):
        refuse(self._name)


class _Factory(_Client):
    """Makes clients: `boto3.client("firehose")`, `botocore.config.Config(...)`."""

    def __call__(self, *values, **_):
        first = f"({values[0]!r})" if values and isinstance(values[0], str) else ""
        return _Client(f"{self._name}{first}")


def _member(module, name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name.endswith(("Error", "Exception", "Exceeded", "Timeout")):
        # For `except ClientError`.
        value = type(name, (Exception,), {"__module__": module})
    elif name in ("client", "resource", "patch_all") or name[:1].isupper():
        value = _Factory(f"{module}.{name}")
    else:
        value = _Client(f"{module}.{name}")
    return value


def missing_package(name):
    """A loader for it."""
    return _Missing(name)


class _Missing(importlib.abc.Loader):
    def __init__(self, name):
        self.name = name

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        module.__path__ = []

        def get(name):
            value = _member(self.name, name)
            setattr(module, name, value)
            return value

        module.__getattr__ = get
