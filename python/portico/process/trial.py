"""`portico check`: all that a start would find out, and nothing served.

Runs in the process of the command line; the application is imported in a child of its own, under the import
path, the environment and the interpreter's options that a worker would have.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from portico.config.accounts import identity_of
from portico.config.addresses import parse_address
from portico.config.check import check
from portico.config.hook_module import hooks_of
from portico.config.identity import Identity
from portico.config.routes.table import Routes
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import EXIT_APPLICATION, EXIT_USAGE, BindError, OperatorError, after_colon
from portico.process.handed_file import write_file
from portico.process.hooks import load_hooks
from portico.process.import_path import import_path
from portico.process.inherited import read_activation
from portico.process.invocation import this_invocation
from portico.process.launch import absolute, interpreter_options
from portico.process.loading import EXIT_LOADED, load_in, prepare_event_loop
from portico.process.privilege_trial import try_privileges
from portico.process.privileges import give_up
from portico.process.sockets import bind_all
from portico.process.tracebacks import traceback_of

_BOOTSTRAP = (
    "import marshal, sys; file = open(int(sys.argv.pop(1)), 'rb'); sys.path[:], plan = marshal.load(file); "
    "file.close(); from portico.process.trial import load_by_values; load_by_values(*plan)"
)


def try_out(settings: Settings) -> list[str]:
    """Return what was found to be fine, or worth a look, a sentence each.

    Raises OperatorError with all that would keep `settings` from being served: addresses and the application
    are tried even where the other fails. An address that is in use is none: the server that runs with these
    settings may be what uses it.
    """
    check(settings)
    fine: list[str] = []
    wrong: list[OperatorError] = []
    # A pool has its socket of the server, and the server its applications in pools.
    attempts: list[Callable[[Settings], str]] = [
        *(_addresses(settings) if settings.pool is None else ()),
        _privileges,
        _hooks,
        _logging,
        *([_application] if settings.pools is None else []),
    ]
    for attempt in attempts:
        try:
            fine += filter(None, [attempt(settings)])
        except OperatorError as error:
            wrong.append(error)
            if attempt is _privileges:
                break  # nobody is there to load the application
    if wrong:
        # Who asks wants to know whether it is the application.
        exit_code = EXIT_APPLICATION if wrong[0].exit_code == EXIT_APPLICATION else EXIT_USAGE
        raise OperatorError("\n".join(error.message for error in wrong), exit_code=exit_code)
    return fine


def _addresses(settings: Settings) -> Iterator[_Address]:
    for text in settings.bind:
        yield _Address(text, Settings.bind.flags[-1])
    if settings.admin_bind != "off":
        yield _Address(settings.admin_bind, Settings.admin_bind.flags[-1])


class _Address:
    """One address to be tried; `option` is how another one would be given."""

    def __init__(self, text: str, option: str) -> None:
        self._text = text
        self._option = option

    def __call__(self, settings: Settings) -> str:
        address = absolute(parse_address(self._text), working_directory(settings))
        activation = read_activation(os.environ, pid=os.getpid())
        try:
            listeners = bind_all(
                [address], backlog=settings.backlog, activation=activation, option=self._option
            )
        except BindError as error:
            if not error.is_in_use:
                raise
            return f"{self._text} is in use, which is fine if it is by this server"
        if not address.is_inherited:
            for listener in listeners:
                listener.close()
        return f"{self._text} can be listened on"


def _privileges(settings: Settings) -> str:
    return try_privileges(settings, working_directory(settings))[1]


def _hooks(settings: Settings) -> str:
    return "\n".join(hooks_of(settings, working_directory(settings))[1])


def _logging(settings: Settings) -> str:
    if not settings.logconfig:
        return ""
    # Here, because few have it.
    from portico.process.python_logging.trial import try_logconfig

    return "\n".join(try_logconfig(settings, interpreter_options())[1])


def _application(settings: Settings) -> str:
    identity = identity_of(settings)
    numbers: list[Any] = []
    if identity is not None:
        numbers += (getattr(identity, name) for name in Identity.FIELDS)
    values = (settings.values, settings.origins, settings.routes)
    plan: tuple[Any, ...] = (working_directory(settings), values, numbers)
    plan_fd = write_file(marshal.dumps((import_path(dict(settings.env)), plan)))
    command = [sys.executable, *interpreter_options(), "-c", _BOOTSTRAP, str(plan_fd), "portico"]
    variables = this_invocation().variables(dict(settings.env))
    try:
        done = subprocess.run(
            command,
            env=variables,
            pass_fds=[plan_fd],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )
    finally:
        os.close(plan_fd)
    said = done.stderr.strip("\n")
    if done.returncode == EXIT_LOADED:
        return said.rpartition("\n")[2]
    if done.returncode < 0:
        said = f"{said}\nthe import ended by signal {-done.returncode}".lstrip("\n")
    elif done.returncode != EXIT_APPLICATION or not said:
        said = f"{said}\nthe import ended the process with exit code {done.returncode}".lstrip("\n")
    raise OperatorError(f"cannot load {_names(settings)}{after_colon(said)}", exit_code=EXIT_APPLICATION)


def _names(settings: Settings) -> str:
    applications = Routes.load(settings.routes).applications if settings.routes else []
    return ", ".join(action.values["app"] for action in applications) or settings.app


def load_by_values(
    directory: str, values: tuple[dict[str, Any], dict[str, str], list[Any]], numbers: list[Any]
) -> None:
    """In the child: `load_or_exit` by what has crossed the exec."""
    load_or_exit(directory, Settings(*values), Identity(*numbers) if numbers else None)


def load_or_exit(directory: str, settings: Settings, identity: Identity | None) -> None:
    """Load the application as a worker would, say its name, and end at once, whatever it has started."""
    code = EXIT_LOADED
    try:
        give_up(settings, identity, directory)
        prepare_event_loop(directory, settings)
        loaded = load_in(directory, settings)
        said = f"{loaded.title} can be called" if settings.app else "no application is needed"
        if settings.hooks:
            load_hooks(settings.hooks, directory)
    except OperatorError as error:
        said, code = error.message, EXIT_APPLICATION
    except BaseException as error:
        said, code = "\n" + traceback_of(error), EXIT_APPLICATION
    print(said, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)
