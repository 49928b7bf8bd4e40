"""Rules that one value alone cannot decide: settings against each other, and settings against this machine.

Runs in the process of the command line, after config/sources.py and before anything is opened or bound.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping

from portico.config.addresses import Address, parse_address
from portico.config.file import VARIABLE
from portico.config.finding import why_none_was_found
from portico.config.kinds import LogFile
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings
from portico.errors import OperatorError, quoted


def check(settings: Settings) -> None:
    """Raise OperatorError for the first rule that `settings` break."""
    directory = _check_directory(settings)
    check_app(settings)
    check_together(settings, directory)
    _check_import_path(settings, directory)
    for row in (Settings.access_log, Settings.error_log):
        _check_log(settings, row, directory)


def check_together(settings: Settings, directory: str) -> None:
    """Raise OperatorError for the first rule that `settings` break among themselves, wherever they will run.

    `directory` is what relative paths start from.
    """
    _check_bind(settings, directory)
    _check_peers(settings)
    _check_sizes(settings)


def working_directory(settings: Settings) -> str:
    """Return the absolute path that the application works in, links kept.

    A deployment that switches a link (`/srv/shop/current`) and then reloads gets the new target, because
    the path, not the directory behind it, is remembered.
    """
    if os.path.isabs(settings.chdir):
        return os.path.normpath(settings.chdir)
    logical = os.environ.get("PWD", "")
    try:
        here = logical if os.path.isabs(logical) and os.path.samefile(logical, ".") else os.getcwd()
    except OSError:
        here = _current_directory(settings)
    return os.path.normpath(os.path.join(here, settings.chdir)) if settings.chdir else here


def _current_directory(settings: Settings) -> str:
    try:
        return os.getcwd()
    except OSError as error:
        origin = settings.origins[Settings.chdir.attribute]
        wanted = f"{origin}: {quoted(settings.chdir)} starts from" if settings.chdir else "portico runs in"
        raise OperatorError(
            f"{wanted} the working directory, which is not there any more ({error.strerror}); change to one "
            "that is, or name an absolute one by --chdir"
        ) from None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each PORTICO_* variable that is no setting: most likely a slip of the pen."""
    known = [VARIABLE, *(row.environment[0] for row in TABLE)]
    sentences = []
    for variable in sorted(environment):
        if variable.startswith("PORTICO_") and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            sentences.append(f"{variable} in the environment is not a setting{hint}")
    return sentences


def root_warning(settings: Settings) -> str:
    """Return a sentence if the application will run as root, for clients of other machines, else nothing."""
    if os.geteuid() or not any(_is_reached_from_elsewhere(parse_address(text)) for text in settings.bind):
        return ""
    return (
        "portico runs as root, and the application with it: start it as a user of its own (User= of systemd, "
        "which `portico generate systemd` writes; USER of a Dockerfile)"
    )


def _is_reached_from_elsewhere(address: Address) -> bool:
    return bool(address.host) and address.host != "localhost" and not address.host.startswith(("127.", "::1"))


def check_app(settings: Settings) -> None:
    """Raise OperatorError if no application is named or found, or if it would be called twice."""
    if not settings.app:
        raise OperatorError(why_none_was_found(settings, working_directory(settings), os.environ))
    if settings.factory and "(" in settings.app:
        origins = [settings.origins[row.attribute] for row in (Settings.app, Settings.factory)]
        raise OperatorError(
            f"{quoted(settings.app)} ({origins[0]}) is a factory that is called already, and factory "
            f"({origins[1]}) would call what it returns; leave out one of them"
        )


def _check_directory(settings: Settings) -> str:
    directory = working_directory(settings)
    origin = settings.origins[Settings.chdir.attribute]
    if not os.path.isdir(directory):
        raise OperatorError(f"{origin}: expected a directory, got {quoted(directory)}, which is none")
    if not os.access(directory, os.X_OK):
        raise OperatorError(f"{origin}: no permission to enter {quoted(directory)}")
    return directory


def _check_import_path(settings: Settings, directory: str) -> None:
    """Python passes over what is not there, and then says that a module is missing."""
    origin = settings.origins[Settings.pythonpath.attribute]
    for path in settings.pythonpath:
        if not os.path.exists(os.path.join(directory, path)):
            hint = "; each directory has an option of its own" if "," in path else ""
            raise OperatorError(
                f"{origin}: expected a directory, got {quoted(path)}, which is not there{hint}"
            )


def _check_bind(settings: Settings, directory: str) -> None:
    """One place is listened on once: with one protocol and one set of options."""
    origin = settings.origins[Settings.bind.attribute]
    seen: dict[str, str] = {}
    for text in settings.bind:
        address = parse_address(text)
        if address.is_file:
            address.path = os.path.normpath(os.path.join(directory, address.path))
        elif address.host and not address.port:
            continue  # each gets a port of its own
        if other := seen.get(address.place):
            what = f"{text} is given twice" if other == text else f"{other} and {text} are the same place"
            raise OperatorError(f"{origin}: {what}")
        seen[address.place] = text


def _check_peers(settings: Settings) -> None:
    """A listener that nobody may speak to is a mistake."""
    for text in settings.bind:
        address = parse_address(text)
        lists = {
            "uwsgi": Settings.uwsgi_allow_from,
            "fastcgi": Settings.fastcgi_allow_from,
            "scgi": Settings.scgi_allow_from,
        }
        rows = [lists[address.scheme]] if address.scheme in lists else []
        if address.proxy:
            rows.append(Settings.proxy_allow_from)
        for row in rows:
            peers = getattr(settings, row.attribute)
            if not _may_come(peers, address):
                raise OperatorError(
                    f"nobody could use {text} ({settings.origins[Settings.bind.attribute]}), because "
                    f"{row.name} is {' '.join(peers)} ({settings.origins[row.attribute]})"
                )


def _may_come(peers: Collection[str], address: Address) -> bool:
    """Say whether any of `peers` can reach `address`; of an inherited one only its opener knows the sort."""
    others = set(peers) - {"unix", "none"}
    if "*" in others:
        return True
    is_internet = bool(others) and not address.path
    return is_internet or ("unix" in peers and not address.host)


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


def _check_log(settings: Settings, row: Setting[str], directory: str) -> None:
    if not (isinstance(row.kind, LogFile) and row.kind.is_file(settings.values[row.attribute])):
        return
    path = os.path.join(directory, settings.values[row.attribute])
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except OSError as error:
        origin = settings.origins[row.attribute]
        raise OperatorError(f"{origin}: cannot write {quoted(path)}: {error.strerror}") from None
