"""Who is asked: the servers behind one target of a proxy, the best of them first, and their kept connections.

Receives URLs, hands on connections of `http.client`. Used by proxied_exchange.py on the threads that call the
application, several at a time.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from ssl import SSLContext
    from typing import Any

_MOST_KEPT = 8
"""Idle connections to one upstream: as many as a worker has threads by default."""
_KEPT_S = 30.0
"""How long one may be idle: a firewall that has forgotten it says nothing when it is used again."""
_FIRST_FINAL_STATUS = 200
_SWITCHING_PROTOCOLS = 101


class Upstream:
    """One URL of a target.

    `in_flight` is how many requests it has now, `left_out_until_s` until when (monotonic clock) others are
    asked first. Raises ValueError if `url` is none of HTTP.
    """

    def __init__(self, url: str, *, timeout_s: float, ssl_context: SSLContext | None) -> None:
        expected = f"target: expected a URL such as http://127.0.0.1:5001/, got {url!r}"
        try:
            parts = urlsplit(url)
            # Sockets take a name of any script, the Host header does not.
            self.host = (parts.hostname or "").encode("idna").decode("ascii")
            self._port = parts.port
        except (ValueError, AttributeError, TypeError):
            raise ValueError(expected) from None
        if parts.scheme not in ("http", "https") or not self.host:
            raise ValueError(expected)
        self.url = url
        self.path = parts.path
        self.in_flight = 0
        self.left_out_until_s = 0.0
        self._is_https = parts.scheme == "https"
        self._timeout_s = timeout_s
        self._ssl_context = ssl_context
        self._kept: deque[tuple[float, HTTPConnection]] = deque()

    @property
    def host_header(self) -> str:
        """The name of the host as a Host header has it, without a port (as Werkzeug sends it)."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def connect(self) -> HTTPConnection:
        """Return a new connection; raises OSError if there is none to be had in time."""
        if self._is_https:
            connection: HTTPConnection = HTTPSConnection(
                self.host, self._port or 443, timeout=self._timeout_s, context=self._ssl_context
            )
        else:
            connection = HTTPConnection(self.host, self._port or 80, timeout=self._timeout_s)
        connection.response_class = FinalResponse
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def take_kept(self) -> HTTPConnection | None:
        """Return an idle connection that is still open as far as one can see, or None."""
        while True:
            try:
                kept_at_s, connection = self._kept.pop()
            except IndexError:
                return None
            if time.monotonic() - kept_at_s < _KEPT_S and not _is_readable(connection):
                return connection
            connection.close()

    def keep(self, connection: HTTPConnection) -> None:
        """Take back a connection whose exchange is complete."""
        if len(self._kept) < _MOST_KEPT:
            self._kept.append((time.monotonic(), connection))
        else:
            connection.close()

    def close_kept(self) -> None:
        """Close what is idle."""
        while True:
            try:
                _, connection = self._kept.pop()
            except IndexError:
                # Also where another thread has taken the last one just now.
                return
            connection.close()

    def __del__(self) -> None:
        # A test, or a reload in the same process, may drop the whole middleware.
        if hasattr(self, "_kept"):
            self.close_kept()


class Upstreams:
    """All upstreams of one target. One that is dead is asked last for `left_out_s` seconds."""

    def __init__(
        self, urls: Sequence[str], *, timeout_s: float, ssl_context: SSLContext | None, left_out_s: float
    ) -> None:
        self._all = [Upstream(url, timeout_s=timeout_s, ssl_context=ssl_context) for url in urls]
        self._left_out_s = left_out_s
        self._next = 0
        self._lock = threading.Lock()

    def in_turn(self) -> Iterator[Upstream]:
        """Yield each upstream once, the best of those that are left, with one request more in flight.

        Whoever takes one calls `release` when the exchange is over.
        """
        left = list(self._all)
        while left:
            upstream = self._take_best(left)
            left.remove(upstream)
            yield upstream

    def release(self, upstream: Upstream) -> None:
        """Count an exchange that is over."""
        with self._lock:
            upstream.in_flight -= 1

    def leave_out(self, upstream: Upstream) -> None:
        """Ask others first for a while, because `upstream` is dead."""
        upstream.left_out_until_s = time.monotonic() + self._left_out_s
        upstream.close_kept()

    def _take_best(self, candidates: Sequence[Upstream]) -> Upstream:
        now_s = time.monotonic()

        def rank(upstream: Upstream) -> tuple[float, int, int]:
            # If all are dead, the one whose time is over first may have come back.
            left_out_s = max(0.0, upstream.left_out_until_s - now_s)
            return left_out_s, upstream.in_flight, (self._all.index(upstream) - self._next) % len(self._all)

        with self._lock:
            best = min(candidates, key=rank)
            self._next = (self._all.index(best) + 1) % len(self._all)
            best.in_flight += 1
        return best


class FinalResponse(HTTPResponse):
    """A response whose head is whole, and that is no interim one (RFC 9110 15.2).

    `http.client` takes the end of the connection for the end of a head, a 103 for the response, and waits for
    the chunks of a 304.
    """

    fp: Any

    def begin(self) -> None:
        self.fp = lines = _Lines(self.fp)
        super().begin()
        while lines.is_at_empty_line and _SWITCHING_PROTOCOLS < self.status < _FIRST_FINAL_STATUS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if not lines.is_at_empty_line:
            raise HTTPException("the connection ended within the head")
        if self.length == 0:
            # A 304 may say that the body of a 200 is chunked, and has none itself (RFC 9112 6.1, 6.3).
            self.chunked = False
        self.fp = lines.file


class _Lines:
    """A file of which only lines are read, and the last one remembered."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.is_at_empty_line = False

    def readline(self, limit: int) -> bytes:
        line: bytes = self.file.readline(limit)
        self.is_at_empty_line = line in (b"\r\n", b"\n")
        return line

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _is_readable(connection: HTTPConnection) -> bool:
    """Say whether an idle connection is closed, or brings bytes that nobody has asked for."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
