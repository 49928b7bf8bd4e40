"""Rows of `[[static]]`: files by host and mount, beside applications, over reloads and in every worker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gateway import GatewayConnection, uwsgi, variables
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico
from .test_routes import Several

HASHED = "app.3f2a1b9c04de.css"
FILE = """
[processes]
workers = 2

[[app]]
app = "front"

[[app]]
app = "shop"
mount = "/shop"

[[static]]
root = "public"
fallback = "app"
index = ["home.html", "index.html"]
cache_control = "public, max-age=60"

[[static]]
root = "media"
mount = ["/media", "/caf\u00e9 x"]

[[static]]
root = "themes"
mount = "/shop/look"
fallback = "app"
index = []
cache_control = "none"

[[static]]
root = "media"
host = "files.example"

[[static]]
root = "public"
mount = "/old"
fallback = "app"

[[redirect]]
mount = "/old"
to = "/new"
"""
FILES = {
    "public/index.html": "index",
    "public/both/index.html": "second",
    "public/both/home.html": "first",
    "public/shop/x.txt": "never sent: the longer mount is the shop's",
    f"public/{HASHED}": "hashed",
    "public/here.txt": "here",
    "media/a.txt": "media",
    "media/index.html": "all media",
    "media/.hidden": "hidden",
    "themes/a.css": "look",
    "themes/index.html": "no index there",
}


def several_with_files(folder: Path) -> Several:
    several = Several(folder)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "media/out").symlink_to("../front.py")
    several.write(FILE)
    return several


@pytest.fixture(scope="module")
def gateway() -> tuple[str, int]:
    """Where uwsgi is spoken."""
    return "127.0.0.1", free_port()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, gateway: tuple[str, int]) -> Iterator[Several]:
    site = several_with_files(tmp_path_factory.mktemp("static_routes"))
    path = site.folder / "portico.toml"
    host, port = gateway
    path.write_text(
        path.read_text("utf-8").replace("bind = [", f'bind = ["uwsgi://{host}:{port}", '), "utf-8"
    )
    portico = site.start()
    yield site
    portico.stop()


@pytest.fixture
def several(tmp_path: Path) -> Several:
    return several_with_files(tmp_path)


def body(response: bytes) -> str:
    return response.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize(
    ("target", "host", "status", "expected"),
    [
        ("/", "test", 200, "index"),
        ("/both/", "test", 200, "first"),
        ("/both", "test", 308, None),
        ("/here.txt", "test", 200, "here"),
        ("/media/a.txt", "test", 200, "media"),
        ("/media/", "test", 200, "all media"),
        ("/media", "test", 308, None),
        ("/media/missing", "test", 404, None),
        ("/media/.hidden", "test", 404, None),
        ("/media/out", "test", 404, None),
        ("/media/%2e%2e/front.py", "test", 404, None),
        ("/caf%C3%A9%20x/a.txt", "test", 200, "media"),
        ("/shop/look/a.css?v=1", "test", 200, "look"),
        ("/a.txt", "files.example:8000", 200, "media"),
        ("/a.txt", "FILES.example", 200, "media"),
        ("/missing", "files.example", 404, None),
        ("/old/here.txt", "test", 200, "here"),
    ],
)
def test_files_by_host_and_mount(
    site: Several, target: str, host: str, status: int, expected: str | None
) -> None:
    response = site.response(target, host)
    assert int(response.split()[1]) == status
    if expected is not None:
        assert body(response) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/missing", ["front", "", "/missing"]),
        ("/mediaeval", ["front", "", "/mediaeval"]),
        ("/shop/x.txt", ["shop", "/shop", "/x.txt"]),
        # From the folder of themes to the shop, which is before the folder of the whole host.
        ("/shop/look/index.html/", ["shop", "/shop", "/look/index.html/"]),
        ("/shop/look/", ["shop", "/shop", "/look/"]),
        ("/shop/look", ["shop", "/shop", "/look"]),
    ],
)
def test_what_is_not_there_is_for_the_next_row(site: Several, target: str, expected: list[str]) -> None:
    assert site.result(target) == expected


def test_the_next_row_may_be_no_application(site: Several) -> None:
    assert b"\r\nLocation: /new/missing\r\n" in site.response("/old/missing")


def test_the_options_of_each_row(site: Several) -> None:
    def cache_control(target: str) -> str | None:
        lines = site.response(target).partition(b"\r\n\r\n")[0].decode().split("\r\n")
        return next((line[15:] for line in lines if line.startswith("Cache-Control: ")), None)

    assert cache_control("/here.txt") == "public, max-age=60"
    assert cache_control(f"/{HASHED}") == "public, max-age=31536000, immutable"
    assert cache_control("/media/a.txt") == "no-cache"
    assert cache_control("/shop/look/a.css") is None


def test_methods(site: Several) -> None:
    assert site.response("/media/a.txt", method="POST").startswith(b"HTTP/1.1 405 ")
    assert site.response("/media/missing", method="POST").startswith(b"HTTP/1.1 404 ")
    assert b"\r\nContent-Length: 5\r\n" in (response := site.response("/media/a.txt", method="HEAD"))
    assert body(response) == ""
    # No path is below a folder, and `*` is none.
    assert site.response("*", method="OPTIONS").startswith(b"HTTP/1.1 200 ")


def test_a_body_that_no_file_takes_is_not_asked_for(site: Several) -> None:
    """RFC 9110 10.1.1. Where an application is behind the files, it may be the one to take it."""
    for target, status in [("/media/a.txt", b"405"), ("/media/missing", b"404"), ("/missing", b"100")]:
        with site.portico.connect() as connection:
            expects = "Content-Length: 5\r\nExpect: 100-continue"
            connection.sendall(f"POST {target} HTTP/1.1\r\nHost: test\r\n{expects}\r\n\r\n".encode())
            assert connection.recv(65536).split()[1] == status, target


def test_a_pipeline_keeps_its_order(site: Several) -> None:
    targets = [
        "/media/a.txt",
        "/missing",
        "/here.txt",
        "/shop/look/a.css",
        "/old/x",
        "/media/x",
        "/shop",
    ] * 10
    with site.portico.connect() as connection:
        requests = [f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n" for target in targets]
        requests[-1] = requests[-1].replace("Host", "Connection: close\r\nHost")
        connection.sendall("".join(requests).encode())
        received = b""
        while data := connection.recv(65536):
            received += data
    statuses = [int(part.split()[0]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 200, 200, 307, 404, 200] * 10


@pytest.mark.parametrize(
    ("path", "script_name", "status", "expected"),
    [
        ("/media/a.txt", "", 200, b"media"),
        ("/media/a.txt", "/somewhere", 200, b"media"),
        ("/media/b", "/somewhere", 404, None),
        # Decoded already, so that its segment is not "media": the application gets it.
        ("/%6dedia/a.txt", "", 200, None),
    ],
)
def test_over_uwsgi(
    site: Several,
    gateway: tuple[str, int],
    path: str,
    script_name: str,
    status: int,
    expected: bytes | None,
) -> None:
    given = [pair for pair in variables(path) if pair[0] != "SCRIPT_NAME"] + [("SCRIPT_NAME", script_name)]
    with GatewayConnection(gateway) as connection:
        connection.send(uwsgi(given))
        response = connection.read_response("GET")
    assert response.status == status
    assert expected in (None, response.body)


def test_the_setting_static_goes_before_all_rows(several: Several) -> None:
    (several.folder / "before").mkdir()
    (several.folder / "before/a.txt").write_text("before")
    # Row after row, what one does not have the next may.
    several.write(FILE.replace("[processes]", '[[static]]\nroot = "none"\nmount = "/x"\n[processes]'))
    (several.folder / "none").mkdir()
    portico = several.start(PORTICO_STATIC="/media=before")
    assert body(several.response("/media/a.txt")) == "before"
    assert body(several.response("/media/")) == "all media"
    assert several.response("/media/missing").startswith(b"HTTP/1.1 404 ")
    assert several.result("/y") == ["front", "", "/y"]
    portico.stop()


def test_a_reload_takes_other_folders_in_every_worker_of_a_template(several: Several) -> None:
    (several.folder / "other").mkdir()
    (several.folder / "other/b.txt").write_text("other")
    text = FILE.replace("[processes]", "[reloads]\npreload = true\n[processes]")
    several.write(text)
    portico = several.start()
    assert body(several.response("/media/a.txt")) == "media"
    several.write(text.replace('root = "media"\nmount', 'root = "other"\nmount'))
    before = set(portico.worker_pids)
    portico.signal(signal.SIGHUP)
    wait_until(lambda: body(several.response("/media/b.txt")) == "other", what="the new folder")
    wait_until(lambda: before.isdisjoint(portico.worker_pids), what="new workers alone")
    for _ in range(10):
        assert several.response("/media/a.txt").startswith(b"HTTP/1.1 404 ")
    # Without the folder of before there is none.
    (several.folder / "other").rename(several.folder / "gone")
    portico.signal(signal.SIGHUP)
    portico.wait_for(f'root: expected a directory, got "{several.folder}/other", which is none')
    assert body(several.response("/media/b.txt")) == "other"
    portico.stop()


def test_files_that_take_all_requests_need_no_application(several: Several) -> None:
    # One that would be found, and breaks whoever imports it.
    (several.folder / "app.py").write_text("raise SystemExit('imported')\n")
    several.write('[[static]]\nroot = "media"\n[[redirect]]\nmount = "/old"\nto = "/new"\n')
    portico = several.start()
    assert body(several.response("/a.txt")) == "media"
    assert several.response("/missing").startswith(b"HTTP/1.1 404 ")
    assert b"\r\nLocation: /new/x\r\n" in several.response("/old/x")
    portico.stop()
    assert "imported" not in portico.log()


def test_a_folder_that_is_not_there_is_told_before_the_start(several: Several) -> None:
    several.write(FILE.replace('root = "themes"', 'root = "thems"'))
    portico = Portico(several.folder, "", (), port=several.port, reads_file=True)
    assert portico.wait() != 0
    place = f"portico.toml:{_line_of(several, 'thems') - 1}:1"
    said = f'root: expected a directory, got "{several.folder}/thems", which is none'
    assert f"{place}: {said}" in portico.log()


def _line_of(several: Several, text: str) -> int:
    lines = (several.folder / "portico.toml").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_files_are_in_the_access_log(several: Several) -> None:
    portico = several.start()
    several.response("/media/a.txt")
    several.response("/media/x")
    several.response("/x")
    portico.stop()
    lines = (several.folder / "access.log").read_text().splitlines()
    # Of two workers, each of which writes its own.
    assert sorted(line.split('"')[2].split()[0] for line in lines) == ["200", "200", "404"]
