"""Error pages: what the server responds with itself has the operator's pages for bodies."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from portico.ctl.connection import ask
from support.gateway import uwsgi, variables
from support.pages import DOCS, blocks_of
from support.server import free_port
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Portico, Start

PAGE = (DOCS / "error-pages.md").read_text("utf-8")
SOURCE = """
import os, threading
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise RuntimeError("on purpose")
    if path == "/sleep":
        while not os.path.exists("go"):
            threading.Event().wait(0.01)
    if path == "/ours":
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"the application's own"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""
HTML = ("text/html; charset=utf-8", "no-store")
PLAIN = ("text/plain; charset=utf-8", None)
Asked = tuple[int, str | None, str | None, bytes]


class Response:
    """One response, read to its end."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        pairs = [line.partition(": ") for line in lines[1:]]
        self.headers = {name.lower(): value for name, _, value in pairs}

    @property
    def kind(self) -> tuple[str | None, str | None]:
        return self.headers.get("content-type"), self.headers.get("cache-control")

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body!r}"


class Paged:
    """A folder with an application, pages, and the server of its portico.toml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "here.py").write_text(SOURCE)
        (folder / "errors").mkdir()
        self.port = free_port()
        self.dead = free_port()
        self.portico: Portico | None = None

    def page(self, name: str, text: str = "") -> None:
        (self.folder / "errors" / name).write_text(text or f"<p>{name}")

    def write(self, text: str) -> None:
        address = f'[listening]\nbind = ["127.0.0.1:{self.port}"]\n'
        (self.folder / "portico.toml").write_text(address + text.replace("DEAD", str(self.dead)), "utf-8")

    def start(self, text: str, *, is_ready: bool = True) -> Portico:
        self.write(text)
        self.portico = Portico(self.folder, "", (), port=self.port, reads_file=True)
        if is_ready:
            self.portico.wait_ready()
        return self.portico

    def ask(self, path: str, *, method: str = "GET", host: str = "test", **headers: str) -> Response:
        assert self.portico is not None
        fields = {"Host": host, "Connection": "close", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        with self.portico.connect() as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
            return Response(_all_of(connection))


def _all_of(connection: Any) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


@pytest.fixture
def paged(tmp_path: Path) -> Iterator[Paged]:
    made = Paged(tmp_path)
    yield made
    if made.portico is not None:
        made.portico.kill()


ROUTED = """
[error_pages]
404 = "errors/404.html"
421 = "errors/421.html"
"5xx" = "errors/5xx.html"
413 = "errors/413.json"

[routes]
unknown_host = 421

[request_limits]
max_request_body = "1K"

[[app]]
app = "here"
host = "test"
mount = "/app"
error_pages = { 500 = "errors/500-app.html" }

[[static]]
root = "files"
host = "test"
mount = "/files"

[static.error_pages]
404 = "errors/404-files.html"

[[upstream]]
to = "http://127.0.0.1:DEAD"
host = "test"
mount = "/there"
error_pages = { "5xx" = "errors/5xx-there.html" }

[[upstream]]
to = "http://127.0.0.1:DEAD"
host = "test"
mount = "/elsewhere"

[[respond]]
host = "test"
path = "/soon"
status = 503
body = "at noon"
"""
PAGES = ("404.html", "421.html", "5xx.html", "413.json", "500-app.html", "404-files.html", "5xx-there.html")


@pytest.fixture
def routed(paged: Paged) -> Paged:
    (paged.folder / "files").mkdir()
    (paged.folder / "files" / "a.txt").write_text("a file")
    for name in PAGES:
        paged.page(name)
    paged.start(ROUTED)
    return paged


def test_each_response_of_the_server_has_the_page_of_its_row_or_else_of_the_server(routed: Paged) -> None:
    assert routed.ask("/app").body == b"served"
    expected: list[tuple[str, dict[str, str], int, bytes]] = [
        ("/nowhere", {}, 404, b"<p>404.html"),
        ("/app", {"host": "other"}, 421, b"<p>421.html"),
        ("/app/raise", {}, 500, b"<p>500-app.html"),
        ("/files/none.txt", {}, 404, b"<p>404-files.html"),
        ("/files/../../a", {}, 404, b"<p>404-files.html"),
        ("/there", {}, 502, b"<p>5xx-there.html"),
        ("/elsewhere", {}, 502, b"<p>5xx.html"),
    ]
    for path, options, status, body in expected:
        response = routed.ask(path, **options)
        assert (response.status, response.kind, response.body) == (status, HTML, body), path
        assert response.headers["content-length"] == str(len(body)), path
        # RFC 9110 9.3.2: the same head, and no body.
        response = routed.ask(path, method="HEAD", **options)
        assert (response.status, response.kind, response.body) == (status, HTML, b""), path
        assert response.headers["content-length"] == str(len(body)), path


def test_what_the_application_or_the_configuration_says_is_left_as_it_is(routed: Paged) -> None:
    response = routed.ask("/app/ours")
    assert (response.status, response.kind, response.body) == (
        500,
        ("text/plain", None),
        b"the application's own",
    )
    response = routed.ask("/soon")
    assert (response.status, response.kind, response.body) == (503, PLAIN, b"at noon")


def test_a_client_that_takes_no_such_page_gets_a_sentence(routed: Paged) -> None:
    for path, sentence in (
        ("/nowhere", b"404 Not Found\n"),
        ("/app/raise", b"500 Internal Server Error\n"),
        ("/files/none.txt", b"404 Not Found\n"),
        ("/there", b"502 Bad Gateway\n"),
    ):
        response = routed.ask(path, Accept="application/json")
        assert (response.kind, response.body) == (PLAIN, sentence)
        for accepted in ("*/*", "text/*", "application/json, text/html;q=0.5"):
            assert routed.ask(path, Accept=accepted).kind == HTML
    # By the type of the page, not by that of most.
    assert routed.ask("/app", method="POST", Content_Length="5000", Accept="text/html").kind == PLAIN
    response = routed.ask("/app", method="POST", Content_Length="5000", Accept="application/json")
    assert (response.status, response.kind) == (413, ("application/json", "no-store"))
    assert response.body == b"<p>413.json"


def test_a_connection_is_kept_after_an_error_page(routed: Paged) -> None:
    assert routed.portico is not None
    requests = (b"/nowhere", b"/app/raise", b"/files/none.txt", b"/there", b"/app")
    with routed.portico.connect() as connection:
        for path in requests:
            last = b"Connection: close\r\n" if path == b"/app" else b""
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: test\r\n" + last + b"\r\n")
        received = _all_of(connection)
    bodies = [b"<p>404.html", b"<p>500-app.html", b"<p>404-files.html", b"<p>5xx-there.html", b"served"]
    assert received.count(b"HTTP/1.1 ") == len(requests)
    places = [received.index(body) for body in bodies]
    assert places == sorted(places)


def test_a_file_is_read_at_the_start_and_again_by_a_reload(paged: Paged) -> None:
    paged.page("404.html", "one")
    portico = paged.start(
        '[[app]]\napp = "here"\nmount = "/app"\n[error_pages]\n404 = "errors/404.html"\n'
        "[processes]\nworkers = 1\n"
    )
    assert (paged.ask("/").kind, paged.ask("/").body) == (HTML, b"one")
    paged.page("404.html", "two")
    assert paged.ask("/").body == b"one"
    portico.signal(signal.SIGHUP)
    wait_until(lambda: paged.ask("/").body == b"two", what="the page to be another")
    (paged.folder / "errors" / "404.html").unlink()
    portico.signal(signal.SIGHUP)
    portico.wait_for("error_pages: expected a file for 404, got ")
    assert paged.ask("/").body == b"two"


MISTAKES: dict[str, tuple[str, Callable[[Paged], object], str]] = {
    "none": (
        '[error_pages]\n503 = "errors/503.html"\n',
        lambda paged: None,
        'portico.toml:3:1: error_pages: expected a file for 503, got "errors/503.html": '
        "No such file or directory",
    ),
    "a folder": (
        '[error_pages]\n503 = "errors"\n',
        lambda paged: None,
        'error_pages: expected a file for 503, got "errors", which is none',
    ),
    "too large": (
        '[error_pages]\n503 = "errors/503.html"\n',
        lambda paged: paged.page("503.html", "x" * 65537),
        'error_pages: expected a file of at most 65536 bytes for 503, got "errors/503.html" with 65537',
    ),
    "of a row": (
        '[[upstream]]\nto = "http://127.0.0.1:1"\nmount = "/a"\nerror_pages = { 502 = "no.html" }\n',
        lambda paged: None,
        'portico.toml:3:1: error_pages: expected a file for 502, got "no.html": No such file or directory',
    ),
    "a status that is none": (
        '[error_pages]\n200 = "errors/200.html"\n6xx = "errors/600.html"\n',
        lambda paged: None,
        "portico.toml:4:7: 200: expected a status from 400 to 599, or 4xx or 5xx, and a file, "
        'such as 404=errors/404.html, got "200=errors/200.html"',
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_page_that_cannot_be_sent_is_a_mistake_at_the_start(paged: Paged, name: str) -> None:
    text, prepare, sentence = MISTAKES[name]
    prepare(paged)
    if "[[upstream]]" not in text:
        text += '[[app]]\napp = "here"\n'
    portico = paged.start(text, is_ready=False)
    assert portico.wait() == 2
    assert sentence in portico.log()


@of_the_default
def test_the_configuration_that_is_shown_is_the_one_that_was_read(paged: Paged) -> None:
    file = paged.folder / "portico.toml"
    file.write_text('[error_pages]\n404 = "errors/404.html"\n5xx = "errors/5xx.html"\n')
    command = [sys.executable, "-m", "portico", "config", "--changed"]

    def shown(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], cwd=paged.folder, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = shown()
    paths = {status: f"{paged.folder}/errors/{status}.html" for status in ("404", "5xx")}
    lines = [f'"{status}" = "{path}"' for status, path in paths.items()]
    assert printed == "\n".join(["[error_pages]  # portico.toml:1:1", *lines, ""])
    file.write_text(printed)
    assert shown() == printed
    entries = {status: {"value": path, "origin": "portico.toml:1:1"} for status, path in paths.items()}
    assert json.loads(shown("--json")) == {"error_pages": entries}


def test_who_finds_no_room_gets_the_page_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / "503.html").write_text("<p>full")
    options = ("--threads", "1", "--workers", "1", "--max-in-flight", "1", "--error-page", "503=503.html")
    options = (*options, "--control", "control.sock")
    portico = start(SOURCE, *options)
    portico.wait_ready()
    with portico.ask("/sleep") as first:
        wait_until(lambda: ask_calls(portico) == 1, what="the call")
        with portico.ask("/") as second:
            response = Response(_all_of(second))
        (tmp_path / "go").touch()
        assert _all_of(first).endswith(b"served")
    assert (response.status, response.kind, response.body) == (503, HTML, b"<p>full")
    assert response.headers["retry-after"] == "1"


def ask_calls(portico: Portico) -> int:
    calls: list[Any] = ask(f"{portico.folder}/control.sock", "requests", timeout_s=10)["requests"]
    return len(calls)


@pytest.mark.parametrize("how", ["raised in it", "in its place"])
def test_a_call_that_takes_too_long_gets_the_page(start: Start, tmp_path: Path, how: str) -> None:
    (tmp_path / "504.html").write_text("<p>too long")
    source = SOURCE
    if how == "in its place":
        # What is raised is caught: then somebody else responds.
        source = source.replace(
            "            threading.Event().wait(0.01)",
            "            try: threading.Event().wait(0.01)\n            except BaseException: pass",
        )
    portico = start(source, "--timeout", "300ms", "--error-page", "504=504.html")
    portico.wait_ready()
    with portico.ask("/sleep") as connection:
        response = Response(_all_of(connection))
    (tmp_path / "go").touch()
    assert (response.status, response.kind, response.body) == (504, HTML, b"<p>too long")


def test_a_pool_that_cannot_start_has_a_page_of_its_own_and_hurts_no_other(paged: Paged) -> None:
    for name in ("503.html", "503-shop.html", "500-shop.html", "503-news.html"):
        paged.page(name)
    (paged.folder / "shop.py").write_text("raise RuntimeError('on purpose')")
    (paged.folder / "news.py").write_text(SOURCE)
    portico = paged.start(
        '[processes]\nworkers = 1\n[routes]\nworkers = 1\n[error_pages]\n503 = "errors/503.html"\n'
        '[[app]]\napp = "here"\n'
        '[[app]]\napp = "news"\nmount = "/news"\nerror_pages = { 500 = "errors/503-news.html" }\n'
        '[[app]]\napp = "shop"\nmount = "/shop"\nthreads = 2\n[app.error_pages]\n'
        '503 = "errors/503-shop.html"\n500 = "errors/500-shop.html"\n'
    )
    portico.wait_for("pool shop cannot serve: its application cannot be loaded")
    response = paged.ask("/shop/cart")
    assert (response.status, response.kind, response.body) == (503, HTML, b"<p>503-shop.html")
    assert response.headers["retry-after"] == "1"
    assert paged.ask("/shop", Accept="application/json").body == b"503 Service Unavailable\n"
    assert paged.ask("/").body == paged.ask("/news/").body == b"served"
    # Those that share a pool have their own as well, and what a pool responds with itself has them.
    assert paged.ask("/news/raise").body == b"<p>503-news.html"
    assert paged.ask("/raise").body == b"500 Internal Server Error\n"
    (paged.folder / "shop.py").write_text(SOURCE)
    wait_until(lambda: paged.ask("/shop").body == b"served", what="the pool to serve", deadline_s=30)
    assert paged.ask("/shop/raise").body == b"<p>500-shop.html"
    # A page that has changed is a change of the pools that have it.
    paged.page("500-shop.html", "another")
    portico.signal(signal.SIGHUP)
    wait_until(lambda: paged.ask("/shop/raise").body == b"another", what="the page to be another")


def test_reverse_proxies_of_other_protocols_get_the_pages_too(paged: Paged) -> None:
    paged.page("502.html")
    paged.page("404.html")
    port = free_port()
    paged.write("")
    (paged.folder / "portico.toml").write_text(
        f'[listening]\nbind = ["127.0.0.1:{paged.port}", "uwsgi://127.0.0.1:{port}"]\n'
        '[error_pages]\n404 = "errors/404.html"\n502 = "errors/502.html"\n'
        f'[[upstream]]\nto = "http://127.0.0.1:{paged.dead}"\nmount = "/there"\n'
    )
    paged.portico = Portico(paged.folder, "", (), port=port, reads_file=True)
    paged.portico.wait_ready()

    def asked(path: str, *more: tuple[str, str]) -> Response:
        assert paged.portico is not None
        with paged.portico.connect() as connection:
            connection.sendall(uwsgi(variables(path, "GET", *more)))
            return Response(_all_of(connection))

    there = asked("/there")
    assert (there.status, there.kind, there.body) == (502, HTML, b"<p>502.html")
    assert asked("/there", ("HTTP_ACCEPT", "image/png")).body == b"502 Bad Gateway\n"
    nowhere = asked("/nowhere")
    assert (nowhere.status, nowhere.kind, nowhere.body) == (404, HTML, b"<p>404.html")


def test_an_application_file_whose_page_is_missing_is_left_out(paged: Paged) -> None:
    (paged.folder / "apps.d").mkdir()
    file = paged.folder / "apps.d" / "shop.toml"
    file.write_text('app = "here"\nmount = "/shop"\nerror_pages = { 503 = "503.html" }\n')
    portico = paged.start('[routes]\napps = "apps.d"\nworkers = 1\n[processes]\nworkers = 1\n')
    portico.wait_for("this application is left out")
    sentence = 'error_pages: expected a file for 503, got "503.html": No such file or directory'
    assert f"{file}:3:15: {sentence}" in portico.log()


def test_the_page_of_the_documentation_is_true(paged: Paged) -> None:
    [block, *_] = [block for block in blocks_of(PAGE) if block.language == "toml"]
    (paged.folder / "shop").mkdir()
    for name in ("shop/__init__.py", "shop/wsgi.py", "blog.py"):
        (paged.folder / name).write_text(SOURCE + "\ndef create_app(): raise RuntimeError('on purpose')\n")
    (paged.folder / "public").mkdir()
    for name in re.findall(r'"errors/(.*)"', block.text):
        paged.page(name)
    text = block.text.replace(":9000", f":{paged.dead}")
    portico = paged.start("[processes]\nworkers = 1\n[routes]\nworkers = 1\n" + text)
    portico.wait_for("pool blog-create_app cannot serve")
    bodies = {path: paged.ask(path).body for path in ("/", "/blog", "/files/a", "/search", "/raise")}
    assert bodies == {
        "/": b"served",
        "/blog": b"<p>blog-is-away.html",
        "/files/a": b"<p>404.html",
        "/search": b"<p>no-search.html",
        "/raise": b"<p>500.html",
    }
