"""Servers behind a router that do what a test says, and strict readers of the requests that come to them.

They forgive nothing, so that a test notices every byte too many or too few, and share no code with the server
under test. Texts are Latin-1.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.gateway import BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, record, stream
from support.server import Server

_PATIENCE_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Member:
    """A raw server, each of whose connections `handle` has on a thread of its own."""

    def __init__(
        self,
        handle: Callable[[Any, socket.socket], None],
        port: int = 0,
        *,
        scheme: str = "http",
        host: str = "127.0.0.1",
    ) -> None:
        self._handle = handle
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{scheme}://{host}:{self.port}"
        self.heads: queue.Queue[bytes] = queue.Queue()
        self.ends: queue.Queue[bytes] = queue.Queue()
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append(peer)
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer: socket.socket) -> None:
        with peer, suppress(OSError, EOFError):
            self._handle(self, peer)

    def read_head(self, peer: socket.socket) -> bytes:
        """Read to the end of a head, and keep it; empty at the end of the connection."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = peer.recv(1)
            if not byte:
                return b""
            head += byte
        self.heads.put(head)
        return head

    @property
    def count(self) -> int:
        """How many heads were read."""
        return self.heads.qsize()

    def close(self) -> None:
        """Accept nobody any more, and leave those that are there; again, it does nothing."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for peer in self.connections:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


class NamedMember(Member):
    """Responds with its name, and to a path with `/hold` not before it is told to `go_on`."""

    def __init__(self, name: str, port: int = 0, *, host: str = "127.0.0.1") -> None:
        self.name = name
        self.held: queue.Queue[None] = queue.Queue()
        self.go_on = threading.Event()
        super().__init__(NamedMember._respond, port, host=host)

    def _respond(self, peer: socket.socket) -> None:
        body = self.name.encode()
        while head := self.read_head(peer):
            read_exactly(peer, length_of(head))
            if b"/hold" in head.partition(b"\r\n")[0]:
                self.held.put(None)
                self.go_on.wait(_PATIENCE_S)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def length_of(head: bytes) -> int:
    """The Content-Length of a head; 0 where there is none."""
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in fields if name == b"content-length"), 0)


def responds(response: bytes = OK) -> Callable[[Member, socket.socket], None]:
    """Send the same response to each request."""

    def handle(member: Member, peer: socket.socket) -> None:
        while member.read_head(peer):
            peer.sendall(response)

    return handle


def reads_and_closes(member: Member, peer: socket.socket) -> None:
    member.read_head(peer)


def is_silent(member: Member, peer: socket.socket) -> None:
    member.read_head(peer)
    member.ends.put(peer.recv(1))


def router(folder: Path, text: str, **more: Any) -> Server:
    """A server of `text` alone, without an application."""
    (folder / "portico.toml").write_text(text)
    # One that would be found, and breaks whoever imports it.
    (folder / "app.py").write_text("raise SystemExit('imported')\n")
    options = ["-c", str(folder / "portico.toml"), "--chdir", str(folder), *more.pop("options", [])]
    return Server(None, options=options, **more)


def upstream(*to: str, more: str = "") -> str:
    return f"[[upstream]]\nto = {json.dumps(to)}\n{more}\n"


@contextmanager
def routed(folder: Path, *members: Member, more: str = "", **keywords: Any) -> Iterator[Server]:
    """A router before these members, which end with it."""
    with ExitStack() as stack:
        for member in members:
            stack.callback(member.close)
        text = upstream(*(member.url for member in members), more=more)
        yield stack.enter_context(router(folder, text, **keywords))


# --- Requests over uwsgi and FastCGI


@dataclass
class GatewayRequest:
    """What came over uwsgi or FastCGI."""

    variables: dict[str, str]
    body: bytes = b""
    keeps_connection: bool = False
    kinds: list[int] = field(default_factory=list)
    """Types of the records, in order."""


def read_exactly(peer: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; EOFError where the client closes before."""
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_uwsgi_request(peer: socket.socket) -> GatewayRequest:
    """A packet, and the body that it announces."""
    modifier1, size, modifier2 = struct.unpack("<BHB", read_exactly(peer, 4))
    assert (modifier1, modifier2) == (0, 0)
    data, strings = read_exactly(peer, size), []
    while data:
        [length] = struct.unpack_from("<H", data)
        assert len(data) >= 2 + length
        strings.append(data[2 : 2 + length].decode("latin-1"))
        data = data[2 + length :]
    variables = _dictionary(list(zip(strings[::2], strings[1::2], strict=True)))
    return GatewayRequest(variables, read_exactly(peer, int(variables.get("CONTENT_LENGTH", "0"))))


def read_fastcgi_request(peer: socket.socket) -> GatewayRequest:
    """The records of one request, to the end of its body."""
    streams = {PARAMS: b"", STDIN: b""}
    request = GatewayRequest({})
    while True:
        version, kind, id, length, padding, _ = struct.unpack(">BBHHBB", read_exactly(peer, 8))
        content = read_exactly(peer, length)
        assert (version, id, read_exactly(peer, padding).strip(b"\0")) == (1, 1, b"")
        request.kinds.append(kind)
        if kind == BEGIN_REQUEST:
            role, flags = struct.unpack(">HB5x", content)
            assert role == 1
            request.keeps_connection = bool(flags & 1)
            continue
        assert request.kinds[0] == BEGIN_REQUEST
        if content:
            streams[kind] += content
        elif kind == PARAMS:
            request.variables = _dictionary(_pairs(streams[PARAMS]))
        else:
            request.body = streams[STDIN]
            return request


def _pairs(data: bytes) -> list[tuple[str, str]]:
    pairs = []
    while data:
        lengths = []
        for _ in range(2):
            if data[0] < 128:
                lengths.append(data[0])
                data = data[1:]
            else:
                lengths.append(struct.unpack_from(">I", data)[0] & 0x7FFFFFFF)
                data = data[4:]
        name, value = data[: lengths[0]], data[lengths[0] : sum(lengths)]
        assert len(value) == lengths[1]
        pairs.append((name.decode("latin-1"), value.decode("latin-1")))
        data = data[sum(lengths) :]
    return pairs


def _dictionary(pairs: list[tuple[str, str]]) -> dict[str, str]:
    variables = dict(pairs)
    # Of one that comes twice servers take the first or the last.
    assert len(variables) == len(pairs), pairs
    return variables


def end_request(status: int = 0, protocol_status: int = 0) -> bytes:
    """The end of a request, as a record."""
    return record(END_REQUEST, struct.pack(">IB3x", status, protocol_status))


def cgi(response: bytes) -> bytes:
    """A whole response over FastCGI."""
    return stream(STDOUT, response) + end_request()
