"""portico.dev without a server: access lines, globs, what counts as changed, settings, the Accept header."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from portico.config.addresses import parse_address
from portico.config.routes.table import Action, Route, Routes
from portico.config.sources import resolve
from portico.dev.access_lines import short_line
from portico.dev.browser import url_of
from portico.dev.error_page import accepts_html
from portico.dev.globs import Glob
from portico.dev.modules import Report, ReportDecoder, encode_report, forget_bytecode
from portico.dev.settings import for_development
from portico.dev.watching import Watch
from portico.process.plan import Listener

LINE = '127.0.0.1 - - [28/Nov/2026:23:00:00 +0000] "{}" {} {} "-" "a client" {}'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE.format("GET /a?b=1 HTTP/1.1", 200, 12, "0.000321"), "GET /a?b=1 200 12B 0.3 ms"),
        (LINE.format("POST / HTTP/1.1", 404, 1500, "0.012000"), "POST / 404 1.5K 12 ms"),
        (LINE.format("GET / HTTP/1.1", 200, 20_000_000, "3.210000"), "GET / 200 19M 3.2 s"),
        (LINE.format("GET / HTTP/1.1", 0, 0, "0.000000"), "GET / --- 0B 0.0 ms"),
        (LINE.format(r"GET /\x22\x1b[31m HTTP/1.1", 200, 0, "0.1"), r"GET /\x22\x1b[31m 200 0B 100 ms"),
        (LINE.format("-", 400, 0, "0.0"), "- - 400 0B 0.0 ms"),
    ],
)
def test_short_lines(line: str, expected: str) -> None:
    found = short_line(line, columns=0, colour=False)
    assert re.sub(r"^\d\d:\d\d:\d\d ", "", found) == expected


def test_a_line_that_is_none_stays() -> None:
    assert short_line("something else", columns=80, colour=True) == "something else"


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_a_short_line_fits(columns: int) -> None:
    long = short_line(
        LINE.format(f"GET /{'a' * 300} HTTP/1.1", 200, 12, "0.1"), columns=columns, colour=False
    )
    assert len(long) == columns
    assert (
        len(short_line(LINE.format("GET / HTTP/1.1", 200, 12, "0.1"), columns=columns, colour=False))
        <= columns
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.html", ["a.html"]),
        ("**/*.html", ["a.html", "one/b.html", "one/two/c.html"]),
        ("one/**/*", ["one/b.html", "one/two/c.html"]),
        ("one", ["one/b.html", "one/two/c.html"]),
        ("a.html", ["a.html"]),
        ("missing.html", ["missing.html"]),
        ("?.html", ["a.html"]),
        ("*/b.html", ["one/b.html"]),
        ("one/../*.html", ["a.html"]),
        ("**/two/*", ["one/two/c.html"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    names = ["a.html", "a.html~", ".hidden.html", "one/b.html", "one/two/c.html"]
    names += ["node_modules/d.html", "environment/pyvenv.cfg", "environment/e.html", ".git/f.html"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = sorted(os.path.relpath(path, tmp_path) for path in Glob(str(tmp_path), pattern).files())
    assert found == expected


def test_what_counts_as_changed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    watch = Watch()
    watch.follow([str(one), str(two)], [], since_ns=time.time_ns() + 10**9)
    assert watch.look() == set()
    two.write_text("2")
    assert watch.look() == {str(two)}
    assert watch.look() == set()
    two.replace(one)
    assert watch.look() == {str(one), str(two)}
    one.unlink()
    assert watch.look() == {str(one)}


def test_a_file_that_was_saved_while_it_was_read_counts_as_changed(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("1")
    watch = Watch()
    watch.follow([str(path)], [], since_ns=path.stat().st_ctime_ns - 1)
    assert watch.look() == {str(path)}
    watch.follow([str(path)], [], since_ns=0)
    assert watch.look() == set()


def test_a_change_is_not_lost_when_something_else_is_watched_from_then_on(tmp_path: Path) -> None:
    watch, glob = Watch(), Glob(str(tmp_path), "*.md")
    watch.follow([], [glob], since_ns=0)
    (tmp_path / "new.md").write_text("1")
    watch.follow([str(tmp_path / "other.py")], [glob], since_ns=0)
    assert watch.look() == {str(tmp_path / "new.md")}
    assert watch.look() == set()


def test_reports_come_split_anywhere() -> None:
    frames = encode_report(Report(["/a"], [("/b", "*")], has_failed=False))
    frames += encode_report(Report([], [], has_failed=True))
    decoder = ReportDecoder()
    found = [report for byte in frames for report in decoder.feed(bytes((byte,)))]
    assert [(each.files, each.globs, each.has_failed) for each in found] == [
        (["/a"], [("/b", "*")], False),
        ([], [], True),
    ]


def test_bytecode_is_forgotten(tmp_path: Path) -> None:
    import py_compile

    source = tmp_path / "shop.py"
    source.write_text("1")
    compiled = Path(py_compile.compile(str(source)) or "")
    assert compiled.exists()
    forget_bytecode([str(source), str(tmp_path / "missing.py"), str(tmp_path / "page.html")])
    assert not compiled.exists()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("application/json, TEXT/HTML; q=0.1", True),
        ("text/html;q=0", False),
        ("text/html;q=0.0, */*", False),
        ("*/*", False),
        ("", False),
        ("application/json", False),
    ],
)
def test_who_accepts_html(accept: str, expected: bool) -> None:
    assert accepts_html(accept) is expected


def test_names_are_looked_up_by_the_system_in_development() -> None:
    values = {"to": ["http://a:80"], "resolver": "dns"}
    given = resolve({}, {})
    given.routes = Routes([Route("", "/a", Action("upstream", values, "here"))]).dump()
    [action] = Routes.load(for_development(given).routes).actions
    assert action.values == {**values, "resolver": "system"}


def test_settings_for_development() -> None:
    given = resolve({"timeout": ["9s"]}, {"PORTICO_WORKERS": "4", "PORTICO_KEEP_ALIVE": "5"})
    settings = for_development(given)
    assert (settings.workers, settings.threads, settings.timeout_s) == (1, 1, 9.0)
    assert (settings.keep_alive_s, settings.queue_timeout_s) == (0.0, 0.0)
    assert settings.origins["workers"] == "the default of portico dev"
    assert for_development(resolve({}, {"PORTICO_THREADS": "4"})).threads == 4
    given.routes = [404, "", [], []]
    assert for_development(given).routes == given.routes


@pytest.mark.parametrize(
    ("binds", "expected"),
    [
        (["127.0.0.1:80"], "http://127.0.0.1:80/shop/"),
        (["unix:/run/a", "0.0.0.0:81"], "http://127.0.0.1:81/shop/"),
        (["uwsgi://:82", "[::]:83"], "http://[::1]:83/shop/"),
        (["localhost:84"], "http://localhost:84/shop/"),
        (["unix:/run/a"], ""),
    ],
)
def test_what_a_browser_opens(binds: list[str], expected: str) -> None:
    listeners = [Listener(-1, parse_address(text), text) for text in binds]
    assert url_of(listeners, "/shop") == expected
