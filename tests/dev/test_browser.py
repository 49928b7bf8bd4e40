"""A real browser beside an editor: what it shows after each save, with nobody turned away meanwhile."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.browser import PROGRAM, Browser
from support.waiting import wait_until

from .conftest import Development, Start, save

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is missing")

SHOP = """{head}
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<title>shop</title><p>" + str({value}).encode()]
"""
_DEADLINE_S = 20.0


def shop(value: object, head: str = "") -> str:
    return SHOP.format(value=value, head=head)


class Visitors:
    """Two clients that connect again as soon as they have their response."""

    def __init__(self, dev: Development) -> None:
        self.responses: list[bytes] = []
        self.failures: list[str] = []
        self._address = (dev.host, dev.port)
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(2)]

    def _visit(self) -> None:
        while not self._is_over.is_set():
            try:
                with socket.create_connection(self._address, _DEADLINE_S) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n")
                    self.responses.append(client.makefile("rb").read())
            except OSError as error:
                self.failures.append(repr(error))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.responses, what="a response")

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def visited(dev: Development) -> Iterator[None]:
    """Let clients connect all the time; each has to get a whole response, of the application or the page."""
    visitors = Visitors(dev)
    visitors.start()
    try:
        yield
        wait_until(lambda: len(visitors.responses) > 10, what="visitors enough")
    finally:
        visitors.stop()
    assert visitors.failures == []
    assert {response[:12] for response in visitors.responses} <= {b"HTTP/1.1 200", b"HTTP/1.1 500"}


def url(dev: Development) -> str:
    return f"http://{dev.host}:{dev.port}/"


def test_shows_what_is_broken_and_then_the_mended_one(start: Start, tmp_path: Path, browser: Browser) -> None:
    path = tmp_path / "shop.py"
    save(path, shop("'good'"))
    dev = start().wait_ready()
    with visited(dev):
        assert browser.open(url(dev)) == "good"
        save(path, "def application(:\n")
        shown = browser.open(url(dev))
        assert "shop cannot be loaded" in shown
        assert "SyntaxError: invalid syntax" in shown
        save(path, shop("'mended'"))
        assert browser.open(url(dev)) == "mended"
        save(path, shop("missing"))
        shown = browser.open(url(dev))
        assert "shop:application failed at GET /" in shown
        assert "NameError: name 'missing' is not defined" in shown
        save(path, shop("'mended again'"))
        assert browser.open(url(dev)) == "mended again"


def test_each_of_fifty_saves_is_followed_by_its_page(start: Start, tmp_path: Path, browser: Browser) -> None:
    path = tmp_path / "shop.py"
    save(path, shop(100))
    dev = start().wait_ready()
    shown = []
    with visited(dev):
        for number in range(101, 151):
            # Renamed over what was there, as most editors do, or written into it.
            if number % 2:
                save(path, shop(number))
            else:
                path.write_text(shop(number))
            shown.append(browser.open(url(dev)))
    assert shown == [str(number) for number in range(101, 151)]


def test_a_module_that_is_deleted_and_made_again(start: Start, tmp_path: Path, browser: Browser) -> None:
    part = tmp_path / "part.py"
    save(part, "value = 'first'\n")
    save(tmp_path / "shop.py", shop("part.value", head="import part"))
    dev = start().wait_ready()
    with visited(dev):
        assert browser.open(url(dev)) == "first"
        part.unlink()
        assert "ModuleNotFoundError: No module named 'part'" in browser.open(url(dev))
        save(part, "value = 'second'\n")
        assert browser.open(url(dev)) == "second"


def test_a_package_behind_a_link_that_is_switched(start: Start, tmp_path: Path, browser: Browser) -> None:
    for release in ("one", "two"):
        (tmp_path / "releases" / release).mkdir(parents=True)
        save(tmp_path / "releases" / release / "__init__.py", "from .values import value\n")
        save(tmp_path / "releases" / release / "values.py", f"value = {release!r}\n")
    link = tmp_path / "store"
    link.symlink_to("releases/one")
    save(tmp_path / "shop.py", shop("store.value", head="import store"))
    dev = start().wait_ready()
    shown = [browser.open(url(dev))]
    with visited(dev):
        for release in ("two", "one"):
            beside = tmp_path / "next"
            beside.symlink_to(f"releases/{release}")
            beside.replace(link)
            shown.append(browser.open(url(dev)))
    assert shown == ["one", "two", "one"]


def test_a_template_that_is_saved(start: Start, tmp_path: Path, browser: Browser) -> None:
    pytest.importorskip("flask", reason="flask is not installed")
    page = tmp_path / "templates" / "parts" / "page.html"
    page.parent.mkdir(parents=True)
    save(page, "<p>{{ 1 + 1 }} old")
    save(
        tmp_path / "shop.py",
        "from flask import Flask, render_template\n"
        "app = Flask(__name__)\n"
        "@app.get('/')\n"
        "def show():\n"
        "    return render_template('parts/page.html')\n",
    )
    dev = start().wait_ready()
    with visited(dev):
        assert browser.open(url(dev)) == "2 old"
        save(page, "<p>{{ 1 + 1 }} new")
        assert browser.open(url(dev)) == "2 new"
        save(page, "<p>{{ 1 + }}")
        assert "Internal Server Error" in browser.open(url(dev))
        save(page, "<p>{{ 1 + 1 }} mended")
        assert browser.open(url(dev)) == "2 mended"
