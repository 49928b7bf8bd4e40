"""A raw HTTP/1.1 client: sends any bytes, and reads exactly one response with a strict parser of its own.

It forgives nothing, so that a test notices every byte too many or too few; it never shares code with the
server under test.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_BODYLESS = frozenset({204, 304})
_DATA_SEGMENTS_IN = 152  # offset of tcpi_data_segs_in in struct tcp_info (linux/tcp.h)
_LINGER_OFF = struct.pack("ii", 1, 0)


class ProtocolError(AssertionError):
    """The server sent something that RFC 9112 does not allow."""


class Closed(ProtocolError):
    """The server closed the connection in the middle of something; `received` is what came before."""

    def __init__(self, message: str, received: bytes = b"") -> None:
        super().__init__(f"{message}; received {received[-200:]!r}")
        self.received = received


@dataclass(frozen=True)
class Head:
    """A response without its body."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """The values of every header called `name` (any case)."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the header `name`; it must not be there twice."""
        values = self.all(name)
        if len(values) > 1:
            raise ProtocolError(f"{name} appears {len(values)} times: {values}")
        return values[0] if values else None


@dataclass(frozen=True)
class Response(Head):
    """A whole response; `framing` is `none`, `length`, `chunked` or `close`."""

    framing: str = "none"
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)


class Connection:
    """One connection to a server, TCP or Unix; `source` is the address to come from, such as 127.0.0.2."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        *,
        timeout_s: float = 10.0,
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        try:
            self.socket.settimeout(timeout_s)
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(address)
            if family == socket.AF_INET:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise
        self._buffer = bytearray()

    # -- sending

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self.socket.sendall(data)

    def send_bytewise(self, data: bytes, *, pause_s: float = 0.0002) -> None:
        """Send each byte in a segment of its own; the pause lets the server read it before the next."""
        for position in range(len(data)):
            self.socket.sendall(data[position : position + 1])
            time.sleep(pause_s)

    def ask(self, target: str, *, method: str = "GET", headers: tuple[str, ...] | list[str] = ()) -> None:
        """Send one request without a body, and read nothing."""
        self.send(request_bytes(target, method, headers=headers))

    def request(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        version: str = "HTTP/1.1",
        headers: tuple[str, ...] | list[str] = (),
        body: bytes | None = None,
        host: bool = True,
    ) -> Response:
        """Send one request (header lines in `headers`) and read the response."""
        self.send(request_bytes(target, method, version, headers, body, host))
        return self.read_response(method)

    # -- receiving

    def read_head(self) -> Head:
        """Read up to and with the empty line."""
        match = _STATUS_LINE.fullmatch(self._read_line())
        if match is None:
            raise ProtocolError(f"bad status line before {bytes(self._buffer[:200])!r}")
        version, status, reason = match.groups()
        return Head(version.decode(), int(status), reason.decode("latin-1"), self._read_headers())

    def read_response(self, method: str = "GET") -> Response:
        """Read exactly one response to a request of `method`; what follows stays for the next call."""
        head = self.read_head()
        chunks: list[bytes] = []
        trailers: list[tuple[str, str]] = []
        body = b""
        framing = self._framing(head, method)
        if framing == "length":
            body = self.read_exactly(int(head.all("content-length")[0]))
        elif framing == "chunked":
            chunks = list(self.read_chunks())
            body = b"".join(chunks)
            trailers = self._read_headers()
        elif framing == "close":
            body = self.read_to_end()
        return Response(head.version, head.status, head.reason, head.headers, framing, body, chunks, trailers)

    def read_chunks(self) -> Iterator[bytes]:
        """Yield the chunks as they come, up to the final one (its trailers stay unread)."""
        while True:
            chunk = self.read_chunk()
            if not chunk:
                return
            yield chunk

    def read_chunk(self) -> bytes:
        """One chunk; the final one is empty."""
        line = self._read_line()
        if _CHUNK_SIZE.fullmatch(line) is None:
            raise ProtocolError(f"bad chunk size {line!r}")
        size = int(line, 16)
        if not size:
            return b""
        data = self.read_exactly(size)
        if self.read_exactly(2) != b"\r\n":
            raise ProtocolError("a chunk does not end with CRLF")
        return data

    def read_exactly(self, count: int) -> bytes:
        """`count` bytes, not fewer."""
        while len(self._buffer) < count:
            self._receive(f"{count} bytes")
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def read_to_end(self) -> bytes:
        """All that comes until the server closes."""
        while True:
            data = self.socket.recv(65536)
            if not data:
                break
            self._buffer += data
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def discard(self, count: int) -> None:
        """Read and drop `count` bytes without keeping them."""
        count -= len(self._buffer)
        assert count >= 0, "more is here than should be dropped"
        self._buffer.clear()
        space = bytearray(1 << 20)
        while count:
            received = self.socket.recv_into(space, min(count, len(space)))
            if not received:
                raise Closed(f"closed {count} bytes too soon")
            count -= received

    def expect_closed(self) -> None:
        """Assert that the server closes now and sends nothing more; a reset counts as closed."""
        try:
            rest = bytes(self._buffer) + self.socket.recv(65536)
        except ConnectionError:
            rest = bytes(self._buffer)
        if rest:
            raise ProtocolError(f"more bytes where the end was due: {rest[:200]!r}")

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing at all comes (no byte, no close) for `seconds`."""
        return not self._buffer and not select.select([self.socket], [], [], seconds)[0]

    def data_segments(self) -> int:
        """How many TCP segments with data came so far: what the server sent apart, arrived apart."""
        information = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        return int(struct.unpack_from("I", information, _DATA_SEGMENTS_IN)[0])

    # -- leaving

    def half_close(self) -> None:
        """Say that nothing more will be sent; reading goes on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish with a RST."""
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
        self.socket.close()

    def close(self) -> None:
        """Close in the ordinary way."""
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- parsing

    def _receive(self, what: str) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise Closed(f"closed before {what}", bytes(self._buffer))
        self._buffer += data

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            self._receive("the end of a line")
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise ProtocolError(f"a line does not end with CRLF: {line!r}")
        return line[:-2]

    def _read_headers(self) -> list[tuple[str, str]]:
        headers = []
        while line := self._read_line():
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
                raise ProtocolError(f"bad header line {line!r}")
            headers.append((name.decode(), value.decode("latin-1")))
        return headers

    @staticmethod
    def _framing(head: Head, method: str) -> str:
        """Which way the body is framed (RFC 9112 6.3)."""
        length, coding = head.get("content-length"), head.get("transfer-encoding")
        if length is not None and coding is not None:
            raise ProtocolError("both Content-Length and Transfer-Encoding")
        if length is not None and not (length.isascii() and length.isdigit()):
            raise ProtocolError(f"bad Content-Length {length!r}")
        if head.status == 204 and length is not None:
            raise ProtocolError("a 204 with a Content-Length")
        if head.status < 200 or head.status in _BODYLESS or method == "HEAD":
            return "none"
        if coding is not None:
            if coding.lower() != "chunked":
                raise ProtocolError(f"unknown transfer coding {coding!r}")
            if head.version != "HTTP/1.1":
                raise ProtocolError("a chunked body in HTTP/1.0")
            return "chunked"
        return "close" if length is None else "length"


def request_bytes(
    target: str = "/",
    method: str = "GET",
    version: str = "HTTP/1.1",
    headers: tuple[str, ...] | list[str] = (),
    body: bytes | None = None,
    host: bool = True,
) -> bytes:
    """A request as bytes; Host and, with a body, Content-Length are added."""
    lines = [f"{method} {target} {version}"]
    if host:
        lines.append("Host: localhost")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines += headers
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """`chunks` in chunked coding, with the final chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
