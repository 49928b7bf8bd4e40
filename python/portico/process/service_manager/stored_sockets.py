"""Sockets that the service manager has kept for this start, matched to addresses (`descriptor_store.py`).

Runs in the process of the command line. Receives what was passed on under our names, hands on sockets that
listen where an address asks for it; what nobody asks for is closed, and given back.
"""

from __future__ import annotations

import os

from portico import _core
from portico.process.plain_socket import Socket
from portico.process.service_manager.stored_name import file_of, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# How long the service manager may take until it has closed what it is given back.
_PATIENCE_MS = 1000


class StoredSockets:
    """Descriptors by number, with the names that they were stored under; `notify_socket` leads to who keeps
    them.
    """

    __slots__ = ("_names", "_notify_socket")

    def __init__(self, names: Mapping[int, str], notify_socket: str) -> None:
        self._names = {fd: name for fd, name in names.items() if _is_there(fd, name)}
        self._notify_socket = os.fsencode(notify_socket)

    def __bool__(self) -> bool:
        """Whether there are any that nobody has taken."""
        return bool(self._names)

    def take(self, fits: Callable[[Socket], bool]) -> Socket | None:
        """Return the first socket that `fits`, which is the caller's from then on."""
        for fd in self._names:
            found = Socket(fileno=fd)
            if fits(found):
                del self._names[fd]
                return found
            found.detach()
        return None

    def take_at(self, path: str) -> Socket | None:
        """Return the Unix socket whose file is still the one at `path`."""
        try:
            there = os.lstat(path)
        except OSError:
            return None
        file = there.st_dev, there.st_ino
        return self.take(lambda one: one.getsockname() == path and file_of(self._names[one.fileno()]) == file)

    def give_back(self) -> None:
        """Close what was not taken, and have it kept no longer: connections would wait there for nobody.

        Returns when that is done, since another socket at the same address could not be bound before.
        """
        if not self._names:
            return
        for fd, name in self._names.items():
            os.close(fd)
            self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")
        self._names.clear()
        # Here, because few were restarted with any.
        import select

        # Closed by the service manager once it has done all that it was told before (sd_notify_barrier(3)).
        read_fd, write_fd = os.pipe()
        self._send("BARRIER=1", write_fd)
        os.close(write_fd)
        poll = select.poll()
        poll.register(read_fd, 0)
        poll.poll(_PATIENCE_MS)
        os.close(read_fd)

    def _send(self, message: str, *fds: int) -> None:
        try:  # noqa: SIM105 - contextlib takes longer than what is done here
            _core.send_datagram(self._notify_socket, message.encode(), fds)
        except OSError:
            pass


def _is_there(fd: int, name: str) -> bool:
    """Whether `fd` is what was stored under `name`: it may be promised and not be there."""
    try:
        return number_of(name) == os.fstat(fd).st_ino
    except OSError:
        return False
