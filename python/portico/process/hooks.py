"""The hooks of the module that `hooks` names: it is imported, one is called, and nothing comes of it.

Runs in a worker, and in the processes that the supervisor forks for its own (`hook_processes.py`), where the
directory of the application has been entered. What a hook raises is logged.
"""

from __future__ import annotations

import time

from portico import log
from portico.errors import OperatorError
from portico.hooks import Server, Worker
from portico.process.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from portico.process.plan import Plan

# What a function returns that has only been begun, by the name of its type.
_UNRUN = {
    "coroutine": "a coroutine",
    "generator": "a generator",
    "async_generator": "an asynchronous generator",
}
LONG_S = 5.0
"""From when on the log says that a hook takes long."""


def named(plan: Plan, name: str) -> str:
    """Return how a sentence names the hook `name`."""
    return f"the hook {name} of {plan.settings.hooks}"


def run_in_worker(plan: Plan, name: str, server: Server, worker: Worker) -> None:
    """In a worker whose directory was entered: call the hook `name`, if there is one."""
    if name not in plan.hooks:
        return
    began_at_s = time.monotonic()
    run_hook(plan, name, (server, worker))
    elapsed_s = time.monotonic() - began_at_s
    if elapsed_s > LONG_S:
        log.warning(f"{named(plan, name)} has taken {elapsed_s:.1f} s")


def server_of(plan: Plan, *, pid: int, workers: int, generation: int) -> Server:
    """Return what hooks are told of the server."""
    addresses = tuple(listener.display for listener in plan.listeners)
    return Server(plan.name, pid=pid, addresses=addresses, workers=workers, generation=generation)


def load_hooks(module: str, directory: str) -> ModuleType:
    """Return the module of the hooks; raises OperatorError, or whatever it raises itself."""
    from portico.app_loader.modules import import_file, import_named
    from portico.app_loader.name import names_file

    return import_file(module, directory) if names_file(module) else import_named(module)


def run_hook(plan: Plan, name: str, arguments: tuple[object, ...]) -> bool:
    """Call the hook; say whether that went well. What it raises, SystemExit included, ends nothing."""
    try:
        hook = getattr(load_hooks(plan.settings.hooks, plan.directory), name, None)
        if hook is not None:
            return _has_run(plan, name, hook(*arguments))
    except OperatorError as error:
        log.error(f"{named(plan, name)} cannot be called: {error.message}")
        return False
    except BaseException as error:
        log.error(f"{named(plan, name)} has raised\n{traceback_of(error)}")
        return False
    return True


def _has_run(plan: Plan, name: str, returned: Any) -> bool:
    what = _UNRUN.get(type(returned).__name__)
    if what is None:
        return True
    if hasattr(returned, "close"):
        # Else a coroutine says so itself when it is let go of.
        returned.close()
    log.error(f"{named(plan, name)} has returned {what}, of which nothing has run: expected a plain function")
    return False
