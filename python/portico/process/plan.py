"""What crosses the exec from command line to supervisor: settings, sockets, how many workers and why.

The writer and the reader are the same interpreter, so `marshal`, which is built in, does; `json` would cost
the supervised processes 1.2 MB of memory for one line of text.
"""

from __future__ import annotations

import marshal
import os

from portico.config.addresses import Address, parse_address
from portico.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Listener:
    """A listening socket: its descriptor, the address with all options, and how log lines name it.

    `identity` is device and inode of the file that was made for it; an inherited socket has none.
    """

    __slots__ = ("address", "display", "fd", "identity")

    def __init__(
        self, fd: int, address: Address, display: str, *, identity: tuple[int, int] | None = None
    ) -> None:
        self.fd = fd
        self.address = address
        self.display = display
        self.identity = identity

    def close(self) -> None:
        """Stop listening here, and remove the file that was made for it."""
        os.close(self.fd)
        self.remove_file()

    def remove_file(self) -> None:
        """Remove the file that was made for the socket, unless someone has put another in its place."""
        if self.identity is None:
            return
        try:
            found = os.lstat(self.address.path)
            if (found.st_dev, found.st_ino) == self.identity:
                os.unlink(self.address.path)
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

    @property
    def name(self) -> str:
        """What stands for the application in the titles of the processes."""
        return self.settings.name or self.settings.app


def dump_plan(plan: Plan) -> bytes:
    """Return `plan` as bytes for `load_plan`."""
    record: dict[str, Any] = {name: getattr(plan, name) for name in Plan.__slots__}
    record["settings"] = (plan.settings.values, plan.settings.origins)
    record["listeners"] = [
        (listener.fd, str(listener.address), listener.display, listener.identity)
        for listener in plan.listeners
    ]
    return marshal.dumps(record)


def load_plan(data: bytes) -> Plan:
    """Return the plan that `dump_plan` wrote; for bytes from this very program only."""
    record: dict[str, Any] = marshal.loads(data)
    settings = Settings(*record.pop("settings"))
    listeners = [
        Listener(fd, parse_address(text), display, identity=identity)
        for fd, text, display, identity in record.pop("listeners")
    ]
    return Plan(settings, listeners, **record)
