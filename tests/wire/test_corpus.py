"""tests/corpus/http1 through `portico.wire`: each file comes to what it has to, in whatever pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from portico import wire
from support.http1_corpus import INVALID, VALID, Case
from support.server import Server

from wire.reading import bytewise, read


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def test_the_corpus_is_there() -> None:
    assert len(VALID) > 250
    assert len(INVALID) > 300


@each(VALID)
def test_a_valid_connection_is_read_as_expected(case: Case) -> None:
    whole = read([case.data])
    assert (whole.requests, whole.rejected) == (case.requests, None)
    leftover = case.leftover.encode("latin-1")
    if whole.open is None:
        assert whole.leftover == leftover
    else:
        # Its head is an event already, and so is what there is of its body.
        assert leftover.startswith(f"{whole.open.method} {whole.open.target} ".encode())
        assert whole.leftover == b""
    assert read(bytewise(case.data)) == whole


@each(INVALID)
def test_an_invalid_connection_is_rejected_as_expected(case: Case) -> None:
    whole = read([case.data])
    assert whole.rejected is not None
    assert (whole.rejected[0], len(whole.requests)) == (case.status, case.after)
    split = read(bytewise(case.data))
    assert (split.requests, split.open, split.rejected) == (whole.requests, whole.open, whole.rejected)


# --- Against the server itself


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("apps.echoing:application", options=["--log-level", "debug"]) as running:
        yield running


FIRST_OF_STATUS = {case.status: case for case in INVALID if not case.after and len(case.data) < 20_000}


@each(list(FIRST_OF_STATUS.values()))
def test_a_rejection_has_the_response_and_the_sentence_of_the_server(server: Server, case: Case) -> None:
    parser = wire.RequestParser()
    parser.feed(case.data)
    with pytest.raises(wire.RequestRejected) as caught:
        list(iter(parser.next_event, wire.NEED_DATA))
    rejected = caught.value
    position = server.error_log.position()
    with server.connect() as connection:
        connection.send(case.data)
        received = connection.read_to_end()
    assert without_date(rejected.response) == without_date(received)
    assert f"rejected with {rejected.status}: {rejected.reason} (" in server.error_log.text(position)
    assert str(rejected) == f"{rejected.reason} ({rejected.status})"


def without_date(response: bytes) -> bytes:
    shortened, count = re.subn(rb"\r\nDate: [^\r]+", b"", response)
    assert count == 1
    return shortened
