"""Modules of a component: those of the library and of packages are imported when it is built, since there is no file to
import them from afterwards; the handler's own are compiled then, and run at each call.
"""

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys

from hydrant_lambda.missing import REFUSED, missing_package

#: Of the standard library, what is imported late by what handlers use, or by a name made at run time.
LIBRARY = """
_strptime base64 binascii bisect calendar codecs collections collections.abc concurrent.futures contextlib copy csv dataclasses
datetime decimal difflib email.message email.utils encodings.ascii encodings.cp1252 encodings.hex_codec encodings.idna
encodings.latin_1 encodings.unicode_escape encodings.utf_16 encodings.utf_16_be encodings.utf_16_le encodings.utf_32
encodings.utf_8_sig encodings.zlib_codec enum fnmatch fractions functools gzip hashlib heapq hmac html io ipaddress itertools json
linecache locale logging math operator os.path pprint queue random re secrets socket shlex statistics string stringprep struct textwrap
threading time traceback typing unicodedata urllib.parse urllib.error uuid warnings weakref xml.etree.ElementTree zlib zoneinfo
""".split()

#: Code of the handler's own modules, by name: (code, is a package, path).
_own = {}


class _Own(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports from `_own`."""

    def find_spec(self, name, path=None, target=None):
        if name not in _own:
            return None
        return importlib.util.spec_from_loader(name, self, origin=_own[name][2], is_package=_own[name][1])

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = _own[module.__name__][2]
        exec(_own[module.__name__][0], module.__dict__)


class _Last(importlib.abc.MetaPathFinder):
    """Asked when nobody else has the module."""

    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in REFUSED:
            return importlib.util.spec_from_loader(name, missing_package(name), is_package=True)
        raise ModuleNotFoundError(
            f"No module named '{name}' in this component: it was not there when the component was built", name=name
        )


def read(handler):
    """At build: reads the handler's module and all that it imports."""
    for name in LIBRARY:
        _try_import(name)
    # A package before what is in it.
    parts = handler.split(".")
    for count in range(1, len(parts) + 1):
        _read_own(".".join(parts[:count]))
    if handler not in _own:
        raise ModuleNotFoundError(f"there is no module {handler} below the root of the handler")
    # From here on imports come from memory alone.
    sys.meta_path[:] = [sys.meta_path[0], sys.meta_path[1], _Own(), _Last()]
    sys.path_importer_cache.clear()


def run(handler):
    """At a call: the handler's module, run."""
    return importlib.import_module(handler)


def _try_import(name):
    try:
        importlib.import_module(name)
    except Exception:
        # It may be meant for another place (`try: import x`); what is needed is missed at the call, with its name.
        return False
    return True


def _is_own(origin, root):
    """Beside the handler, rather than of the library or of a package that pip installed."""
    folder = _folder(origin, root)
    return not origin.startswith("/python/") and "/bundled" not in origin and root not in _installed(folder)


def _folder(origin, root):
    """Where the module or package `root` lies."""
    above = origin.rpartition("/")[0]
    return above.rpartition("/")[0] if above.endswith(f"/{root}") else above


@functools.cache
def _installed(folder):
    """Names that the lists of installed packages in a folder begin with."""
    names = set()
    for entry in os.listdir(folder) if folder else ():
        if entry.endswith(".dist-info") and os.path.exists(f"{folder}/{entry}/RECORD"):
            with open(f"{folder}/{entry}/RECORD", encoding="utf-8") as lines:
                names |= {line.partition(",")[0].partition("/")[0].removesuffix(".py") for line in lines}
    return names


def _keep(name, path, origin, source, package):
    """Compiles a module of the handler, and reads what it imports."""
    if name in _own:
        return
    tree = ast.parse(source, origin)
    _own[name] = (compile(tree, path, "exec", dont_inherit=True), package, origin)
    for wanted in _imports(tree, name if package else name.rpartition(".")[0]):
        _read(wanted)


def _read_own(name):
    """A module of the handler: one at the top, or one in a package that was read before."""
    parent = name.rpartition(".")[0]
    if parent:
        if not (parent in _own and _own[parent][1]):
            return
        # The parent is not imported, so its folder is searched here, as if for a module at the top.
        spec = importlib.machinery.PathFinder.find_spec(name.rpartition(".")[2], [_own[parent][2].rpartition("/")[0]])
        if spec is None:
            return  # a name in the module rather than a module
    else:
        spec = importlib.util.find_spec(name)
        if spec is None or not (spec.loader is None or hasattr(spec.loader, "get_source")):
            raise ModuleNotFoundError(f"there is no module {name} beside the handler")
    package = spec.submodule_search_locations is not None
    path = f"/var/task/{name.replace('.', '/')}{'/__init__' if package else ''}.py"
    # Of a folder without `__init__.py` there is no loader.
    source = spec.loader.get_source(spec.name) if spec.loader else ""
    _keep(name, path, _origin(spec), source, package)


def _origin(spec):
    """Where a module lies; a folder without `__init__.py` is a package as one with an empty one is."""
    folders = spec.submodule_search_locations
    return spec.origin or (f"{list(folders)[0]}/__init__.py" if folders else "")


def _read(name):
    root = name.partition(".")[0]
    if root in REFUSED or name in sys.builtin_module_names or name in _own:
        return
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    origin = _origin(spec)
    if origin.endswith(".py") and _is_own(origin, root):
        # Packages from the root down.
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            _read_own(".".join(parts[:count]))
    else:
        _try_import(name)


def _imports(tree, package):
    """Full names that a module imports anywhere in it; `from a import b` may mean the module `a.b`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
                base = ".".join([*above, *([base] if base else [])])
            if base:
                found.append(base)
                found += [f"{base}.{alias.name}" for alias in node.names if alias.name != "*"]
    return found
