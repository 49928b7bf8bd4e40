"""What live.py does to the listeners for reverse proxies: mutated packets, and strict readers of the
responses.

Whatever is sent, what comes is whole: responses in the protocol's own form, whole records, or nothing at all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from support.gateway import END_REQUEST, PONG, STDOUT, GatewayConnection, Record, cgi_response, variables
from support.gateway_server import LISTENERS, PROXY_LINE, protocol_of, read_response, request
from support.raw_client import Closed, ProtocolError
from support.server import free_port

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "corpus"
MAX_MESSAGE_BYTES = 16 * 1024
"""Longer ones are about limits that the tests look at, and slow."""

TELLING = [
    *(
        b"\0",
        b"\0\0\0\0",
        b"\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x01",
        b"\x7f",
        b"\x80",
        b",",
        b":",
        b"0",
        b"9",
    ),
    *(
        b"\0\0\0\0",
        b"\x1e\0\0\0",
        b"\x64\0\0\0",
        b"\x0e\0REQUEST_METHOD\x04\0HEAD",
        b"\x09\0PATH_INFO\x02\0/x",
    ),
    *(b"CONTENT_LENGTH\x000\0SCGI\x001\0", b"CONTENT_LENGTH\x0099999999999999999999\0"),
    *(b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0", b"\x01\x02\0\x01\0\0\0\0", b"\x01\x04\0\x01\0\0\0\0"),
    *(
        b"\x01\x05\0\x01\0\0\0\0",
        b"\x01\x09\0\0\0\0\0\0",
        b"\x01\x63\0\0\0\0\xff\0",
        b"\x0e\x04REQUEST_METHODHEAD",
    ),
    *(PROXY_LINE, b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"\x03\0\x04\0\0\0\0", b"\r\n"),
    *(b"wsgi.input", b"HTTP_PROXY", b"UWSGI_FILE", b"CONTENT_LENGTH", b"HTTP_HOST"),
]

Mutate = Callable[[bytes, random.Random, list[bytes], list[bytes]], bytes]


class Gateways:
    """The listeners, and what is sent to them."""

    def __init__(self) -> None:
        self.addresses = {name: ("127.0.0.1", free_port()) for name in LISTENERS}
        self.messages = {
            protocol: [
                data
                for path in sorted((CORPUS / protocol).glob("**/*.bin"))
                if len(data := path.read_bytes()) <= MAX_MESSAGE_BYTES
            ]
            for protocol in ("uwsgi", "scgi", "fastcgi", "proxy")
        }

    @property
    def options(self) -> list[str]:
        """What the server's command line needs."""
        places = {name: f"127.0.0.1:{port}" for name, (_, port) in self.addresses.items()}
        binds = [text.format(address=places[name]) for name, text in LISTENERS.items()]
        return [part for bind in binds for part in ("-b", bind)]

    def case(self, chance: random.Random, http: list[bytes], mutated: Mutate) -> tuple[str, bytes]:
        """A listener, and what is sent to it."""
        name = chance.choice(list(self.addresses))
        known = http if protocol_of(name) == "http" else self.messages[protocol_of(name)]
        message = b"".join(chance.choice(known) for _ in range(chance.choice((1, 1, 2, 3))))
        if name.endswith("-proxy"):
            if chance.random() < 0.5:
                return name, PROXY_LINE + mutated(message, chance, known, TELLING)
            header = chance.choice(self.messages["proxy"])
            return name, mutated(header, chance, self.messages["proxy"], TELLING) + message
        return name, mutated(message, chance, known, TELLING)

    def exchange(self, name: str, pieces: list[bytes], seen: Counter[str], deadline_s: float) -> None:
        """One hostile connection, from connect to close."""
        with GatewayConnection(self.addresses[name], timeout_s=deadline_s) as connection:
            try:
                for piece in pieces:
                    connection.send(piece)
                connection.half_close()
            except TimeoutError:
                raise
            except OSError:
                seen[f"{name}: rejected while sending"] += 1
            received = b""
            try:
                while block := connection.socket.recv(1 << 16):
                    received += block
            except ConnectionResetError:
                # What was sent after an error response, and not read any more, may reset the connection.
                seen[f"{name}: reset"] += 1
                return
            seen[f"{name}: {CHECKS[protocol_of(name)](received)}"] += 1

    def honest(self, number: int, deadline_s: float) -> None:
        """A request to each listener gets its own response."""
        body = b"honest %d" % number
        for name, address in self.addresses.items():
            with GatewayConnection(address, timeout_s=deadline_s) as connection:
                connection.send(request(name, variables("/honest", "POST"), body))
                response = read_response(connection, name)
            if (response.status, response.body) != (200, body):
                raise ProtocolError(f"an honest request to {name} got {response}")


class Received(GatewayConnection):
    """The strict reader, on bytes that have all come."""

    def __init__(self, received: bytes) -> None:
        self._buffer = bytearray(received)

    def _receive(self, what: str) -> None:
        raise Closed(f"closed before {what}", bytes(self._buffer))

    def read_to_end(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    @property
    def rest(self) -> bytes:
        """What was not read yet."""
        return bytes(self._buffer)


def check_http(received: bytes) -> str:
    """Whole responses and responses to pings, to the last byte."""
    reader = Received(received)
    statuses: list[str] = []
    while reader.rest:
        if reader.rest.startswith(PONG):
            reader.read_exactly(len(PONG))
            statuses.append("pong")
            continue
        # Nobody here knows whether those bytes were a HEAD: the application tells, an error response does
        # not.
        head, _, body = reader.rest.partition(b"\r\n\r\n")
        is_head = b"\r\nX-Method: HEAD" in head or not body or body.startswith((b"HTTP/1.1 ", PONG))
        statuses.append(str(reader.read_response("HEAD" if is_head else "GET").status))
    return "status " + ", ".join(statuses[:1]) if statuses else "closed without a response"


def check_scgi(received: bytes) -> str:
    """One response or none."""
    if not received:
        return "closed without a response"
    is_head = received.endswith(b"\r\n\r\n")
    return f"status {cgi_response(received, 'HEAD' if is_head else 'GET').status}"


def check_fastcgi(received: bytes) -> str:
    """Whole records; each request that gets any is ended, and its response is whole."""
    reader = Received(received)
    records: list[Record] = []
    while reader.rest:
        records.append(reader.read_record())
    statuses: list[int] = []
    begun: dict[int, list[bytes]] = {}
    for record in records:
        if not record.id:
            continue
        blocks = begun.setdefault(record.id, [])
        if record.kind != END_REQUEST:
            if record.kind != STDOUT or (blocks and not blocks[-1]):
                raise ProtocolError(f"{record} after {blocks[-1:]}")
            blocks.append(record.content)
            continue
        stdout = b"".join(begun.pop(record.id))
        if blocks and blocks[-1]:
            raise ProtocolError(f"the response to request {record.id} does not end")
        if blocks:
            is_head = stdout.endswith(b"\r\n\r\n")
            statuses.append(cgi_response(stdout, "HEAD" if is_head else "GET").status)
    if begun:
        raise ProtocolError(f"requests {list(begun)} are not ended")
    return f"status {statuses[0]}" if statuses else "closed without a response"


CHECKS = {"http": check_http, "uwsgi": check_http, "scgi": check_scgi, "fastcgi": check_fastcgi}
