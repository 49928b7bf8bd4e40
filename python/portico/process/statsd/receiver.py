"""Whom datagrams are sent to: a socket that never blocks, to an address that a thread looks up now and then.

A receiver on this host is seen to be absent; of one elsewhere, a datagram that is lost is lost, as UDP is.
"""

from __future__ import annotations

import _socket
import _thread
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Address: TypeAlias = tuple[int, Any]
    """The family, and what its sockets connect to."""

LOOKED_UP_AGAIN_S = 60.0
# After a name that was not found.
AGAIN_S = 1.0
_UNIX = "unix:"
# A receiver that reads too slowly, and after how many datagrams it is given a moment to read.
_PATIENCE_MS = 50
_AT_A_TIME = 16
_PAUSE_S = 0.001


class Receiver:
    """The one at `place`: `HOST:PORT`, or `unix:` and an absolute path."""

    __slots__ = (
        *("_address", "_connected", "_has_ended", "_host", "_port", "_sent", "_socket", "_why"),
        "place",
    )

    def __init__(self, place: str) -> None:
        self.place = place
        self._address: Address | None = None
        self._why = "the name is not looked up yet"
        self._socket: _socket.socket | None = None
        # What the socket is connected to.
        self._connected: Address | None = None
        self._sent = 0
        self._has_ended = False
        if place.startswith(_UNIX):
            self._address = (_socket.AF_UNIX, place.removeprefix(_UNIX))
            return
        host, _, port = place.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        try:
            self._look_up(_socket.AI_NUMERICHOST)
        except OSError:
            _thread.start_new_thread(self._look_up_again, ())

    def send(self, datagram: bytes) -> str:
        """Send it, or return why it has not left."""
        address = self._address
        if address is None:
            return self._why
        try:
            if self._socket is None or self._connected is not address:
                self._connect(address)
            self._send(datagram)
        except OSError as error:
            self.close()
            return str(error.strerror or error)
        # On this host that is known at once.
        return self.failure()

    def failure(self) -> str:
        """Return why what was sent before has not arrived, if that is known by now; it is told once."""
        if self._socket is None:
            return ""
        number = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if not number:
            return ""
        # Here, because it is rarely needed.
        from os import strerror

        return strerror(number)

    def close(self) -> None:
        """Have a new socket the next time."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def end(self) -> None:
        """Send no more, and look up no more."""
        self._has_ended = True
        self.close()

    def _connect(self, address: Address) -> None:
        self.close()
        kind, place = address
        self._socket = _socket.socket(kind, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        self._socket.connect(place)
        self._connected = address

    def _send(self, datagram: bytes) -> None:
        assert self._socket is not None
        self._sent += 1
        if self._sent % _AT_A_TIME == 0:
            time.sleep(_PAUSE_S)
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT)
            poll.poll(_PATIENCE_MS)
            self._socket.send(datagram)

    def _look_up(self, flags: int = 0) -> None:
        found = _socket.getaddrinfo(self._host, self._port, 0, _socket.SOCK_DGRAM, 0, flags)
        # A receiver on this host is rarely at that of IPv6 alone.
        kind, _, _, _, place = min(found, key=lambda each: each[4][0] == "::1")
        # Only then is there to be another socket.
        if self._address != (kind, place):
            self._address = (kind, place)

    def _look_up_again(self) -> None:
        while not self._has_ended:
            wait_s = LOOKED_UP_AGAIN_S
            try:
                self._look_up()
            except OSError as error:
                # The address of before stays.
                self._why = f"cannot look up {self._host}: {error.strerror or error}"
                wait_s = AGAIN_S
            time.sleep(wait_s)
