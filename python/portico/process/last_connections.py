"""Lets no further connection into the queue of a socket that is about to be closed; those in it are served.

Closing a socket resets whatever waits in its queue. Without this, a connection that comes between a worker's
last look at the queue and the last close would be one of these. Runs in the supervisor, before it tells the
workers to finish, and only on sockets that nobody has after it: a socket stays so.
"""

from __future__ import annotations

from portico import log
from portico.errors import reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from portico.process.plan import Listener

# <asm-generic/socket.h>
_SO_ATTACH_FILTER = 26
# <linux/filter.h>: the byte at 13 of the TCP header has the flags; with SYN the segment is dropped, else it
# passes whole. Who has sent it asks again a second later, and is refused then.
_FILTER = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def let_nobody_in(listener: Listener) -> None:
    """Connections that are asked for from now on do not come about. The socket is of no use after it."""
    if listener.address.is_inherited or listener.is_stored:
        return  # somebody else has it, too, and goes on to use it
    try:
        _shut(listener)
    except (OSError, ImportError) as error:
        # No descriptor may be left to read a module with, or those of another Python be there: the end comes
        # all the same.
        log.debug(f"{listener.display}: connections may come until it is closed: {reason_of(error)}")


def _shut(listener: Listener) -> None:
    # Needed at the end only, and not small.
    import _socket

    queue = _socket.socket(fileno=listener.fd)
    try:
        if listener.address.path:
            # Of a Unix socket this is all: the next one is refused, and accept(2) returns those of before.
            queue.shutdown(_socket.SHUT_RD)
        else:
            _filter(queue)
    finally:
        queue.detach()


def _filter(queue: _socket.socket) -> None:
    import struct
    from _socket import SOL_SOCKET
    from array import array

    steps = array("B", b"".join(struct.pack("=HBBI", *step) for step in _FILTER))
    # struct sock_fprog; the kernel makes a copy of what it points to.
    program = struct.pack("@HP", len(_FILTER), steps.buffer_info()[0])
    queue.setsockopt(SOL_SOCKET, _SO_ATTACH_FILTER, program)
