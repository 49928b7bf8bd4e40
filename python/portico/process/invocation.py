"""How this program was called, so that a reload can call it again, to read the configuration anew."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What systemd says of the sockets that it passes on is for one process only (sd_listen_fds(3)); what that
# starts must not see it.
ACTIVATION_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")


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
    return Invocation([sys.executable, *sys.orig_argv[1:]], _directory(), environment, umask)


def _directory() -> str:
    # Here, because supervised processes have this module too, but are not asked.
    from portico.config.working_directory import logical_directory

    try:
        return logical_directory()
    except OSError:
        return ""
