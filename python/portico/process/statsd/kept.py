"""What a receiver has had, in a file without a name that each pushing process goes on from.

The supervisor has it open, and hands its descriptor on. A process may be killed while it writes: what is
written has a place of its own, and counts once the first bytes of the file say so, in one write.
"""

from __future__ import annotations

import marshal
import os

from portico.process.plan import MARSHAL_FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEAD_BYTES = 16
_NUMBER_BYTES = 8
# Two places, far from each other: what is between them takes no memory.
_PLACES = (1 << 12, 1 << 30)


def open_kept() -> int:
    """Return the descriptor of an empty one. Raises OSError."""
    try:
        return os.memfd_create("portico-statsd")
    except (AttributeError, OSError):
        # A sandbox may not allow it.
        return os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


def read_kept(fd: int) -> dict[str, Any] | None:
    """Return what was written last; None if nothing was."""
    head = os.pread(fd, _HEAD_BYTES, 0)
    place, length = (int.from_bytes(head[at : at + _NUMBER_BYTES], "little") for at in (0, _NUMBER_BYTES))
    if not length:
        return None
    record: dict[str, Any] = marshal.loads(os.pread(fd, length, _PLACES[place]))
    return record


def write_kept(fd: int, record: dict[str, Any]) -> None:
    """Write `record` in the place of the one before. Raises OSError."""
    data = marshal.dumps(record, MARSHAL_FORMAT)
    place = 1 - int.from_bytes(os.pread(fd, _NUMBER_BYTES, 0), "little")
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:], _PLACES[place] + written)
    os.pwrite(fd, place.to_bytes(_NUMBER_BYTES, "little") + len(data).to_bytes(_NUMBER_BYTES, "little"), 0)
