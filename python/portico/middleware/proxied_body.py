"""The body of a request on its way to an upstream, sent while the response is waited for.

Receives the blocks of a body and the socket of an upstream; hands on the file that `http.client` reads the
response from. An upstream may respond before it has the whole request, and take no more of it until its own
bytes are taken. So who waits for bytes of the response goes on sending, and who cannot send looks for bytes:
one thread does both.
"""

from __future__ import annotations

import io
import select
from ssl import SSLWantReadError, SSLWantWriteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from typing import Any

_WOULD_BLOCK = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class RequestBody:
    """What is left of a body to be sent; `blocks` are in their framing.

    `is_over` once nothing more is sent, `is_whole` if that is because all was. `failure` is what `blocks`
    raised.
    """

    def __init__(self, connected: socket.socket, blocks: Iterator[bytes]) -> None:
        self.is_over = False
        self.is_whole = False
        self.failure: BaseException | None = None
        self._socket = connected
        self._timeout_s = connected.gettimeout()
        self._blocks = blocks
        self._unsent = memoryview(b"")
        connected.setblocking(False)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what the response is read from; `http.client` takes this object for the socket."""
        return io.BufferedReader(_Reader(self._socket.makefile("rb", buffering=0), self))

    def send_some(self) -> bool:
        """Send as much as goes at once; false if that is nothing."""
        try:
            if not self._unsent:
                self._unsent = memoryview(next(self._blocks))
        except StopIteration:
            self._end(is_whole=True)
            return True
        except BaseException as error:
            self.failure = error
            raise
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except _WOULD_BLOCK:
            return False
        except OSError:
            # Who has closed may have responded before.
            self._end(is_whole=False)
        return True

    def wait(self) -> None:
        """Wait until something can be sent or read; raises TimeoutError."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        if not poll.poll(None if self._timeout_s is None else self._timeout_s * 1000):
            raise TimeoutError("timed out")

    def _end(self, *, is_whole: bool) -> None:
        self.is_over, self.is_whole = True, is_whole
        self._socket.settimeout(self._timeout_s)


class _Reader(io.RawIOBase):
    """The bytes of the response."""

    def __init__(self, raw: Any, body: RequestBody) -> None:
        self._raw = raw
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._body.is_over:
            if self._body.send_some():
                continue
            try:
                count = self._raw.readinto(buffer)
            except _WOULD_BLOCK:
                count = None
            if count is not None:
                return int(count)
            self._body.wait()
        return int(self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()
