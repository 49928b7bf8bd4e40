"""How a socket is called while the service manager keeps it (FDNAME= of sd_notify(3)).

portico.listener.INODE                 a socket; the number is its own, as long as anybody has it open
portico.listener.INODE.DEVICE.FILE     a Unix socket with a file, and the numbers of that

Both numbers are nobody else's as long as the socket is open, which keeps the file's, too.
"""

from __future__ import annotations

import os

_PREFIX = "portico.listener."

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Listener


def stored_name(listener: Listener) -> str:
    """Return the name of the socket of `listener`."""
    return _PREFIX + ".".join(
        str(part) for part in (os.fstat(listener.fd).st_ino, *(listener.identity or ()))
    )


def is_stored_name(name: str) -> bool:
    """Whether `name` is one that portico gives."""
    return name.startswith(_PREFIX)


def number_of(name: str) -> int | None:
    """Return the number of the socket in a stored `name`."""
    return next(iter(_numbers(name)), None)


def file_of(name: str) -> tuple[int, ...]:
    """Return device and inode of the file in a stored `name`; nothing if it has none."""
    return _numbers(name)[1:]


def _numbers(name: str) -> tuple[int, ...]:
    parts = name.removeprefix(_PREFIX).split(".")
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit())
