"""portico.log: `wsgi.errors` as whole lines of the error log."""

from __future__ import annotations

import pytest
from portico import _core
from portico.log import MAX_PARTIAL_LINE_CHARACTERS, ErrorStream


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the error log."""
    written: list[str] = []

    def log_lines(text: str) -> None:
        text.encode("utf-8")
        written.append(text)

    monkeypatch.setattr(_core, "log_lines", log_lines)
    return written


def test_holds_a_line_until_it_is_whole(records: list[str]) -> None:
    stream = ErrorStream()
    print("one", "two", file=stream, end="")
    assert records == []
    print(file=stream)
    assert records == ["one two"]


def test_keeps_lines_written_at_once_together(records: list[str]) -> None:
    stream = ErrorStream()
    stream.writelines(["Traceback\n", "  line\n", "rest"])
    assert records == ["Traceback\n  line"]
    stream.flush()
    stream.flush()
    assert records == ["Traceback\n  line", "rest"]


def test_takes_any_unicode(records: list[str]) -> None:
    ErrorStream().write("é \U0001f600 \udcff\n")
    assert records == ["é \U0001f600 \\udcff"]


def test_does_not_buffer_an_endless_line(records: list[str]) -> None:
    ErrorStream().write("x" * (MAX_PARTIAL_LINE_CHARACTERS + 1))
    assert len(records) == 1


def test_returns_what_it_took_and_rejects_bytes() -> None:
    assert ErrorStream().write("abc") == 3
    with pytest.raises(TypeError, match=r"wsgi\.errors takes str, not bytes"):
        ErrorStream().write(b"abc")  # type: ignore[arg-type]
