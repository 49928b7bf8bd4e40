"""Middleware by configuration: put around the application, or a sentence that names the entry."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Portico, Start

SOURCE = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application"]

class Around:
    def __init__(self, app, *, name="nameless", options=None):
        if name == "bad":
            raise ValueError("expected another name than bad")
        if name == "broken":
            raise RuntimeError("no database")
        self.app, self.name, self.options = app, name, options

    def __call__(self, environ, start_response):
        text = self.name + (repr(self.options) if self.options else "")
        return [text.encode() + b"(" + b"".join(self.app(environ, start_response)) + b")"]

def around(app):
    return Around(app, name="plain")

def nothing(app):
    return None

number = 3
"""


def configure(folder: Path, middleware: str) -> None:
    (folder / "portico.toml").write_text(f"[[app]]\nmiddleware = {middleware}\n")


def test_the_first_is_the_outermost_and_has_its_arguments(start: Start, tmp_path: Path) -> None:
    configure(
        tmp_path,
        '["shop:around", { use = "shop:Around", name = "${NAME:-named}", options = { a = [1, 2.5, true] } }]',
    )
    portico = start(SOURCE)
    portico.wait_ready()
    assert portico.get() == "plain(named{'a': [1, 2.5, True]}(application))"


def test_the_command_line_and_the_environment_take_names(start: Start, tmp_path: Path) -> None:
    configure(tmp_path, '["shop:none"]')
    portico = start(SOURCE, "--middleware", "shop:around", "--middleware", "shop:Around")
    portico.wait_ready()
    assert portico.get() == "plain(nameless(application))"
    portico.stop()
    portico = start(SOURCE, environment={"PORTICO_MIDDLEWARE": "shop:Around, shop:around"})
    portico.wait_ready()
    assert portico.get() == "nameless(plain(application))"


def test_the_command_line_and_the_environment_take_arguments(start: Start) -> None:
    portico = start(SOURCE, "--middleware", "shop:Around(name='argued', options={'a': [1, 2.5, True]})")
    portico.wait_ready()
    assert portico.get() == "argued{'a': [1, 2.5, True]}(application)"
    portico.stop()
    portico = start(
        SOURCE, environment={"PORTICO_MIDDLEWARE": "shop:Around(name='a, b', options=1), shop:around"}
    )
    portico.wait_ready()
    assert portico.get() == "a, b1(plain(application))"


def test_a_reload_makes_it_anew(start: Start, tmp_path: Path) -> None:
    configure(tmp_path, '["shop:around"]')
    portico = start(SOURCE, "-w", "1")
    portico.wait_ready()
    (tmp_path / "shop.py").write_text(SOURCE.replace('"plain"', '"reloaded"'))
    portico.signal(signal.SIGHUP)
    wait_until(lambda: portico.get() == "reloaded(application)", what="the new code to respond")


BROKEN = [
    ('"shop:Arond"', "shop:Arond, cannot be imported: shop has no Arond; did you mean Around?"),
    ('"shp:Around"', "shp:Around, cannot be imported: No module named 'shp'"),
    ('"shop.part:Around"', "shop.part:Around, cannot be imported: No module named 'shop.part'"),
    ('"shop:number"', 'shop:number, is not callable: it is "3"'),
    (
        '{ use = "shop:Around", nam = "x" }',
        "shop:Around, does not take its arguments (nam = 'x'): Around.__init__() got an unexpected keyword "
        "argument 'nam'",
    ),
    (
        '{ use = "shop:Around", name = "bad" }',
        "shop:Around, does not take its arguments (name = 'bad'): expected another name than bad",
    ),
    ('"shop:nothing"', 'shop:nothing, returned "None", which is no WSGI application'),
    (
        '{ use = "portico.middleware.http_proxy:HTTPProxyMiddleware", targets = { "/a" = {} } }',
        "portico.middleware.http_proxy:HTTPProxyMiddleware, does not take its arguments "
        "(targets = {'/a': {}}): targets: expected a target for '/a', such as http://127.0.0.1:5001/",
    ),
]


@pytest.mark.parametrize(("entry", "sentence"), BROKEN)
def test_an_entry_that_is_no_good_is_named_with_the_reason(
    start: Start, tmp_path: Path, entry: str, sentence: str
) -> None:
    configure(tmp_path, f'["shop:around", {entry}]')
    portico = start(SOURCE)
    assert portico.wait() == 3, portico.log()
    assert f"middleware 2 of 2, {sentence}" in portico.log()
    assert "Traceback" not in portico.log()
    checked = subprocess.run(
        [sys.executable, "-m", "portico", "check", "shop", "-b", "127.0.0.1:0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, f"middleware 2 of 2, {sentence}" in checked.stderr) == (3, True), (
        checked.stderr
    )


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            '{ use = "shop:Around", name = "broken" }',
            "middleware 1 of 1, shop:Around, does not take its arguments (name = 'broken'): RuntimeError\n",
        ),
        ('"broken:Around"', "middleware 1 of 1, broken:Around, cannot be imported: ZeroDivisionError\n"),
        ('"missing:Around"', "middleware 1 of 1, missing:Around, cannot be imported: ModuleNotFoundError\n"),
    ],
)
def test_what_goes_wrong_inside_is_shown_with_its_traceback(
    start: Start, tmp_path: Path, entry: str, sentence: str
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "missing.py").write_text("import a_module_that_is_not_there\n")
    configure(tmp_path, f"[{entry}]")
    portico: Portico = start(SOURCE)
    assert portico.wait() == 3
    assert f"{sentence}Traceback (most recent call last):\n" in portico.log()
    assert "portico/process" not in portico.log()


@of_the_default
def test_a_worker_imports_no_more_than_what_is_used(start: Start) -> None:
    source = """
import sys
def application(environ, start_response):
    start_response("200 OK", [])
    return [" ".join(sorted(sys.modules)).encode()]
"""
    portico = start(source, "--middleware", "portico.middleware.server_timing:ServerTiming")
    portico.wait_ready()
    loaded = set(portico.get().split())
    assert "portico.middleware.server_timing" in loaded
    assert not loaded & {"typing", "logging", "http.client", "portico.middleware.http_proxy", "dataclasses"}


FAILING = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise KeyError("the shop")
    if path == "/generates":
        start_response("200 OK", [])
        return texts()
    if path == "/none":
        start_response("200 OK", [])
        return None
    start_response("200 OK", [("Connection", "x")] if path == "/hop" else [])
    return ["text"]

def texts():
    yield "text"

class Raising:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/middleware":
            raise LookupError("the middleware")
        return self.app(environ, start_response)
"""


def test_the_error_log_names_the_application_and_not_what_is_around_it(start: Start, tmp_path: Path) -> None:
    around = ("portico.middleware.proxy_fix:ProxyFix", "shop:Raising")
    portico = start(FAILING, "-w", "1", *(word for use in around for word in ("--middleware", use)))
    portico.wait_ready()
    for path in ("/raises", "/middleware", "/list", "/generates", "/none", "/hop"):
        portico.get(path)
    portico.stop()
    log = portico.log()
    assert set(re.findall(r"the application (\S+)", log)) == {"shop:application"}
    lines = [line.strip() for line in FAILING.split("\n")]

    def place(text: str, form: str = "{}:{}") -> str:
        return form.format(tmp_path / "shop.py", lines.index(text) + 1)

    for path, text in (
        ("/raises", 'raise KeyError("the shop")'),
        ("/middleware", 'raise LookupError("the middleware")'),
    ):
        _, _, failure = log.partition(f"the application shop:application at GET {path} failed\nTraceback")
        last = failure.partition("Error: ")[0].rpartition("  File ")[2]
        assert last.startswith(place(text, '"{}", line {}, in ')), log
    of_list = f"{place('def application(environ, start_response):')}, or from the middleware around that"
    places = [line.rpartition("it comes from ")[2] for line in log.splitlines() if "it comes from" in line]
    assert places == [of_list, place('yield "text"'), of_list]
    assert "the application shop:application at GET /none returned None" in log
    assert "the application shop:application sends the header Connection" in log


def test_an_application_that_is_an_object_has_the_name_that_it_was_given(start: Start) -> None:
    source = FAILING.replace("def application", "def of_shop")
    source += "import functools\nsite = functools.partial(of_shop)\n"
    portico = start(source, "-w", "1", application="shop:site")
    portico.wait_ready()
    portico.get("/raises")
    portico.stop()
    assert "the application shop:site at GET /raises failed\n" in portico.log()
