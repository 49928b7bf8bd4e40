"""HTTP/1 without sockets: what portico itself reads requests and writes responses with (RFC 9110, RFC 9112).

A `RequestParser` takes the bytes of one connection and says what they are; a `ResponseEncoder` takes the head
and the blocks of one response and says which bytes to send. Where the bytes come from and go to, and when,
is the caller's business:

    parser = RequestParser()
    while (event := parser.next_event()) is NEED_DATA:
        parser.feed(connection.recv(65536))          # b"" is the end of the connection

    encoder = ResponseEncoder(event)                 # the RequestHead
    connection.sendall(encoder.head("200 OK", [("Content-Type", "text/plain")], body_length=6))
    connection.sendall(encoder.block(b"hello\\n") + encoder.end())

What portico rejects raises `RequestRejected` here, with the response that portico would send (docs/http.md
lists the rules). docs/wire.md is the guide, examples/micro_server.py a whole WSGI server on top of it.

Importing this module loads the extension and nothing else.
"""

from portico._core import (
    CLOSED,
    CONTINUE,
    NEED_DATA,
    Data,
    EndOfRequest,
    ParserState,
    RequestHead,
    RequestParser,
    RequestRejected,
    ResponseEncoder,
)

__all__ = [
    "CLOSED",
    "CONTINUE",
    "NEED_DATA",
    "Data",
    "EndOfRequest",
    "Event",
    "ParserState",
    "RequestHead",
    "RequestParser",
    "RequestRejected",
    "ResponseEncoder",
]

Event = RequestHead | Data | EndOfRequest | ParserState
"""What `RequestParser.next_event` returns."""
