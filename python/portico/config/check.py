"""Rules that one value alone cannot answer: settings against each other, and settings against this machine.

Runs in the process of the command line, after config/sources.py and before anything is opened or bound.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping

from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings
from portico.errors import OperatorError, quoted


def check(settings: Settings) -> None:
    """Raise OperatorError for the first rule that `settings` break."""
    _check_app(settings)
    directory = _check_directory(settings)
    _check_bind(settings)
    _check_sizes(settings)
    _check_access_log(settings, directory)


def working_directory(settings: Settings) -> str:
    """Return the absolute path that the application works in, links kept.

    A deployment that switches a link (`/srv/shop/current`) and then reloads gets the new target, because
    the path, not the directory behind it, is remembered.
    """
    logical = os.environ.get("PWD", "")
    try:
        here = logical if os.path.isabs(logical) and os.path.samefile(logical, ".") else os.getcwd()
    except OSError:
        here = os.getcwd()
    return os.path.normpath(os.path.join(here, settings.chdir)) if settings.chdir else here


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each PORTICO_* variable that is no setting: most likely a slip of the pen."""
    known = [row.environment[0] for row in TABLE]
    sentences = []
    for variable in sorted(environment):
        if variable.startswith("PORTICO_") and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            sentences.append(f"{variable} in the environment is not a setting{hint}")
    return sentences


def _check_app(settings: Settings) -> None:
    if not settings.app:
        raise OperatorError(
            "no application was given: name its module and attribute, as in "
            "`portico run shop.wsgi:application`, or set PORTICO_APP"
        )


def _check_directory(settings: Settings) -> str:
    directory = working_directory(settings)
    origin = settings.origins[Settings.chdir.attribute]
    if not os.path.isdir(directory):
        raise OperatorError(f"{origin}: expected a directory, got {quoted(directory)}, which is none")
    if not os.access(directory, os.X_OK):
        raise OperatorError(f"{origin}: no permission to enter {quoted(directory)}")
    return directory


def _check_bind(settings: Settings) -> None:
    seen: set[str] = set()
    for address in settings.bind:
        if address in seen and not address.endswith(":0"):
            origin = settings.origins[Settings.bind.attribute]
            raise OperatorError(f"{origin}: {address} is given twice")
        seen.add(address)


def _check_sizes(settings: Settings) -> None:
    """What is allowed of a part cannot exceed the whole: the bound of the part would never be met."""
    whole = Settings.max_head_bytes
    for part in (Settings.max_request_line_bytes, Settings.max_header_bytes):
        if getattr(settings, whole.attribute) <= getattr(settings, part.attribute):
            raise _misfit(settings, whole, "larger than", part)
    for memory, spool in (
        (Settings.body_memory_bytes, Settings.body_spool_bytes),
        (Settings.response_memory_bytes, Settings.response_spool_bytes),
    ):
        if getattr(settings, spool.attribute) < getattr(settings, memory.attribute):
            raise _misfit(settings, spool, "at least", memory)


def _misfit(settings: Settings, one: Setting[int], relation: str, other: Setting[int]) -> OperatorError:
    values = [one.kind.show(settings.values[row.attribute]) for row in (one, other)]
    origins = [settings.origins[row.attribute] for row in (one, other)]
    return OperatorError(
        f"{one.name} is {values[0]} ({origins[0]}), but has to be {relation} {other.name}, "
        f"which is {values[1]} ({origins[1]})"
    )


def _check_access_log(settings: Settings, directory: str) -> None:
    if settings.access_log in ("-", "off"):
        return
    path = os.path.join(directory, settings.access_log)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except OSError as error:
        origin = settings.origins[Settings.access_log.attribute]
        raise OperatorError(f"{origin}: cannot write {quoted(path)}: {error.strerror}") from None
