"""Who watches: a bounded number, each on a thread of the admin process, sent a snapshot a second.

The format is that of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html):

    history    the points of the last minutes, once at the beginning
    snapshot   what is now, once a second; that the supervisor is silent, too
    end        the process is about to leave: whoever comes again finds the next one
"""

from __future__ import annotations

import time
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.admin.dashboard.snapshots import Snapshots
    from portico.types import Environ

MOST_WATCHERS = 8
# After which a client comes again.
_RETRY_MS = 1000
_PERIOD_S = 1.0
# How long one that has left, or a process that is to leave, goes unnoticed.
_LOOK_S = 0.2


class Watchers:
    """How many there are."""

    def __init__(self, most: int = MOST_WATCHERS) -> None:
        self.most = most
        self._count = 0
        self._lock = allocate_lock()

    def enter(self) -> bool:
        """Take a place; say whether there was one."""
        with self._lock:
            if self._count >= self.most:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self._count -= 1


class Watch:
    """The body of the response to one watcher, who has a place of `watchers`."""

    def __init__(self, snapshots: Snapshots, watchers: Watchers, environ: Environ) -> None:
        self._snapshots = snapshots
        self._watchers = watchers
        self._is_draining = environ["portico.draining"]
        self._is_gone = environ["portico.disconnected"]
        self._due_s: float | None = None
        self._is_over = False
        self._has_place = True

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> bytes:
        if self._due_s is None:
            self._due_s = time.monotonic()
            return b"retry: %d\n\n" % _RETRY_MS + event("history", self._snapshots.history())
        if self._is_over or self._is_gone():
            raise StopIteration
        while (left_s := self._due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_S))
            if self._is_gone():
                raise StopIteration
            if self._is_draining():
                self._is_over = True
                return event("end", b"{}")
        self._due_s = max(self._due_s, time.monotonic() - _PERIOD_S) + _PERIOD_S
        return event("snapshot", self._snapshots.latest())

    def close(self) -> None:
        """Called by the server, whatever has become of the response."""
        if self._has_place:
            self._has_place = False
            self._watchers.leave()


def event(name: str, data: bytes) -> bytes:
    """Return one event; `data` is a line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data.rstrip(b"\n"))
