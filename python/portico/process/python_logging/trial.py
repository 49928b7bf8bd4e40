"""Whether logging takes what `logconfig` says: tried in a child, before anything is served by it.

Runs in the process of the command line; logging is configured in a child of its own, under the import path,
the environment and the interpreter's options that a worker would have.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from portico.config.logconfig import load_logconfig
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import OperatorError
from portico.process.handed_file import write_file
from portico.process.import_path import import_path
from portico.process.invocation import this_invocation
from portico.process.loading import enter

_BOOTSTRAP = (
    "import marshal, sys; file = open(int(sys.argv.pop(1)), 'rb'); sys.path[:], plan = marshal.load(file); "
    "file.close(); from portico.process.python_logging.trial import configure_and_exit; "
    "configure_and_exit(*plan)"
)
_FINE = 64
_WRONG = 65
_SEPARATOR = "\x1f"


def try_logconfig(settings: Settings, options: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return what `settings` say of logging, in plain values, and what there is to remark; empty if nothing.

    `options` are the interpreter's. Raises OperatorError if logging does not take it.
    """
    directory = working_directory(settings)
    logconfig = load_logconfig(settings, directory)
    if not logconfig:
        return {}, []
    handed = {name: part for name, part in logconfig.items() if name != "places"}
    data = marshal.dumps((import_path(dict(settings.env)), (directory, list(settings.pythonpath), handed)))
    plan_fd = write_file(data)
    command = [sys.executable, *options, "-c", _BOOTSTRAP, str(plan_fd), "portico"]
    try:
        done = subprocess.run(
            command,
            env=this_invocation().variables(dict(settings.env)),
            pass_fds=[plan_fd],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
        )
    finally:
        os.close(plan_fd)
    said = done.stdout.rpartition("\n")[2]
    if done.returncode == _FINE:
        return handed, [each for each in said.split(_SEPARATOR) if each]
    if done.returncode != _WRONG:
        said = _SEPARATOR + (done.stderr.strip() or f"exit code {done.returncode}")
    raise OperatorError(_sentence(settings, logconfig, *said.split(_SEPARATOR)[:2]))


def _sentence(settings: Settings, logconfig: dict[str, Any], part: str, why: str) -> str:
    """Return what is wrong with which part, and where that stands."""
    name, places = logconfig["name"], logconfig["places"]
    label = part or "logconfig"
    if place := places.get(part):
        where, label = place, ".".join(filter(None, [name, part]))
    else:
        where = settings.origins[Settings.logconfig.attribute] if places else name
    return f"{where}: {label}: expected what Python's logging takes, got: {why}"


def configure_and_exit(directory: str, pythonpath: list[str], logconfig: dict[str, Any]) -> None:
    """In the child: configure logging, say in one line what is wrong or worth a remark, and end at once."""
    try:
        enter(directory, pythonpath)
        from portico.process.python_logging.applying import NAME, THEIRS, apply

        handlers = apply(logconfig, {})
        code, said = _FINE, []
        if handlers.is_theirs:
            said.append(
                f"logconfig names the logger {THEIRS}, whose handlers portico's records get: "
                f"its name here is {NAME}"
            )
        if handlers.are_none:
            said.append(f"logconfig has no handler for {NAME}: portico's records go to standard error")
    except BaseException as error:
        causes = list(_causes(error))
        code, said = _WRONG, [_part(causes), _why(causes[-1])]
    sys.stdout.write("\n" + _SEPARATOR.join(" ".join(each.split()) for each in said))
    sys.stdout.flush()
    os._exit(code)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _part(causes: list[BaseException]) -> str:
    """Return the part that logging names, as `handlers.x`: "Unable to configure handler 'x'"."""
    for error in causes:
        before, _, name = str(error).partition("Unable to configure ")
        words = name.split("'")
        if name and not before and words[0].strip() in ("handler", "formatter", "filter", "logger"):
            return f"{words[0].strip()}s.{words[1]}"
        if name.startswith("root"):
            return "root"
    return ""


def _why(error: BaseException) -> str:
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
