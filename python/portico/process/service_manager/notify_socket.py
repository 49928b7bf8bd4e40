"""The socket at which a service manager listens, of file or abstract kind (NOTIFY_SOCKET of sd_notify(3))."""

from __future__ import annotations

import errno
import os

from portico import _core, log
from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Between two tries while it has no room.
_PAUSE_S = 0.25
# A service manager that reads nothing for so many messages has had its chance.
_MOST_UNSENT = 64
# What there may be enough of a moment later.
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class NotifySocket(Duty):
    """Sends messages in their order, and waits for nobody: what finds no room is sent later.

    A message takes a descriptor for a moment. One is kept for that: a supervisor that has no other is to
    feed the watchdog all the same.
    """

    __slots__ = ("_address", "_has_failed", "_next_s", "_spare_fd", "_unsent")

    def __init__(self, address: str) -> None:
        self._address = os.fsencode(address)
        self._unsent: list[tuple[bytes, Sequence[int]]] = []
        self._next_s = 0.0
        self._has_failed = False
        self._spare_fd = -1
        self._spare()
        os.register_at_fork(after_in_child=self._use_spare)

    def send(self, *assignments: str, fds: Sequence[int] = ()) -> None:
        """Send one message of `assignments` such as READY=1, and `fds` with it, which are to stay open."""
        self._unsent.append(("\n".join(assignments).encode(), fds))
        del self._unsent[:-_MOST_UNSENT]
        self._send_all()

    def look(self, now_s: float) -> None:
        if self._unsent and now_s >= self._next_s:
            self._send_all()
            self._next_s = now_s + _PAUSE_S

    def due_s(self) -> float | None:
        return self._next_s if self._unsent else None

    def _send_all(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            self._use_spare()
            try:
                _core.send_datagram(self._address, data, fds)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(error)
                if error.errno in _SHORTAGES:
                    return
            else:
                self._has_failed = False
            finally:
                self._spare()
            del self._unsent[0]

    def _spare(self) -> None:
        try:
            self._spare_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._spare_fd = -1

    def _use_spare(self) -> None:
        if self._spare_fd >= 0:
            os.close(self._spare_fd)
            self._spare_fd = -1

    def _failed(self, error: OSError) -> None:
        """Say once that nobody hears; what comes later may be heard."""
        if not self._has_failed:
            self._has_failed = True
            address = os.fsdecode(self._address)
            log.warning(f"NOTIFY_SOCKET: cannot tell the service manager at {address}: {error.strerror}")
