"""Byte ranges (RFC 9110 14)."""

from __future__ import annotations

import io

import pytest
from portico.middleware.ranges import MAX_RANGES, Multipart, Section, requested_ranges


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        pytest.param("bytes=0-9", [(0, 10)], id="first-ten"),
        pytest.param("bytes=90-", [(90, 100)], id="open"),
        pytest.param("bytes=-10", [(90, 100)], id="suffix"),
        pytest.param("bytes=-1000", [(0, 100)], id="long-suffix"),
        pytest.param("bytes=90-1000", [(90, 100)], id="past-the-end"),
        pytest.param("bytes=90-" + "9" * 90, [(90, 100)], id="very-far-past-the-end"),
        pytest.param("Bytes = 0-9", [(0, 10)], id="case"),
        pytest.param("bytes=0-9, 20-29 ,,-1", [(0, 10), (20, 30), (99, 100)], id="several"),
        pytest.param("bytes=0-9,200-", [(0, 10)], id="one-in-the-file"),
        pytest.param("bytes=50-59,0-9", [(50, 60), (0, 10)], id="order-is-kept"),
        pytest.param("bytes=100-", [], id="after-the-end"),
        pytest.param("bytes=-0", [], id="empty-suffix"),
        pytest.param("bytes=9-0", None, id="backwards"),
        pytest.param("bytes=", None, id="nothing"),
        pytest.param("bytes=-", None, id="only-a-dash"),
        pytest.param("bytes=a-b", None, id="letters"),
        pytest.param("bytes=+1-2", None, id="sign"),
        pytest.param("bytes=1-2-3", None, id="three"),
        pytest.param("bytes=\u0661-\u0662", None, id="other-digits"),
        pytest.param("lines=0-9", None, id="other-unit"),
        pytest.param("0-9", None, id="no-unit"),
        pytest.param("bytes=0-,0-", None, id="more-than-the-file"),
        pytest.param("bytes=" + "0-0," * MAX_RANGES, [(0, 1)] * MAX_RANGES, id="many"),
        pytest.param("bytes=" + "0-0," * MAX_RANGES + "0-0", None, id="too-many"),
        pytest.param("bytes=" + "9" * 5000 + "-", None, id="endless-number"),
    ],
)
def test_ranges_of_a_hundred_bytes(value: str, ranges: list[tuple[int, int]] | None) -> None:
    assert requested_ranges(value, 100) == ranges


def test_an_empty_file_has_no_range() -> None:
    assert requested_ranges("bytes=0-", 0) == []


def test_a_section_ends() -> None:
    file = io.BytesIO(b"0123456789")
    section = Section(file, 2, 7)
    assert [section.read(3), section.read(3), section.read(3), section.read()] == [b"234", b"56", b"", b""]
    assert Section(file, 4, 6).read() == b"45"
    section.close()
    assert file.closed


def test_a_multipart_body_has_the_length_that_it_says() -> None:
    file = io.BytesIO(b"0123456789")
    body = Multipart(file, [(8, 10), (0, 3)], 10, "text/plain")
    boundary = body.content_type.removeprefix("multipart/byteranges; boundary=")
    content = b"".join(body)
    assert len(content) == body.content_length
    assert content.decode().replace(boundary, "B") == (
        "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89"
        "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-2/10\r\n\r\n012"
        "\r\n--B--\r\n"
    )
    body.close()
    assert file.closed
