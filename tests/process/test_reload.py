"""A reload reads the configuration anew, and leaves all as it was if that does not serve."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from support.server import free_port
from support.waiting import wait_until
from support.ways import not_for

from .conftest import Portico, Start, read_body

SHOP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.environ.get('MOOD', 'none')} of {os.getpid()}".encode()]
"""
NOT_TAKEN = "the configuration was not taken, all stays as it is:"


class Configured:
    """A portico that has its settings from a `portico.toml`, which `write` replaces."""

    def __init__(self, folder: Path, start: Start) -> None:
        self.folder = folder
        self.port = free_port()
        self._start = start

    def write(self, *lines: str, bind: tuple[str, ...] = (), mood: str = "good", workers: int = 1) -> None:
        (self.folder / "portico.toml").write_text(self.text(*lines, bind=bind, mood=mood, workers=workers))

    def text(self, *lines: str, bind: tuple[str, ...] = (), mood: str = "good", workers: int = 1) -> str:
        addresses = [f"127.0.0.1:{self.port}", *bind]
        text = [
            *("[[app]]", 'app = "shop"', f'env = {{ MOOD = "{mood}" }}'),
            *("[listening]", f"bind = {addresses}"),
            *("[processes]", f"workers = {workers}"),
            *("[reloads]", *lines),
        ]
        return "\n".join(text) + "\n"

    def start(self, source: str = SHOP, *options: str) -> Portico:
        portico = self._start(source, *options, port=self.port, reads_file=True)
        portico.wait_ready()
        return portico


@pytest.fixture
def configured(tmp_path: Path, start: Start) -> Configured:
    return Configured(tmp_path, start)


def reload(portico: Portico, *, until: str, times: int = 1) -> None:
    portico.signal(signal.SIGHUP)
    portico.wait_for(until, times=times)


def ask_at(address: tuple[str, int] | str) -> str:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(10)
        connection.connect(address)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return read_body(connection)


def is_refused(address: tuple[str, int] | str) -> bool:
    try:
        ask_at(address)
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def test_takes_what_the_file_says_now(configured: Configured) -> None:
    configured.write(mood="good")
    portico = configured.start()
    assert portico.get().startswith("good of ")
    configured.write(mood="bad", workers=3)
    reload(portico, until="is ready after", times=3)
    wait_until(lambda: len(portico.worker_pids) == 3, what="three workers")
    assert {portico.get().split()[0] for _ in range(10)} == {"bad"}
    portico.stop()


def test_opens_what_is_added_and_closes_what_is_removed(configured: Configured, tmp_path: Path) -> None:
    added, path = free_port(), str(tmp_path / "added.sock")
    configured.write()
    portico = configured.start()
    configured.write(bind=(f"127.0.0.1:{added}", f"unix:{path}"))
    reload(portico, until="is ready after")
    assert ask_at(("127.0.0.1", added)).startswith("good")
    assert ask_at(path).startswith("good")
    assert portico.get().startswith("good")
    configured.write()
    reload(portico, until="is ready after", times=2)
    wait_until(lambda: is_refused(("127.0.0.1", added)) and is_refused(path), what="the end of both")
    assert not os.path.exists(path)
    assert portico.get().startswith("good")
    assert portico.log().count("no longer listening on") == 2
    portico.stop()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("bot_timeout = 1", "did you mean boot_timeout?"),
        ("warmup = [", "portico.toml"),
        (
            '[[upstream]]\nto = "https://a"\nmount = "/x"\nca = "gone.pem"',
            "ca: expected a file, got ",
        ),
        ('boot_timeout = "soon"', "boot_timeout: expected a duration"),
    ],
)
def test_a_configuration_that_is_wrong_is_not_taken(configured: Configured, line: str, reason: str) -> None:
    configured.write(mood="good")
    portico = configured.start()
    pids = portico.worker_pids
    configured.write(line, mood="bad")
    reload(portico, until=NOT_TAKEN)
    assert reason in portico.log().partition(NOT_TAKEN)[2]
    assert portico.get() == f"good of {pids[0]}"
    portico.stop()


def test_an_address_that_is_taken_is_not_taken(configured: Configured) -> None:
    configured.write()
    portico = configured.start()
    pids = portico.worker_pids
    with socket.create_server(("127.0.0.1", 0)) as other:
        configured.write(bind=(f"127.0.0.1:{other.getsockname()[1]}", f"unix:{configured.folder}/x.sock"))
        reload(portico, until=NOT_TAKEN)
    assert f"the port is in use by process {os.getpid()}" in portico.log()
    assert portico.get() == f"good of {pids[0]}"
    assert not (configured.folder / "x.sock").exists()
    portico.stop()


def test_an_application_that_cannot_be_loaded_leaves_all_as_it_was(configured: Configured) -> None:
    given_up, added = free_port(), free_port()
    configured.write(mood="good", bind=(f"127.0.0.1:{given_up}",), workers=2)
    portico = configured.start()
    (configured.folder / "shop.py").write_text("1 / 0\n")
    configured.write(mood="bad", bind=(f"127.0.0.1:{added}",), workers=3)
    reload(portico, until="reload failed, the workers of before go on serving")
    assert "ZeroDivisionError" in portico.log()
    assert ask_at(("127.0.0.1", given_up)).startswith("good")
    assert is_refused(("127.0.0.1", added))
    # And so are those that are made from now on.
    (configured.folder / "shop.py").write_text(SHOP)
    for pid in portico.worker_pids:
        os.kill(pid, signal.SIGKILL)
    portico.wait_for("is ready after", times=2)
    assert {portico.get().split()[0] for _ in range(10)} == {"good"}
    assert len(portico.worker_pids) == 2
    portico.stop()


def test_one_that_comes_while_another_is_read_is_not_lost(configured: Configured) -> None:
    configured.write(mood="good")
    portico = configured.start()
    configured.write(mood="bad")
    portico.signal(signal.SIGHUP)
    portico.wait_for("reading the configuration")
    configured.write(mood="better")
    portico.signal(signal.SIGHUP)
    wait_until(lambda: portico.get().startswith("better"), what="the latest configuration")
    portico.stop()


def test_a_term_while_it_is_read_stops(configured: Configured) -> None:
    configured.write()
    portico = configured.start()
    portico.signal(signal.SIGHUP)
    portico.wait_for("reading the configuration")
    portico.stop()
    # It is the server that has ended it, and nobody has to look for a reason.
    assert "[error]" not in portico.log()


LOADING = """
import os, time
open(f"loading-{os.getpid()}", "w").close()
time.sleep(float(open("pause").read()))
"""


def test_starts_as_many_at_a_time_as_told(configured: Configured) -> None:
    (configured.folder / "pause").write_text("0")
    configured.write('reload_parallel = "50%"', workers=4)
    portico = configured.start(LOADING + SHOP)
    for path in configured.folder.glob("loading-*"):
        path.unlink()
    (configured.folder / "pause").write_text("1000")
    portico.signal(signal.SIGHUP)
    wait_until(lambda: len([*configured.folder.glob("loading-*")]) == 2, what="two that load")
    portico.wait_for("each worker is replaced")
    assert len(portico.worker_pids) == 6
    portico.signal(signal.SIGINT)
    assert portico.wait() == 0


WARM = """
import os
seen = []
def application(environ, start_response):
    if environ["HTTP_USER_AGENT"] == "portico-warmup":
        seen.append(f"{environ['HTTP_HOST']}{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
    status = "500 Broken" if os.path.exists("broken") else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [" ".join(seen).encode()]
"""


def test_a_worker_is_warm_before_it_is_ready(configured: Configured) -> None:
    configured.write('warmup = ["/a%20b?c=d", "https://shop.example/"]')
    portico = configured.start(WARM)
    with portico.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: me\r\nConnection: close\r\n\r\n")
        assert read_body(connection) == "localhost/a b?c=d shop.example/?"
    (configured.folder / "broken").touch()
    reload(portico, until="reload failed, the workers of before go on serving: warmup: GET /a%20b?c=d")
    portico.stop()


def test_a_start_fails_that_cannot_be_warmed(configured: Configured, start: Start) -> None:
    configured.write('warmup = ["/"]')
    (configured.folder / "broken").touch()
    portico = start(WARM, port=configured.port, reads_file=True)
    assert portico.wait() == 3
    assert "cannot load shop: warmup: GET / has the response 500 Broken" in portico.log()


HANGING = """
import os, time
if os.path.exists("hang"):
    time.sleep(1000)
"""


@not_for("gevent", reason="where an import waits in the hub, that is all that is seen")
def test_a_start_that_takes_too_long_is_given_up(configured: Configured, start: Start) -> None:
    (configured.folder / "hang").touch()
    configured.write('boot_timeout = "500ms"')
    portico = start(HANGING + SHOP, port=configured.port, reads_file=True)
    assert portico.wait() == 3
    assert "shop.py:4 (<module>)" in portico.log()
    assert "and boot_timeout is 0.5 s" in portico.log()


def test_a_reload_that_takes_too_long_is_given_up(configured: Configured) -> None:
    configured.write('boot_timeout = "500ms"')
    portico = configured.start(HANGING + SHOP)
    pids = portico.worker_pids
    (configured.folder / "hang").touch()
    reload(
        portico, until="reload failed, the workers of before go on serving: the application is still being"
    )
    assert portico.get() == f"good of {pids[0]}"
    assert portico.worker_pids == pids
    portico.stop()


def test_a_touch_reloads(configured: Configured) -> None:
    touched = configured.folder / "touched"
    configured.write('touch_reload = ["touched"]')
    portico = configured.start()
    touched.touch()
    portico.wait_for("is ready after", times=1)
    os.utime(touched, ns=(1, 1))
    portico.wait_for("is ready after", times=2)
    touched.unlink()
    portico.wait_for("is ready after", times=3)
    portico.stop()


def test_a_link_that_leads_elsewhere_reloads(configured: Configured) -> None:
    """As that of a deployment: whatever made both files may have given them the same time."""
    link = configured.folder / "current"
    for name in ("one", "other"):
        (configured.folder / name).touch()
        os.utime(configured.folder / name, ns=(1, 1))
    link.symlink_to("one")
    configured.write('touch_reload = ["current"]')
    portico = configured.start()
    # What it is at first was seen once a change is.
    os.utime(configured.folder / "one", ns=(2, 2))
    portico.wait_for("is ready after", times=1)
    os.utime(configured.folder / "other", ns=(2, 2))
    (configured.folder / "new").symlink_to("other")
    os.replace(configured.folder / "new", link)
    portico.wait_for("is ready after", times=2)
    portico.stop()
