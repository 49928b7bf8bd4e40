"""What crosses the exec from command line to supervisor: settings, sockets, how many workers and why.

The writer and the reader are the same interpreter, so `marshal`, which is built in, does; `json` would cost
the supervised processes 1.2 MB of memory for one line of text.
"""

from __future__ import annotations

import marshal
import os

from portico.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Listener:
    """A listening socket: descriptor, how a user would write it, and the file to remove of a Unix one."""

    __slots__ = ("device", "display", "fd", "inode", "path")

    def __init__(self, fd: int, display: str, *, path: str = "", device: int = 0, inode: int = 0) -> None:
        self.fd = fd
        self.display = display
        self.path = path
        self.device = device
        self.inode = inode

    def close(self) -> None:
        """Stop listening here, and remove the socket's file unless someone has put another in its place."""
        os.close(self.fd)
        if not self.path:
            return
        try:
            found = os.stat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(self.path)
        except OSError:
            pass  # already gone, or the directory is no longer ours to change


class Plan:
    """All that the supervisor is told. `started_at_s` is on the monotonic clock, which outlives an exec."""

    __slots__ = ("directory", "listeners", "settings", "started_at_s", "worker_count", "worker_reason")

    def __init__(
        self,
        settings: Settings,
        listeners: list[Listener],
        *,
        directory: str,
        worker_count: int,
        worker_reason: str,
        started_at_s: float,
    ) -> None:
        self.settings = settings
        self.listeners = listeners
        self.directory = directory
        self.worker_count = worker_count
        self.worker_reason = worker_reason
        self.started_at_s = started_at_s


def dump_plan(plan: Plan) -> bytes:
    """Return `plan` as bytes for `load_plan`."""
    record: dict[str, Any] = {name: getattr(plan, name) for name in Plan.__slots__}
    record["settings"] = (plan.settings.values, plan.settings.origins)
    record["listeners"] = [
        (listener.fd, listener.display, listener.path, listener.device, listener.inode)
        for listener in plan.listeners
    ]
    return marshal.dumps(record)


def load_plan(data: bytes) -> Plan:
    """Return the plan that `dump_plan` wrote; for bytes from this very program only."""
    record: dict[str, Any] = marshal.loads(data)
    settings = Settings(*record.pop("settings"))
    listeners = [
        Listener(fd, display, path=path, device=device, inode=inode)
        for fd, display, path, device, inode in record.pop("listeners")
    ]
    return Plan(settings, listeners, **record)
