"""Which hooks the module of `hooks` has, read from its source: nothing is imported, nothing is run.

So no process has to import it that has no hook to run. Runs in the process of the command line.
"""

from __future__ import annotations

import difflib
import os
import sys

from portico.app_loader.name import names_file
from portico.config.document import SURELY_MEANT
from portico.config.python_source import UnreadableError, parse_file, top_level_names
from portico.config.settings import Settings
from portico.errors import OperatorError, quoted

HOOKS = (
    *("on_start", "pre_fork", "post_fork", "worker_ready", "worker_exit"),
    *("request_timeout", "on_reload", "on_exit"),
)
_OF_GUNICORN = {
    "on_starting": "on_start",
    "when_ready": "worker_ready",
    "post_worker_init": "worker_ready",
    "child_exit": "worker_exit",
    "worker_abort": "request_timeout",
    "worker_int": "worker_exit",
    "nworkers_changed": "on_reload",
    "pre_exec": "on_reload",
    "pre_request": "a WSGI middleware",
    "post_request": "a WSGI middleware",
}
_ALL = "*"


def hooks_of(settings: Settings, directory: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the hooks that there are, and sentences on what looks like one and is none.

    `directory` is where the application works. Raises OperatorError if there is no such module, or no hook.
    """
    if not settings.hooks:
        return (), []
    origin = settings.origins[Settings.hooks.attribute]
    path = _path_of(settings.hooks, directory, settings.pythonpath)
    if not path:
        raise OperatorError(f"{origin}: there is no module {quoted(settings.hooks)} in {directory}")
    try:
        names = top_level_names(parse_file(path))
    except UnreadableError as error:
        raise OperatorError(f"{origin}: {path} {error}") from None
    # Of `from shared import *` nobody knows.
    found = tuple(name for name in HOOKS if name in names or _ALL in names)
    if not found:
        raise OperatorError(f"{origin}: expected one of {', '.join(HOOKS)} in {path}, got none")
    return found, [*_remarks(path, [name for name in names if name not in HOOKS])]


def _remarks(path: str, others: list[str]) -> list[str]:
    remarks = []
    for name in others:
        if instead := _OF_GUNICORN.get(name):
            remarks.append(f"{path}: {name} is a hook of gunicorn; here it is {instead} (docs/operations.md)")
        elif near := difflib.get_close_matches(name, HOOKS, n=1, cutoff=SURELY_MEANT):
            remarks.append(f"{path}: {name} is no hook; did you mean {near[0]}?")
    return remarks


def _path_of(module: str, directory: str, pythonpath: tuple[str, ...]) -> str:
    """Return the path of the source of `module`, which may be a path; empty if it is nowhere."""
    if names_file(module):
        path = os.path.join(directory, module)
        return path if os.path.isfile(path) else ""
    relative = module.replace(".", os.sep)
    for folder in (directory, *(os.path.join(directory, each) for each in pythonpath), *sys.path):
        for path in (f"{relative}.py", os.path.join(relative, "__init__.py")):
            if os.path.isfile(os.path.join(folder, path)):
                return os.path.join(folder, path)
    return ""
