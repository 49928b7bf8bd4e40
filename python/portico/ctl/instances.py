"""Finds the server that is meant: by socket, pid file, name or configuration, or as the only one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from portico.config.find_file import find_file
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN, resolve
from portico.config.working_directory import working_directory
from portico.ctl.connection import EXIT_NOT_RUNNING, ask
from portico.ctl.pools import control_of
from portico.errors import OperatorError, quoted
from portico.process.control.opening import is_own, run_directory, sockets_in
from portico.process.pid_file import read_pid

# For a server of which nothing is asked but who it is.
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A server that runs: its control socket, and what it says of itself."""

    path: str
    pid: int
    name: str
    app: str
    directory: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, in {self.directory}, {self.path})"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says of the server that is meant; empty is nothing."""

    socket: str = ""
    pid_file: str = ""
    name: str = ""
    config: str | None = None
    app: str = ""


def find_socket(wish: Wish) -> str:
    """Return the control socket of the server that is meant. Raises OperatorError if that is not one."""
    if wish.socket:
        return wish.socket
    if wish.pid_file:
        pid = _read(wish.pid_file)
        return _only(_running(), lambda each: each.pid == pid, f"with the process id {pid}").path
    if wish.name:
        return _only(_running(), lambda each: each.name == wish.name, f"called {quoted(wish.name)}").path
    try:
        settings = _configured(wish)
    except OperatorError as error:
        if here := _only_here(wish):
            return here.path
        raise OperatorError(
            f"{error.message}\n--name, --pid-file or --socket says which server, whatever its configuration",
            exit_code=error.exit_code,
        ) from None
    if settings is None:
        return _only(_running(), lambda each: True, "").path
    directory = working_directory(settings)
    if settings.control == "off":
        raise OperatorError(f"control is off ({settings.origins['control']}): there is no socket to ask at")
    if settings.control != "auto":
        return os.path.join(directory, settings.control)
    if settings.pid_file != "off":
        pid = _read(os.path.join(directory, settings.pid_file))
        return _only(_running(), lambda each: each.pid == pid, f"with the process id {pid}").path
    has_name = settings.origins["name"] != DEFAULT_ORIGIN

    def is_meant(each: Instance) -> bool:
        if each.directory != directory:
            return False
        if has_name:
            return each.name == settings.name
        return not settings.app or each.app == settings.app

    return _only(
        _running(), is_meant, f"of the configuration here, for {settings.name or settings.app or directory}"
    ).path


def pool_socket(path: str, name: str) -> str:
    """Return the control socket of the pool `name` of the server at `path`. Raises OperatorError."""
    pools = ask(path, "status", timeout_s=_PATIENCE_S).get("pools", ())
    pool = next((pool for pool in pools if pool["name"] == name), None)
    if pool is None:
        names = ", ".join(pool["name"] for pool in pools)
        there = f"one of {names}" if names else "none, since the server has no pools"
        raise OperatorError(f"--pool: expected {there}, got {quoted(name)}")
    return control_of(pool)


def _only_here(wish: Wish) -> Instance | None:
    """Return the one server of this folder, if nothing else is said: its file may be wrong while it runs."""
    if wish.config is not None or wish.app:
        return None
    here = [each for each in _running() if each.directory == os.getcwd()]
    return here[0] if len(here) == 1 else None


def _configured(wish: Wish) -> Settings | None:
    """Return the settings that a start here would have, if a file or an application is named."""
    file = find_file(wish.config, os.environ)
    if file is None and not wish.app and not os.environ.get("PORTICO_APP"):
        return None
    return resolve({"app": [wish.app]} if wish.app else {}, os.environ, file)


def _running() -> list[Instance]:
    """Return the servers of this user that can be asked."""
    found: list[Instance] = []
    directory = run_directory(os.environ, os.geteuid())
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(sockets_in(directory)) if is_own(directory) else ():
            # One that was killed has left it, or it ends just now.
            with contextlib.suppress(OperatorError):
                said = ask(path, "status", timeout_s=_PATIENCE_S)
                found.append(Instance(path, said["pid"], said["name"], said["app"], said["directory"]))
    return found


def _only(running: list[Instance], is_meant: Callable[[Instance], bool], which: str) -> Instance:
    meant = [each for each in running if is_meant(each)]
    if len(meant) == 1:
        return meant[0]
    lines = "".join(f"\n  {each}" for each in meant or running)
    words = f" {which}" if which else ""
    if meant:
        raise OperatorError(f"there are {len(meant)} servers{words}; --name or --socket says which:{lines}")
    others = f"; there is:{lines}" if running else ""
    raise OperatorError(f"no server{words} can be reached{others}", exit_code=EXIT_NOT_RUNNING)


def _read(path: str) -> int:
    try:
        return read_pid(path)
    except OSError as error:
        raise OperatorError(
            f"cannot read the process id in {quoted(path)}: {error.strerror}", exit_code=EXIT_NOT_RUNNING
        ) from None
    except ValueError:
        raise OperatorError(f"expected a process id in {quoted(path)}, got something else") from None
