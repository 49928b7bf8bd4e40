"""Profile: a table or a file for each request."""

from __future__ import annotations

import io
import pstats
import threading
from pathlib import Path
from typing import Any

import pytest
from portico.middleware import Profile, profiler

from .calling import environ_of, fetch


class Page:
    """An application with an iterable that knows whether it is closed, and a function to be found."""

    def __init__(self) -> None:
        self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one ")
        return self

    def __iter__(self) -> Any:
        yield self.to_be_found()
        yield b"three"

    def to_be_found(self) -> bytes:
        return b"two "

    def close(self) -> None:
        self.closed += 1


def test_a_table_for_each_request() -> None:
    report = io.StringIO()
    page = Page()
    application = Profile(page, stream=report, sort_by=("cumulative",), restrictions=("to_be_found",))
    assert fetch(application, "/a/b").body == b"one two three"
    assert page.closed == 1
    lines = report.getvalue().splitlines()
    assert lines[:2] == ["-" * 80, "PATH: '/a/b'"]
    assert "Ordered by: cumulative time" in report.getvalue()
    assert "(to_be_found)" in report.getvalue()


@pytest.mark.parametrize(
    ("path", "beginning"),
    [
        pytest.param("/", "GET.root.", id="root"),
        pytest.param("/a/../b/", "GET.a....b.", id="no-folders"),
        pytest.param("/" + "ä" * 300, "GET." + "Ã¤" * 50 + ".", id="long"),
    ],
)
def test_a_file_for_each_request(tmp_path: Path, path: str, beginning: str) -> None:
    fetch(Profile(Page(), stream=None, profile_dir=tmp_path), path)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(beginning)
    assert file.suffix == ".prof"
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    assert "to_be_found" in {function for _, _, function in stats}


def test_a_callable_names_the_file(tmp_path: Path) -> None:
    def name(environ: dict[str, Any]) -> str:
        assert set(environ["werkzeug.profiler"]) == {"elapsed", "time"}
        return f"{environ['PATH_INFO'].strip('/')}.prof"

    fetch(Profile(Page(), stream=None, profile_dir=str(tmp_path), filename_format=name), "/named")
    assert [file.name for file in tmp_path.iterdir()] == ["named.prof"]


def test_the_result_is_closed_when_the_application_raises() -> None:
    class Broken(Page):
        def to_be_found(self) -> bytes:
            raise LookupError

    page = Broken()
    with pytest.raises(LookupError):
        fetch(Profile(page, stream=None))
    assert page.closed == 1
    # The next one is profiled all the same.
    assert fetch(Profile(Page(), stream=None)).body == b"one two three"


def test_a_page_about_an_error_takes_the_place_of_the_body() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        try:
            raise LookupError
        except LookupError as error:
            start_response(
                "500 Sorry", [("Content-Type", "text/plain")], (LookupError, error, error.__traceback__)
            )
        yield b"sorry"

    response = fetch(Profile(application, stream=None))
    assert (response.status, response.body) == ("500 Sorry", b"sorry")


def test_one_request_is_profiled_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, release = threading.Event(), threading.Event()
    report = io.StringIO()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/first":
            entered.set()
            assert release.wait(20)
        return [b"done"]

    first = threading.Thread(target=fetch, args=(Profile(application, stream=None), "/first"))
    first.start()
    assert entered.wait(20)
    monkeypatch.setattr(profiler, "_WAIT_S", 0.01)
    assert fetch(Profile(application, stream=report), "/second").body == b"done"
    assert report.getvalue() == "PATH: '/second' is not profiled: others still are after 0.01 s\n"
    release.set()
    first.join(20)
    assert fetch(Profile(application, stream=report), "/third").body == b"done"
    assert "PATH: '/third'\n" in report.getvalue()


def test_a_request_inside_a_request_is_not_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_WAIT_S", 0.01)
    report = io.StringIO()

    def asks_itself(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/inner":
            return list(Page()(environ, start_response))
        inner = profiled(environ_of("/inner"), lambda *_: bytes)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return list(inner)

    profiled = Profile(asks_itself, stream=report)
    assert fetch(profiled, "/outer").body == b"two three"
    assert (
        report.getvalue().splitlines()[0] == "PATH: '/inner' is not profiled: others still are after 0.01 s"
    )
