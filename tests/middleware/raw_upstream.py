"""An upstream that does exactly what a test says, byte by byte: also what no server would do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeAlias

_DEADLINE_S = 10.0

Script: TypeAlias = "Callable[[RawUpstream, socket.socket, int], object]"
"""What is done with a connection, the how-manieth (from 0)."""


class RawUpstream:
    """Runs a script for each connection, in a thread of its own; a context manager.

    `heads` are the request heads that `read_request` has seen.
    """

    def __init__(self, script: Script) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def read_request(self, connection: socket.socket) -> bytes:
        """Read one request; return its head, empty at the end of the connection."""
        received = b""
        while b"\r\n\r\n" not in received:
            data = connection.recv(65536)
            if not data:
                return b""
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length and (data := connection.recv(65536)):
            body += data
        self.heads.append(head)
        self.bodies.append(body)
        return head

    def __enter__(self) -> RawUpstream:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_DEADLINE_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(_DEADLINE_S)
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, self.connections))
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        # A proxy that gives up resets the connection, which is what some tests want of it.
        with connection, suppress(ConnectionError):
            self._script(self, connection, number)


def responding(*responses: bytes) -> RawUpstream:
    """An upstream each of whose connections gives `responses`, one for each request, and is then closed."""

    def script(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        for response in responses:
            if not upstream.read_request(connection):
                return
            connection.sendall(response)

    return RawUpstream(script)
