"""A load of which each request is accounted for: by its name it had its response, or was lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_S = 20.0


class CountedLoad:
    """Clients that ask one after the other, each request with a number of its own in its query.

    Every other client keeps its connection; when the server announces its end, as it may (RFC 9112 9.6), the
    next one is opened.
    """

    def __init__(self, address: int | str, path: str) -> None:
        self._address = address
        self._path = path
        self.asked = 0
        """How many requests have been begun; the next one has this number."""
        self._done = threading.Event()
        self._lock = threading.Lock()
        self.responses: list[tuple[str, str]] = []
        """Target and body of each that had a response."""
        self.lost: list[str] = []
        """Target of each that was sent and had none."""

    def run(self, *, keeps: bool) -> None:
        """Be one client until the load ends."""
        connection: _Connection | None = None
        while not self._done.is_set():
            with self._lock:
                target = f"{self._path}?n={self.asked}"
                self.asked += 1
            connection = connection or _Connection(self._address)
            body = connection.ask(target, keeps=keeps)
            with self._lock:
                if body is None:
                    self.lost.append(target)
                else:
                    self.responses.append((target, body))
            if connection.has_ended:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def end(self) -> None:
        self._done.set()


class _Connection:
    """One connection of a client."""

    def __init__(self, address: int | str) -> None:
        if isinstance(address, int):
            self._socket = socket.create_connection(("127.0.0.1", address), timeout=_PATIENCE_S)
        else:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(_PATIENCE_S)
            self._socket.connect(address)
        self._reader = self._socket.makefile("rb")
        self.has_ended = False

    def ask(self, target: str, *, keeps: bool) -> str | None:
        """Return the body of the response to `target`; None if there was none, or not all of it."""
        close = "" if keeps else "Connection: close\r\n"
        try:
            self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\n{close}\r\n".encode())
            return self._read()
        except OSError:
            self.has_ended = True
            return None

    def _read(self) -> str | None:
        status, *fields = self._head()
        if not status.startswith(b"http/1.1 200"):
            self.has_ended = True
            return None
        self.has_ended = b"connection: close" in fields
        length = next(
            int(field.partition(b":")[2]) for field in fields if field.startswith(b"content-length:")
        )
        body = self._reader.read(length)
        return body.decode() if len(body) == length else None

    def _head(self) -> list[bytes]:
        lines = []
        while line := self._reader.readline().strip().lower():
            lines.append(line)
        return lines or [b""]

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


@contextmanager
def counted_load(address: int | str, path: str = "/", *, clients: int = 4) -> Iterator[CountedLoad]:
    """Have `clients` ask for `path` inside the block; every request has an outcome after it.

    `address` is a port of 127.0.0.1, or the path of a Unix socket.
    """
    load = CountedLoad(address, path)
    threads = [
        threading.Thread(target=load.run, kwargs={"keeps": number % 2 == 0}) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join()
