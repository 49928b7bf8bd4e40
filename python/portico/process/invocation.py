"""How this program was called, so that a reload can call it again, to read the configuration anew."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What systemd says of the sockets that it passes on is for one process only (sd_listen_fds(3)); what that
# starts must not see it.
COUNT_OF_ACTIVATION = "LISTEN_FDS"
ACTIVATION_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", COUNT_OF_ACTIVATION, "LISTEN_FDNAMES")
DRY_RUN_VARIABLE = "_PORTICO_DRY_RUN"
"""Says to a child that it makes a dry run (`dry_run.py`): the number of its end of the socketpair."""


class Invocation:
    """`command`, the interpreter first; the `directory` (links kept; empty if it was removed), the
    `environment` and the `umask` that it was called in.
    """

    __slots__ = ("command", "directory", "environment", "umask")

    def __init__(
        self, command: Sequence[str], directory: str, environment: Mapping[str, str], umask: int
    ) -> None:
        self.command = list(command)
        self.directory = directory
        self.environment = dict(environment)
        self.umask = umask

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of supervisor and workers, of whose settings `more` are.

        Variables for the application are set there from the start, so that those which the interpreter or the
        C library reads (PYTHONWARNINGS, MALLOC_ARENA_MAX) work too.
        """
        return {**self.environment, **more}


def this_invocation() -> Invocation:
    """Return how this process was called."""
    environment = {name: value for name, value in os.environ.items() if name not in ACTIVATION_VARIABLES}
    # It can only be read by setting it.
    umask = os.umask(0)
    os.umask(umask)
    return Invocation(_command(sys.executable, sys.orig_argv[1:]), _directory(), environment, umask)


def _command(interpreter: str, arguments: list[str]) -> list[str]:
    """Return what calls `arguments` again as they were called by `interpreter`.

    A script that names its interpreter is called by itself: the link by which it was reached may lead to
    another virtual environment next time, and its own interpreter is there.
    """
    if arguments and _names(arguments[0], interpreter):
        return arguments
    return [interpreter, *arguments]


def _names(path: str, interpreter: str) -> bool:
    """Say whether there is a program at `path` whose first lines name `interpreter`.

    Where its path is too long for the kernel, pip names it in the second line.
    """
    if os.sep not in path or not os.access(path, os.X_OK):
        return False
    try:
        with open(path, "rb") as script:
            head = script.readline(4096), script.readline(4096)
    except OSError:
        return False
    words = b" ".join((head[0].removeprefix(b"#!"), head[1])).split()
    return head[0].startswith(b"#!") and os.fsencode(interpreter) in words[:4]


def _directory() -> str:
    # Here, because supervised processes have this module too, but are not asked.
    from portico.config.working_directory import logical_directory

    try:
        return logical_directory()
    except OSError:
        return ""
