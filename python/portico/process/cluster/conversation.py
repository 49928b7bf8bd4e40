"""One connection to the runtime API of an HAProxy: a line of commands, and all that it says to them.

Nothing here waits: a connection that is not over in time has failed, as any other that comes to nothing
(HAProxy's Management Guide, "Unix Socket commands").
"""

from __future__ import annotations

import _socket
import errno
import os
import select

from portico.process.cluster.places import family_of, own_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.cluster.places import Place
    from portico.process.loop import Loop

_PATIENCE_S = 3.0
_READ_BYTES = 1 << 16
# Of a backend with thousands of servers; who says more is no HAProxy.
_MOST_BYTES = 8 << 20


class Conversation:
    """Sends `line` to `place`, from now on. Once it `is_over` there is a `reply`, or a `failure`.

    `until_s` is when patience ends: it is to be told of that by `look`. `end` is our end of the connection.
    """

    __slots__ = (
        *("_connection", "_is_connected", "_loop", "_received", "_unsent"),
        *("end", "failure", "is_over", "until_s"),
    )

    def __init__(self, loop: Loop, place: Place, line: str, *, now_s: float) -> None:
        self._loop = loop
        self._unsent = f"{line}\n".encode()
        self._received = b""
        self._is_connected = False
        self.until_s = now_s + _PATIENCE_S
        self.is_over = False
        self.failure = ""
        self.end: Place = ("", 0)
        # Until it is over.
        self._connection: _socket.socket | None = None
        try:
            self._connection = _socket.socket(family_of(place), _socket.SOCK_STREAM)
            self._connection.setblocking(False)
            error = self._connection.connect_ex(place if place[1] else place[0])
        except OSError as raised:
            # No descriptors, no IPv6, a path that is too long, which has no number.
            self._fail(raised.strerror or str(raised))
            return
        if error in (0, errno.EINPROGRESS):
            loop.watch(self._connection.fileno(), self._send, when=select.POLLOUT)
        else:
            # EAGAIN is a Unix socket whose queue is full.
            self._fail(os.strerror(error))

    @property
    def reply(self) -> str:
        """All that HAProxy has said."""
        return self._received.decode(errors="replace")

    def look(self, now_s: float) -> None:
        """Give up if the time is over."""
        if not self.is_over and now_s >= self.until_s:
            self._fail(f"expected a response within {_PATIENCE_S:g} s, got none")

    def close(self) -> None:
        """In a forked process: let go of it."""
        if self._connection is not None:
            self._connection.close()

    def _send(self, now_s: float) -> None:
        assert self._connection is not None, "watched only while it lasts"
        if not self._is_connected:
            if error := self._connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
                self._fail(os.strerror(error))
                return
            self._is_connected = True
            self.end = own_end(self._connection)
        try:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(str(error.strerror))
            return
        if not self._unsent:
            self._loop.watch(self._connection.fileno(), self._receive)

    def _receive(self, now_s: float) -> None:
        assert self._connection is not None, "watched only while it lasts"
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(str(error.strerror))
            return
        self._received += data
        if not data:
            self._end()
        elif len(self._received) > _MOST_BYTES:
            self._fail(f"expected at most {_MOST_BYTES} bytes of a response, got more")

    def _fail(self, why: str) -> None:
        self.failure = why
        self._end()

    def _end(self) -> None:
        self.is_over = True
        if self._connection is not None:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._connection = None
