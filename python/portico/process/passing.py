"""Sending a message with descriptors to another process (SCM_RIGHTS, unix(7)). Loaded with `preload`."""

from __future__ import annotations

import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def send_descriptors(fd: int, data: bytes, fds: Iterable[int] = ()) -> None:
    """Send `data` and `fds` through the Unix socket `fd`, for `_core.receive_descriptors`. Raises OSError."""
    numbers = b"".join(each.to_bytes(4, sys.byteorder) for each in fds)
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)] if numbers else []
    channel = _socket.socket(fileno=fd)
    try:
        # Without SIGPIPE, which an application may have given its default effect.
        channel.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)
    finally:
        channel.detach()
