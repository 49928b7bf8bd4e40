"""What reverse proxies send over uwsgi, SCGI and FastCGI, and strict readers of what comes back.

They forgive nothing, so that a test notices every byte too many or too few, and share no code with the server
under test. Texts are Latin-1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from support.raw_client import Closed, Connection, Head, ProtocolError, Response

Variables = Sequence[tuple[str, str]]

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7
DATA, GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 8, 9, 10, 11
"""Types of records."""
COMPLETE, CANNOT_MULTIPLEX, OVERLOADED, UNKNOWN_ROLE = 0, 1, 2, 3
"""Protocol statuses in END_REQUEST."""
KEEP_CONNECTION = 1
PING, PONG = bytes([100, 0, 0, 0]), bytes([100, 0, 0, 1])

_STATUS = re.compile(r"([1-9][0-9]{2})( [\t \x21-\x7e\x80-\xff]*)?")


def variables(target: str = "/", method: str = "GET", *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Those of a request, as nginx sends them; `more` behind them."""
    path, _, query = target.partition("?")
    return [
        *(("QUERY_STRING", query), ("REQUEST_METHOD", method), ("REQUEST_URI", target), ("PATH_INFO", path)),
        *(("SERVER_PROTOCOL", "HTTP/1.1"), ("REMOTE_ADDR", "192.0.2.7"), ("REMOTE_PORT", "50000")),
        *(("SERVER_NAME", "example.org"), ("SERVER_PORT", "80"), ("HTTP_HOST", "example.org"), *more),
    ]


# -- uwsgi and SCGI


def uwsgi(given: Variables, body: bytes = b"", *, modifier1: int = 0, modifier2: int = 0) -> bytes:
    """A packet and what follows it."""
    data = b"".join(
        struct.pack("<H", len(part)) + part.encode("latin-1") for variable in given for part in variable
    )
    return struct.pack("<BHB", modifier1, len(data), modifier2) + data + body


def scgi(given: Variables, body: bytes = b"") -> bytes:
    """A request; CONTENT_LENGTH and SCGI are added where they are not given."""
    names = [name for name, _ in given]
    length = [(name, value) for name, value in given if name == "CONTENT_LENGTH"]
    others = [(name, value) for name, value in given if name != "CONTENT_LENGTH"]
    ordered = [*(length or [("CONTENT_LENGTH", str(len(body)))]), *others]
    if "SCGI" not in names:
        ordered.insert(1, ("SCGI", "1"))
    data = "".join(f"{name}\0{value}\0" for name, value in ordered).encode("latin-1")
    return b"%d:%b," % (len(data), data) + body


# -- FastCGI


@dataclass(frozen=True)
class Record:
    """One record, without its padding."""

    kind: int
    id: int
    content: bytes = b""


def record(kind: int, content: bytes = b"", *, id: int = 1, padding: int | None = None) -> bytes:
    """A record as bytes; its padding is zeros up to a multiple of 8 where none is given."""
    padding = -len(content) % 8 if padding is None else padding
    return struct.pack(">BBHHBB", 1, kind, id, len(content), padding, 0) + content + bytes(padding)


def begin(*, id: int = 1, role: int = 1, flags: int = 0) -> bytes:
    """The start of a request."""
    return record(BEGIN_REQUEST, struct.pack(">HB5x", role, flags), id=id)


def pairs(given: Variables) -> bytes:
    """Variables as they stand in PARAMS and GET_VALUES."""

    def length(text: str) -> bytes:
        return bytes([len(text)]) if len(text) < 128 else struct.pack(">I", len(text) | 1 << 31)

    return b"".join(length(name) + length(value) + (name + value).encode("latin-1") for name, value in given)


def stream(kind: int, data: bytes, *, id: int = 1) -> bytes:
    """`data` in records as large as may be, and the empty one that ends them."""
    parts = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)]
    return b"".join(record(kind, part, id=id) for part in [*parts, b""])


def fastcgi(given: Variables, body: bytes = b"", *, id: int = 1, flags: int = 0) -> bytes:
    """A whole request."""
    head = begin(id=id, flags=flags) + stream(PARAMS, pairs(given), id=id)
    return head + stream(STDIN, body, id=id)


@dataclass
class FastCgiResponse:
    """What came for one request, up to its END_REQUEST."""

    response: Response | None = None
    errors: bytes = b""
    app_status: int = 0
    protocol_status: int = COMPLETE
    others: list[Record] = field(default_factory=list)
    """Records that belong to no request."""


class GatewayConnection(Connection):
    """A connection that may also be spoken to in the other protocols."""

    def __enter__(self) -> GatewayConnection:
        return self

    def read_cgi_response(self, method: str = "GET") -> Response:
        """A response over SCGI, which ends with the connection."""
        return cgi_response(self.read_to_end(), method)

    def read_record(self) -> Record:
        """Exactly one record."""
        version, kind, id, length, padding, reserved = struct.unpack(">BBHHBB", self.read_exactly(8))
        content = self.read_exactly(length)
        filling = self.read_exactly(padding)
        if version != 1 or reserved or filling.strip(b"\0") or kind not in _FROM_SERVER:
            raise ProtocolError(f"version {version}, type {kind}, reserved {reserved}, padding {filling!r}")
        if (id == 0) != (kind in (GET_VALUES_RESULT, UNKNOWN_TYPE)):
            raise ProtocolError(f"a record of type {kind} for request {id}")
        return Record(kind, id, content)

    def read_records(self) -> list[Record]:
        """All records until the server closes, which it does between two of them."""
        records = []
        try:
            while True:
                records.append(self.read_record())
        except Closed as closed:
            if closed.received:
                raise
        return records

    def read_fastcgi_response(self, method: str = "GET", *, id: int = 1) -> FastCgiResponse:
        """The response to one request; what follows its end stays for the next call."""
        records: list[Record] = []
        while not records or (records[-1].kind, records[-1].id) != (END_REQUEST, id):
            records.append(self.read_record())
        return fastcgi_response(records, method, id=id)


_FROM_SERVER = {END_REQUEST, STDOUT, STDERR, GET_VALUES_RESULT, UNKNOWN_TYPE}


def fastcgi_response(records: Iterable[Record], method: str = "GET", *, id: int = 1) -> FastCgiResponse:
    """The response to request `id` in records up to its END_REQUEST; its streams have to end, once."""
    response = FastCgiResponse()
    streams: dict[int, list[bytes]] = {}
    for record in records:
        if record.id != id:
            response.others.append(record)
        elif record.kind == END_REQUEST:
            response.app_status, response.protocol_status = struct.unpack(">IB3x", record.content)
            break
        else:
            blocks = streams.setdefault(record.kind, [])
            if blocks and not blocks[-1]:
                raise ProtocolError(f"more of the stream {record.kind} after its end")
            blocks.append(record.content)
    else:
        raise ProtocolError(f"no END_REQUEST for request {id}")
    for kind, blocks in streams.items():
        if blocks[-1]:
            raise ProtocolError(f"the stream {kind} does not end")
    response.errors = b"".join(streams.get(STDERR, []))
    if STDOUT in streams:
        response.response = cgi_response(b"".join(streams[STDOUT]), method)
    return response


def cgi_response(data: bytes, method: str = "GET") -> Response:
    """A response as RFC 3875 6 has it: Status first, then fields, then what is to the end the body."""
    lines, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        raise Closed("no end of the head", data)
    name, _, status = lines.split(b"\r\n")[0].decode("latin-1").partition(": ")
    match = _STATUS.fullmatch(status)
    if name != "Status" or match is None:
        raise ProtocolError(f"a head that begins with {data[:80]!r}")
    headers = []
    for line in lines.split(b"\r\n")[1:]:
        header, colon, value = line.decode("latin-1").partition(": ")
        if (
            not colon
            or not header.isascii()
            or header.lower() in ("status", "connection", "transfer-encoding")
        ):
            raise ProtocolError(f"bad header line {line!r}")
        headers.append((header, value))
    head = Head("", int(match[1]), (match[2] or "").strip(), headers)
    length = head.get("content-length")
    if length is not None and method != "HEAD" and head.status != 304 and int(length) != len(body):
        raise ProtocolError(f"{len(body)} bytes of a body of {length}")
    if method == "HEAD" and body:
        raise ProtocolError(f"a body for HEAD: {body[:80]!r}")
    return Response(head.version, head.status, head.reason, headers, "close", body)
