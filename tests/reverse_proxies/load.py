"""An honest client that asks on several kept connections at once, counts, and retries nothing.

Every response belongs to one request: a number, which has to come back. A response that did not come, or is
not the right one, is a failure, with the times that say what else was going on.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from support.waiting import wait_until

_HEAD = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: close\r\n", re.IGNORECASE)
_STALLED_S = 20.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without its right response."""

    number: int
    what: str
    sent_s: float
    ended_s: float


@dataclass(slots=True)
class _Talk:
    """One connection and its present request."""

    socket: socket.socket
    number: int = -1
    sent_s: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class Load:
    """A thread that asks as long as its context lasts, and until `least` requests have been sent."""

    def __init__(
        self, address: tuple[str, int], least: int, *, connections: int, request: Callable[[int], bytes]
    ) -> None:
        """`request` gives the bytes of request number N, whose response has to be `number N`."""
        self.responses = 0
        self.failures: list[Failure] = []
        self.began_s = 0.0
        self.ended_s = 0.0
        self._address = address
        self._connections = connections
        self._request = request
        self._least = least
        self._is_over = threading.Event()
        self._asked = 0
        self._poll = select.epoll()
        self._talks: dict[int, _Talk] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    @property
    def ended(self) -> int:
        """How many requests have ended, one way or the other."""
        return self.responses + len(self.failures)

    @property
    def rate(self) -> float:
        """Responses per second, on average."""
        return self.responses / (self.ended_s - self.began_s)

    def wait_for(self, more: int) -> None:
        """Wait until `more` requests have ended from now on."""
        enough = self.ended + more
        wait_until(
            lambda: self.ended >= enough or not self._thread.is_alive(),
            what=f"{more} requests",
            deadline_s=60,
        )

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self.began_s = time.monotonic()
        try:
            for _ in range(self._connections):
                self._open()
            while self._talks:
                ready = self._poll.poll(_STALLED_S)
                if not ready:
                    for talk in list(self._talks.values()):
                        self._fail(talk, f"no response in {_STALLED_S} s")
                for descriptor, _ in ready:
                    self._receive(self._talks[descriptor])
        except BaseException as error:
            self._error = error
        finally:
            self.ended_s = time.monotonic()
            self._poll.close()

    def _open(self) -> None:
        """Begin on a new connection, if there is still something to ask."""
        if self._has_enough():
            return
        connection = socket.create_connection(self._address, timeout=_STALLED_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = _Talk(connection)
        self._talks[connection.fileno()] = talk
        self._poll.register(connection, select.EPOLLIN)
        self._ask(talk)

    def _ask(self, talk: _Talk) -> None:
        if self._has_enough():
            self._close(talk)
            return
        talk.number = self._asked
        self._asked += 1
        talk.sent_s = time.monotonic()
        try:
            talk.socket.sendall(self._request(talk.number))
        except OSError as error:
            self._fail(talk, repr(error))

    def _has_enough(self) -> bool:
        return self._asked >= self._least and self._is_over.is_set()

    def _receive(self, talk: _Talk) -> None:
        try:
            data = talk.socket.recv(65536)
        except OSError as error:
            self._fail(talk, repr(error))
            return
        if not data:
            self._fail(talk, f"closed after {bytes(talk.received)!r}")
            return
        received = talk.received
        received += data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(received[: end + 2])
        status, length = _HEAD.match(head), _LENGTH.search(head)
        if status is None or length is None:
            self._fail(talk, f"a strange head: {head!r}")
            return
        if len(received) < end + 4 + int(length[1]):
            return
        body = bytes(received[end + 4 :])
        if status[1] != b"200" or body != b"number %d" % talk.number:
            self._fail(talk, f"status {status[1].decode()}, body {body[:100]!r}")
            return
        self.responses += 1
        received.clear()
        if _CLOSE.search(head):
            self._close(talk)
            self._open()
        else:
            self._ask(talk)

    def _fail(self, talk: _Talk, what: str) -> None:
        self.failures.append(Failure(talk.number, what, talk.sent_s, time.monotonic()))
        self._close(talk)
        self._open()

    def _close(self, talk: _Talk) -> None:
        del self._talks[talk.socket.fileno()]
        talk.socket.close()
