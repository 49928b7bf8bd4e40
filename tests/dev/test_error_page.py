"""What cannot be loaded, or raises, is on the terminal and on a page until a save mends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import HTML, Start, save

GOOD = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"good"]
"""
RAISING = """
def price(order):
    secret = "a secret value"
    return order["price"]

def application(environ, start_response):
    return price({"name": "<b>bold</b>"})
"""


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        pytest.param("def application(:\n", "SyntaxError: invalid syntax", id="syntax"),
        pytest.param("import nothing_like_it\n", "ModuleNotFoundError: No module named", id="missing"),
        pytest.param("1 / 0\n", "ZeroDivisionError: division by zero", id="raises"),
        pytest.param("raise SystemExit(3)\n", "SystemExit: 3", id="exits"),
        pytest.param("raise KeyboardInterrupt\n", "KeyboardInterrupt", id="interrupted"),
        pytest.param("import os; os._exit(7)\n", "the worker ended with status 7 while it loaded", id="dies"),
        pytest.param("", "module shop has no `application` and no `app`", id="no application"),
        pytest.param("async def app(scope, receive, send): ...\n", "is asynchronous (ASGI)", id="ASGI"),
        pytest.param("\x00", "null bytes", id="no text"),
    ],
)
def test_a_broken_file_and_its_mending(start: Start, tmp_path: Path, broken: str, expected: str) -> None:
    path = tmp_path / "shop.py"
    save(path, GOOD)
    dev = start().wait_ready()
    assert dev.body() == "good"
    save(path, broken)
    dev.wait_for("the error page is served until a change mends it")
    status, kind, page = dev.get(accept=HTML)
    assert (status, kind) == (500, "text/html; charset=utf-8")
    text = dev.get()
    assert text[:2] == (500, "text/plain; charset=utf-8")
    assert expected in text[2]
    assert "shop cannot be loaded" in page
    assert expected in dev.log()
    save(path, GOOD)
    dev.wait_body("good")


def test_is_there_from_the_start(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", "import part\n" + GOOD)
    save(tmp_path / "part.py", "value = (\n")
    dev = start().wait_ready()
    status, _, page = dev.get(accept=HTML)
    assert status == 500
    assert "part.py" in page
    save(tmp_path / "part.py", "value = 1\n")
    dev.wait_body("good")


def test_a_module_that_is_missing_may_come_to_be(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", "import store.values\n" + GOOD)
    dev = start().wait_ready()
    assert dev.get()[0] == 500
    (tmp_path / "store").mkdir()
    save(tmp_path / "store" / "values.py", "")
    dev.wait_body("good")


def test_the_application_itself_may_come_to_be(start: Start, tmp_path: Path) -> None:
    dev = start().wait_ready()
    assert "no module named shop" in dev.get()[2]
    save(tmp_path / "shop.py", GOOD)
    dev.wait_body("good")


def test_shows_the_lines_around_and_nothing_of_the_server(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", RAISING)
    dev = start().wait_ready()
    status, _, page = dev.get("/cart?a=1", accept=HTML)
    assert status == 500
    assert "KeyError: &#x27;price&#x27;" in page
    assert "shop:application failed at GET /cart" in page
    assert re.search(r"<mark><i> +4</i> +return order\[&quot;price&quot;\]</mark>", page)
    assert "portico/dev" not in page
    assert "<b>bold" not in page
    assert "the application shop:application failed at GET /cart\nTraceback" in dev.log()


def test_a_path_forges_no_line_of_the_log(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", RAISING)
    dev = start().wait_ready()
    assert dev.get("/%0Aforged%1B%5B31m")[0] == 500
    dev.wait_for(r"failed at GET /\nforged\x1b[31m")
    assert "\x1b" not in dev.log()


@pytest.mark.parametrize(
    "options", [pytest.param((), id="hidden"), pytest.param(("--show-locals",), id="asked for")]
)
def test_variables_are_there_only_if_asked_for(
    start: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    save(tmp_path / "shop.py", RAISING)
    page = start(*options).wait_ready().get(accept=HTML)[2]
    # The line itself is there in any case.
    values = [
        "<td>secret<td><code>&#x27;a secret value&#x27;</code>" in page,
        "<td><code>{&#x27;name&#x27;: &#x27;&lt;b&gt;bold&lt;/b&gt;&#x27;}</code>" in page,
    ]
    assert values == [bool(options)] * 2


def test_nothing_runs_in_the_browser(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", RAISING)
    dev = start().wait_ready()
    page = dev.get(accept=HTML)[2]
    assert not re.search(r"<script|javascript:|\son\w+=|<form|<input", page)


def test_causes_come_first(start: Start, tmp_path: Path) -> None:
    source = """
def application(environ, start_response):
    try:
        {}["first"]
    except KeyError as error:
        raise RuntimeError("second") from error
"""
    save(tmp_path / "shop.py", source)
    page = start().wait_ready().get(accept=HTML)[2]
    order = [page.index(f"<h2>{name}") for name in ("KeyError", "RuntimeError")]
    assert order == sorted(order)
    assert "That was the cause of:" in page


def test_a_value_that_cannot_be_shown(start: Start, tmp_path: Path) -> None:
    source = """
class Odd:
    def __repr__(self):
        raise ValueError("no")

def application(environ, start_response):
    odd = Odd()
    1 / 0
"""
    save(tmp_path / "shop.py", source)
    page = start("--show-locals").wait_ready().get(accept=HTML)[2]
    assert "&lt;its repr() raises ValueError&gt;" in page


def test_replaces_a_response_that_was_begun(start: Start, tmp_path: Path) -> None:
    source = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise RuntimeError("after the head")
"""
    save(tmp_path / "shop.py", source)
    status, _, text = start().wait_ready().get()
    assert status == 500
    assert "RuntimeError: after the head" in text
