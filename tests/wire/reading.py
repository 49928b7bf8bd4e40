"""A connection's bytes through a `RequestParser`, and what they came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from portico import wire
from support.http1_corpus import Request


@dataclass
class Reading:
    """What the bytes of one connection came to."""

    requests: list[Request] = field(default_factory=list)
    """The complete ones."""
    open: Request | None = None
    """One whose head has been read, and whose end has not."""
    trailers: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    rejected: tuple[int, str] | None = None
    state: wire.ParserState | None = None
    leftover: bytes = b""


def read(pieces: Iterable[bytes], **limits: int) -> Reading:
    """Feed `pieces` one after the other, and take all events after each."""
    parser = wire.RequestParser(**limits)
    reading = Reading()
    for piece in pieces:
        parser.feed(piece)
        try:
            for event in events_of(parser, reading):
                take(reading, event)
        except wire.RequestRejected as rejected:
            reading.rejected = (rejected.status, rejected.reason)
            break
    reading.leftover = parser.leftover
    return reading


def events_of(parser: wire.RequestParser, reading: Reading) -> Iterator[wire.Event]:
    """The events that there are now."""
    while not isinstance(event := parser.next_event(), wire.ParserState):
        yield event
    reading.state = event


def take(reading: Reading, event: wire.Event) -> None:
    if isinstance(event, wire.RequestHead):
        assert reading.open is None, "a head before the end of the request before it"
        reading.open = Request(
            event.method, event.target, event.version, event.path, event.query, headers=list(event.headers)
        )
        return
    assert reading.open is not None, f"{event} before a head"
    if isinstance(event, wire.Data):
        assert event.data, "an event of no bytes"
        reading.open.body += event.data.decode("latin-1")
    else:
        assert isinstance(event, wire.EndOfRequest)
        reading.requests.append(reading.open)
        reading.trailers.append(event.trailers)
        reading.open = None


def bytewise(data: bytes) -> list[bytes]:
    """Each byte by itself."""
    return [data[place : place + 1] for place in range(len(data))]
