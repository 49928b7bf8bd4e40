"""The application's module, imported by its name or from a file; sentences for one that is not there.

Runs where the application will run. A file is imported as Python itself would: inside a package by its dotted
name, from the folder that the package is in, else by its own name, from its own folder. Only a file that no
import could name (`my-shop.wsgi`) is run under a name that is made of the file's.
"""

from __future__ import annotations

import os
import sys
import time

from portico.errors import LoadError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


_BEGAN_AT_S = time.time()
"""When this process, or the one that has forked it, has loaded what loads the application."""
# Two changes that are nearer than that may have the same time: in a FAT file system, 2 s.
_COARSEST_TIME_S = 2.0
_NEAR = 0.7
"""From which similarity on a name is a slip of the pen (difflib's ratio): two letters of `wsgi` swapped."""


def extend_path(directories: Sequence[str]) -> None:
    """Put `directories` at the front of the import path, in their order, each once."""
    sys.path[:] = [*directories, *(path for path in sys.path if path not in directories)]
    _forget_listings()


def _forget_listings() -> None:
    """Let directories be listed anew: a supervisor may have done so long ago, and a reload must see all.

    Those that have not changed since before it began are as listed, and their lists are memory that workers
    share. From Python 3.12 on importlib.invalidate_caches() would load importlib.metadata, json and typing
    into each worker.
    """
    for path in list(sys.path_importer_cache):
        try:
            is_as_listed = os.stat(path).st_mtime < _BEGAN_AT_S - _COARSEST_TIME_S
        except OSError:
            is_as_listed = False
        # None is for what was no directory.
        if not is_as_listed or sys.path_importer_cache[path] is None:
            del sys.path_importer_cache[path]


def import_named(module_name: str) -> ModuleType:
    """Return the module called `module_name`; raises LoadError if there is none.

    An error inside it passes through.
    """
    try:
        # As `importlib.import_module`, without the 50 KB of that and of `warnings`.
        __import__(module_name)
        return sys.modules[module_name]
    except ModuleNotFoundError as error:
        # Only the module itself or a package above it: one that *it* fails to import is the application's
        # error.
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(missing + "."):
            raise
        if _is_module_without_package(module_name, missing):
            parent = missing.rpartition(".")[0]
            raise LoadError(f"{parent} is a module, not a package: it has no {module_name}") from None
        where = sys.path[0] if sys.path else "."
        if not os.access(where, os.R_OK):
            where += ", which this user may not read,"
        hint = _near_module(missing)
        if os.path.isfile(os.path.join(where, f"{module_name}.py")):
            hint = f"; did you mean {module_name}.py?"  # a file with a dot in its name
        raise LoadError(f"no module named {missing} in {where} or installed{hint}") from None


def import_file(path: str, directory: str) -> ModuleType:
    """Return the module of the file at `path`, which starts from `directory`; its folder gets importable.

    Raises LoadError if there is no such file, or if another module stands before it. An error inside it
    passes through.
    """
    file = os.path.abspath(os.path.join(directory, path))
    if not os.path.isfile(file):
        raise LoadError(_no_file(path, file, directory))
    folder, module_name = _place_of(file)
    extend_path([folder])
    if not module_name or _is_taken(module_name, file):
        return _run_file(file)
    module = import_named(module_name)
    imported = getattr(module, "__file__", None) or "what is built in"
    if imported != file and not (os.path.exists(imported) and os.path.samefile(imported, file)):
        raise LoadError(f"{quoted(path)} cannot be imported as {module_name}: {imported} stands before it")
    return module


def _place_of(file: str) -> tuple[str, str]:
    """Return the folder to import `file` from, and the name it has there; empty if no import can name it."""
    folder, base = os.path.split(file)
    stem, suffix = os.path.splitext(base)
    if suffix != ".py":
        return folder, ""
    top, parts = folder, [stem]
    while os.path.isfile(os.path.join(top, "__init__.py")) and os.path.dirname(top) != top:
        top, package = os.path.split(top)
        parts.insert(0, package)
    if len(parts) > 1 and stem == "__init__":
        parts.pop()
    return (top, ".".join(parts)) if all(part.isidentifier() for part in parts) else (folder, "")


def _is_taken(module_name: str, file: str) -> bool:
    """Say whether a module that is no package is called as another that is loaded, such as `site`."""
    loaded = sys.modules.get(module_name)
    return loaded is not None and "." not in module_name and getattr(loaded, "__file__", None) != file


def _run_file(file: str) -> ModuleType:
    # Here and not above: few applications need it.
    from importlib.machinery import ModuleSpec, SourceFileLoader

    name = "".join(letter if letter.isalnum() else "_" for letter in os.path.basename(file))
    loader = SourceFileLoader(name, file)
    try:
        source = loader.get_data(file)
    except OSError as error:
        raise LoadError(f"cannot read {quoted(file)}: {error.strerror}") from None
    module = type(sys)(name)
    # What Flask, pkgutil and inspect ask for. There is no cache of bytecode: shop.wsgi and shop.py would
    # share one (`__pycache__/shop.*.pyc`).
    module.__spec__ = ModuleSpec(name, loader, origin=file)
    module.__spec__.has_location = True
    module.__loader__ = loader
    module.__file__ = file
    module.__package__ = ""
    sys.modules[name] = module
    exec(loader.source_to_code(source, file), vars(module))
    return module


def _no_file(path: str, file: str, directory: str) -> str:
    where = "" if os.path.isabs(path) else f" in {directory}"
    if os.path.isdir(file):
        package = os.path.join(path, "__init__.py")
        hint = f"; its module is {package}" if os.path.isfile(os.path.join(file, "__init__.py")) else ""
        return f"{quoted(path)} is a folder, not a file{hint}"
    import difflib

    folder, base = os.path.split(file)
    try:
        entries = os.listdir(folder)
    except OSError:
        entries = []
    alike = difflib.get_close_matches(base, entries, n=3, cutoff=_NEAR)
    # A suffix that they share makes no names similar.
    stem = os.path.splitext(base)[0]
    alike = [each for each in alike if _is_near(stem, os.path.splitext(each)[0])]
    near = [base + ".py"] if base + ".py" in entries else alike
    hint = f"; did you mean {os.path.join(os.path.dirname(path), near[0])}?" if near else ""
    return f"there is no file {quoted(path)}{where}{hint}"


def _is_near(name: str, other: str) -> bool:
    import difflib

    return bool(difflib.get_close_matches(name, [other], cutoff=_NEAR))


def _is_module_without_package(module_name: str, missing: str) -> bool:
    """Say whether `import a.b` failed because `a` is a plain module."""
    parent = missing.rpartition(".")[0]
    return bool(parent) and parent in sys.modules and not hasattr(sys.modules[parent], "__path__")


def _near_module(missing: str) -> str:
    """Return a hint at a module in the working directory whose name is almost `missing`."""
    import difflib

    if "." in missing:
        package, _, missing = missing.rpartition(".")
        folders = list(getattr(sys.modules.get(package), "__path__", []))
        prefix = package + "."
    else:
        folders, prefix = sys.path[:1], ""
    names = []
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        names += [entry.removesuffix(".py") for entry in entries]
    names = [entry for entry in names if entry.isidentifier()]
    near = difflib.get_close_matches(missing, names, n=1, cutoff=_NEAR)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
