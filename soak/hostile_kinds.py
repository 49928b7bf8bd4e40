"""The kinds of hostile clients: what each sends, when, and whether it reads.

`hostile.py` opens the connections and calls these; nothing here waits or looks at a clock. A kind is
either *held* (so many connections at the same time, opened again when the server closes them) or *passing*
(so many per second, each soon over).
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from itertools import cycle
from typing import ClassVar

HOST = b"Host: hostile\r\n"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
SMALL_BUFFER_BYTES = 2048
MEBIBYTE = 1 << 20


class HostileClient:
    """One connection of a kind; `number` counts the connections of this kind."""

    __slots__ = ("has_response", "is_open", "kind", "number", "peer", "progress", "socket")

    def __init__(self, kind: Kind, number: int, own: socket.socket, peer: socket.socket | None) -> None:
        self.kind = kind
        self.number = number
        self.socket = own
        self.peer = peer
        """The other end, where there is no server (`--harmless`)."""
        self.progress = 0
        self.is_open = False
        self.has_response = False

    def send(self, data: bytes) -> int:
        """Send what the socket takes now; return how many bytes."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def leave_by_reset(self) -> None:
        """Let the close be a RST."""
        if self.peer is None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


class Kind:
    """A silent client: connects and sends nothing. The others differ from it."""

    name: ClassVar[str] = "silent"
    says: ClassVar[str] = "connects, sends nothing"
    default: ClassVar[int] = 1000
    """Connections held, or passing per second."""
    passing: ClassVar[bool] = False
    opened_per_s: ClassVar[float] = 1000
    """The most connections opened in a second, at the start and after closes (held kinds)."""
    step_s: ClassVar[float] = 0
    """Between two calls of `step`; 0 = none."""
    reads: ClassVar[bool] = True
    """Whether all that comes is read at once; else only an end of the connection is noticed."""
    receive_buffer: ClassVar[int | None] = None

    def opened(self, client: HostileClient) -> bool:
        """The connection is there. Returns whether it stays."""
        return True

    def step(self, client: HostileClient) -> bool:
        """`step_s` have passed. Returns whether the connection stays."""
        return True


class SlowHead(Kind):
    name = "slow-head"
    says = "a byte of a head per second"
    step_s = 1.0
    head = b"GET /fast HTTP/1.1\r\n" + HOST + b"X-Slow: "

    def opened(self, client: HostileClient) -> bool:
        return self.step(client)

    def step(self, client: HostileClient) -> bool:
        client.send(self.head[client.progress : client.progress + 1] or b"x")
        client.progress += 1
        return True


class SlowBody(Kind):
    name = "slow-body"
    says = "a byte per second of a body of 64 MiB (received before the call)"
    step_s = 1.0
    length = 64 * MEBIBYTE

    def opened(self, client: HostileClient) -> bool:
        client.send(b"POST /digest HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (HOST, self.length))
        return True

    def step(self, client: HostileClient) -> bool:
        client.send(b"x")
        return True


class SlowUpload(SlowBody):
    name = "slow-upload"
    says = "a byte per second of a body of 512 MiB (more than `body_spool`)"
    length = 512 * MEBIBYTE


class SlowChunks(SlowBody):
    name = "slow-chunks"
    says = "a byte per second of a chunked body, one-byte chunks"

    def opened(self, client: HostileClient) -> bool:
        client.send(b"POST /digest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        return True

    def step(self, client: HostileClient) -> bool:
        client.send(b"1\r\nx\r\n"[client.progress % 6 :][:1])
        client.progress += 1
        return True


class SlowRead(Kind):
    name = "slow-read"
    says = "asks for a complete response of 1 MiB, reads a byte per second"
    step_s = 1.0
    reads = False
    receive_buffer = SMALL_BUFFER_BYTES
    request = b"GET /large?seed=1&kibibytes=1024 HTTP/1.1\r\n" + HOST + b"\r\n"

    def opened(self, client: HostileClient) -> bool:
        client.send(self.request)
        return True

    def step(self, client: HostileClient) -> bool:
        try:
            return bool(client.socket.recv(1))
        except BlockingIOError:
            return True


class SlowReadStream(SlowRead):
    name = "slow-read-stream"
    says = "asks for 256 streamed blocks of 4 KiB, reads a byte per second"
    opened_per_s = 250
    request = b"GET /stream?seed=1&blocks=256&bytes=4096 HTTP/1.1\r\n" + HOST + b"\r\n"


class ZeroWindow(SlowRead):
    name = "zero-window"
    says = "asks for a complete response of 1 MiB, never reads"
    step_s = 0


class HalfClosed(Kind):
    name = "half-closed"
    says = "half a head, half a body or a whole request, then ends its sending side and stays"
    beginnings = (
        b"GET /fast HTTP/1.1\r\nHost: ho",
        b"POST /digest HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nxxx",
        b"GET /fast HTTP/1.1\r\n" + HOST + b"\r\n",
    )

    def opened(self, client: HostileClient) -> bool:
        client.send(self.beginnings[client.number % len(self.beginnings)])
        client.socket.shutdown(socket.SHUT_WR)
        return True


class Resets(Kind):
    name = "resets"
    says = "half a request, then RST, at once or 0.2 s later"
    default = 500
    passing = True
    step_s = 0.2

    def opened(self, client: HostileClient) -> bool:
        client.send(b"POST /digest HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nhalf a bo")
        client.leave_by_reset()
        return client.number % 2 == 0

    def step(self, client: HostileClient) -> bool:
        return False


def _garbage() -> Iterator[bytes]:
    """Random bytes, and beginnings of other protocols."""
    random_bytes = random.Random(1)
    tls_hello = bytes.fromhex("16030100c8010000c40303") + random_bytes.randbytes(200)
    known = (
        tls_hello,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n",
        b"\x00\x05\x00\x00\x0c\x00SCRIPT_NAME\x00\x00",
        bytes(500),
        b"GET / HTTP/1.1\r\n" + b"a" * 20_000,
    )
    while True:
        yield from known
        yield from (random_bytes.randbytes(random_bytes.randint(1, 2000)) for _ in known)


class Garbage(Kind):
    name = "garbage"
    says = "random bytes, TLS hello, HTTP/2 preface, PROXY line, NULs, an endless header"
    default = 500
    passing = True
    step_s = 1.0
    supply = _garbage()

    def opened(self, client: HostileClient) -> bool:
        client.send(next(self.supply))
        return True

    def step(self, client: HostileClient) -> bool:
        return False


class Pipeliner(Kind):
    name = "pipeliner"
    says = "4000 requests at once, never reads"
    default = 50
    opened_per_s = 20
    step_s = 1.0
    reads = False
    receive_buffer = SMALL_BUFFER_BYTES
    requests = (b"GET /fast HTTP/1.1\r\n" + HOST + b"\r\n") * 4000

    def opened(self, client: HostileClient) -> bool:
        return self.step(client)

    def step(self, client: HostileClient) -> bool:
        # What the server does not take now is tried again a second later.
        client.progress += client.send(self.requests[client.progress :])
        return True


class ConnectFlood(Kind):
    name = "connect-flood"
    says = "opens and closes, by FIN and by RST"
    default = 1000
    passing = True
    ends = cycle((True, False))

    def opened(self, client: HostileClient) -> bool:
        if next(self.ends):
            client.leave_by_reset()
        return False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(),
        SlowHead(),
        SlowBody(),
        SlowUpload(),
        SlowChunks(),
        SlowRead(),
        SlowReadStream(),
        ZeroWindow(),
        HalfClosed(),
        Resets(),
        Garbage(),
        Pipeliner(),
        ConnectFlood(),
    )
}
