"""Several applications in one server: each request goes where `portico.toml` says."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico

SAYS = """
import json, os
NAME = __name__
def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("on purpose")
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {key: environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "HTTP_HOST")}
    return [json.dumps([NAME, told["SCRIPT_NAME"], told["PATH_INFO"], os.getpid()]).encode()]
def create(): return application
"""
AROUND = """
class Around:
    def __init__(self, application): self.application = application
    def __call__(self, environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Around", "yes")], exc_info)
        return self.application(environ, start)
"""
FILE = """
[processes]
workers = 2
threads = 2

[[app]]
app = "front"

[[app]]
app = "shop:create"
factory = true
mount = ["/shop", "/caf\u00e9"]
middleware = ["around:Around"]

[[app]]
app = "whole"
mount = "/whole"
strip = false

[[app]]
app = "admin"
host = "*.admin.example"

[[redirect]]
mount = "/old"
to = "/shop"

[[respond]]
path = "/robots.txt"
file = "robots.txt"
headers = ["X-Robots=none"]
"""


class Several:
    """A folder with four applications, and the server of its portico.toml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("front", "shop", "whole", "admin"):
            (folder / f"{name}.py").write_text(SAYS)
        (folder / "around.py").write_text(AROUND)
        (folder / "robots.txt").write_text("User-agent: *\n")
        self.port = free_port()
        self.write(FILE)

    def write(self, text: str) -> None:
        address = f'[listening]\nbind = ["127.0.0.1:{self.port}"]\n'
        (self.folder / "portico.toml").write_text(address + text, "utf-8")

    def start(self, **environment: str) -> Portico:
        options = ("--access-log", "access.log")
        self.portico = Portico(
            self.folder, "", options, port=self.port, reads_file=True, environment=environment
        )
        self.portico.wait_ready()
        return self.portico

    def response(self, target: str, host: str = "test", method: str = "GET") -> bytes:
        with self.portico.connect() as connection:
            head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            received = b""
            while data := connection.recv(65536):
                received += data
        return received

    def result(self, target: str, host: str = "test") -> list[str]:
        said: list[str] = json.loads(self.response(target, host).partition(b"\r\n\r\n")[2])
        return said[:3]


@pytest.fixture
def several(tmp_path: Path) -> Several:
    return Several(tmp_path)


def test_each_application_gets_its_requests(several: Several) -> None:
    portico = several.start()
    assert "serves " in portico.log()
    for name in ("front:application", "shop:create()", "whole:application", "admin:application"):
        assert name in portico.log().partition("  on ")[0]
    for target, host, expected in [
        ("/", "test", ["front", "", "/"]),
        ("/shopping", "test", ["front", "", "/shopping"]),
        ("/shop", "test", ["shop", "/shop", ""]),
        ("/shop/a%20b?c", "test", ["shop", "/shop", "/a b"]),
        ("/caf%C3%A9/x", "test", ["shop", "/caf\u00c3\u00a9", "/x"]),
        ("/whole/x", "test", ["whole", "", "/whole/x"]),
        ("/shop", "a.b.admin.example:80", ["admin", "", "/shop"]),
        ("http://x.admin.example/y", "test", ["admin", "", "/y"]),
        ("/", "admin.example", ["front", "", "/"]),
    ]:
        assert several.result(target, host) == expected, (target, host)
    assert b"\r\nX-Around: yes\r\n" in several.response("/shop")
    assert b"X-Around" not in several.response("/")
    portico.stop()


def test_what_no_application_is_asked_for(several: Several) -> None:
    portico = several.start()
    redirect = several.response("/old/a%20b?c=d", method="POST")
    assert redirect.startswith(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /shop/a%20b?c=d\r\n")
    robots = several.response("/robots.txt")
    assert robots.startswith(b"HTTP/1.1 200 OK\r\nX-Robots: none\r\n")
    assert robots.endswith(b"\r\n\r\nUser-agent: *\n")
    assert several.result("/robots.txt/x") == ["front", "", "/robots.txt/x"]
    portico.stop()
    lines = (several.folder / "access.log").read_text().splitlines()
    # Each of two workers writes its own.
    assert sorted(line.split('"')[2].split()[0] for line in lines) == ["200", "200", "307"]


def test_an_error_names_its_own_application(several: Several) -> None:
    portico = several.start()
    assert several.response("/shop/raise").startswith(b"HTTP/1.1 500 ")
    portico.wait_for("the application shop:create() at GET /raise failed")
    portico.stop()


def test_a_reload_takes_other_routes(several: Several) -> None:
    portico = several.start()
    several.write(FILE.replace('mount = "/whole"', 'mount = "/moved"'))
    portico.signal(signal.SIGHUP)
    wait_until(lambda: several.result("/moved/x")[0] == "whole", what="the new route")
    portico.wait_for("is ready after", times=2)
    assert several.result("/whole/x") == ["front", "", "/whole/x"]
    (several.folder / "whole.py").write_text("raise RuntimeError('broken')\n")
    portico.signal(signal.SIGHUP)
    portico.wait_for("reload failed, the workers of before go on serving")
    assert several.result("/moved/x") == ["whole", "", "/moved/x"]
    portico.stop()


def test_an_application_that_cannot_be_loaded_is_named(several: Several) -> None:
    (several.folder / "admin.py").write_text("x = 1\n")
    portico = Portico(several.folder, "", (), port=several.port, reads_file=True)
    assert portico.wait() != 0
    assert "module admin has no `application`" in portico.log()


def test_an_unknown_host_is_misdirected(several: Several) -> None:
    several.write('[routes]\nunknown_host = 421\n[[app]]\napp = "front"\nhost = "front.example"\n')
    portico = several.start()
    assert several.result("/", "FRONT.example") == ["front", "", "/"]
    assert several.response("/").startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
    portico.stop()


def test_rows_beside_the_application_of_the_settings(several: Several) -> None:
    several.write('[[respond]]\npath = "/x"\nstatus = 204\n')
    portico = several.start(PORTICO_APP="front")
    assert several.response("/x").startswith(b"HTTP/1.1 204 No Content\r\n")
    assert several.result("/y") == ["front", "", "/y"]
    portico.stop()


def test_workers_of_a_template_have_all_applications(several: Several) -> None:
    several.write(FILE.replace("[processes]", "[reloads]\npreload = true\n[processes]"))
    portico = several.start()
    assert several.result("/shop/x") == ["shop", "/shop", "/x"]
    assert several.result("/", "x.admin.example") == ["admin", "", "/"]
    portico.stop()
