"""portico.config.units: sizes and durations as people write them."""

from __future__ import annotations

import pytest
from portico.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("100B", 100),
        ("64K", 64 << 10),
        ("64k", 64 << 10),
        ("10M", 10 << 20),
        ("10MB", 10 << 20),
        ("10MiB", 10 << 20),
        ("1.5G", 3 << 29),
        (" 2 T ", 2 << 40),
    ],
)
def test_reads_a_size(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "M", "-1", "+1", "1e3", "10X", "1.2.3", "ten", "1 0", "inf", "٣"])
def test_rejects_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("0", 0),
        ("30", 30),
        ("30s", 30),
        ("500ms", 0.5),
        ("2m", 120),
        ("2min", 120),
        ("1.5h", 5400),
        ("1d", 86400),
    ],
)
def test_reads_a_duration(text: str, duration_s: float) -> None:
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize("text", ["", "s", "-1s", "1y", "1M", "1e3", "nan", "inf"])
def test_rejects_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        parse_duration(text)


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, 1024, 1 << 20, 3 << 29, 1 << 40])
def test_shows_a_size_so_that_it_can_be_read_back(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize("duration_s", [0, 0.25, 1, 1.5, 30, 60, 90, 3600, 86400])
def test_shows_a_duration_so_that_it_can_be_read_back(duration_s: float) -> None:
    assert parse_duration(format_duration(duration_s)) == duration_s
