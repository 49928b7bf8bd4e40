"""portico.config.addresses: what --bind accepts."""

from __future__ import annotations

import pytest
from portico.config.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address(host="127.0.0.1", port=8000)),
        ("localhost:0", Address(host="localhost", port=0)),
        (":8000", Address(host="0.0.0.0", port=8000)),
        ("[::1]:8000", Address(host="::1", port=8000)),
        ("unix:run/shop.sock", Address(path="run/shop.sock")),
        ("unix:/run/shop.sock?mode=660", Address(path="/run/shop.sock", mode=0o660)),
    ],
)
def test_reads_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "8000", "host", "host:", "host:http", "host:65536", "host:-1"),
        *("::1:8000", "[host]:80", "[::1]", "http://a:80"),
        *("unix:", "unix:a?mode=", "unix:a?mode=888", "unix:a?mode=7777", "unix:a?user=me"),
    ],
)
def test_rejects_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        parse_address(text)


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::1]:8000", "unix:/a", "unix:/a?mode=600"])
def test_shows_an_address_so_that_it_can_be_read_back(text: str) -> None:
    assert str(parse_address(text)) == text
