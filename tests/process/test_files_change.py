"""A server whose own files are taken away, as by an upgrade: it goes on, to its orderly end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from pathlib import Path

import portico as package
import pytest
from support.processes import is_alive
from support.waiting import wait_until
from support.ways import WAYS

from .conftest import Portico, Start

SHOP = """
import os, time
class Application:
    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
application = Application()
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a portico of its own, and a link to it."""
    assert package.__file__ is not None
    real = tmp_path / "site-1"
    shutil.copytree(Path(package.__file__).parent, real / "portico")
    link = tmp_path / "site"
    link.symlink_to(real)
    return link


def started(start: Start, site: Path, *options: str) -> Portico:
    portico = start(SHOP, "-w", "1", *options, environment={"PYTHONPATH": str(site)})
    portico.wait_ready()
    # Said in the round of the loop after the one in which it was ready, so that all is imported by then.
    portico.signal(signal.SIGTTIN)
    portico.wait_for("the number of workers is 2 now")
    wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
    return portico


def ask(path: Path, verb: str) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(json.dumps({"protocol": 1, "verb": verb}).encode() + b"\n")
        said: dict[str, object] = json.loads(connection.makefile().readline())
        return said


def goes_on(portico: Portico, control: Path, tmp_path: Path) -> None:
    dead = portico.worker_pids[0]
    os.kill(dead, signal.SIGKILL)
    wait_until(lambda: not is_alive(dead) and len(portico.worker_pids) == 2, what="a successor")
    portico.wait_for("is ready after", times=2)
    assert portico.get()
    for verb in ("status", "workers", "requests"):
        assert ask(control, verb)["ok"] is True, verb
    portico.signal(signal.SIGUSR1)
    portico.wait_for("the files of the logs are opened anew")
    assert portico.get()
    portico.signal(signal.SIGTERM)
    portico.wait_for("stopping in ")
    portico.signal(signal.SIGTERM)
    assert portico.wait() == 0, portico.log()
    assert "Traceback" not in portico.log()
    assert not (tmp_path / "portico.pid").exists()


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return [
        *("--control", str(tmp_path / "ctl"), "--pid-file", str(tmp_path / "portico.pid")),
        *("--drain-delay", "30s", "--warmup", "/", "--umask", "027", "--no-new-privs"),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_it_needs_no_file_of_its_own_any_more(
    start: Start, site: Path, tmp_path: Path, options: list[str], way: str
) -> None:
    portico = started(start, site, *options, "--worker", way)
    (tmp_path / "site-1").rename(tmp_path / "gone")
    goes_on(portico, tmp_path / "ctl", tmp_path)


def test_a_link_to_its_files_may_lead_elsewhere(
    start: Start, site: Path, tmp_path: Path, options: list[str]
) -> None:
    portico = started(start, site, *options)
    (tmp_path / "site-2" / "portico").mkdir(parents=True)
    (tmp_path / "site-2" / "portico" / "__init__.py").write_text("raise SystemExit('another version')\n")
    new = tmp_path / "new"
    new.symlink_to(tmp_path / "site-2")
    new.replace(site)
    portico.signal(signal.SIGUSR2)
    portico.wait_for("all stays as it is")
    assert "another version" in portico.log()
    goes_on(portico, tmp_path / "ctl", tmp_path)


def test_an_upgrade_to_files_that_have_taken_the_place_of_its_own(
    start: Start, site: Path, tmp_path: Path, options: list[str]
) -> None:
    portico = started(start, site, *options)
    shutil.copytree(tmp_path / "site-1", tmp_path / "site-2")
    shutil.rmtree(tmp_path / "site-1")
    (tmp_path / "site-2").rename(tmp_path / "site-1")
    before = portico.worker_pids
    portico.signal(signal.SIGUSR2)
    portico.wait_for("upgraded from")
    wait_until(
        lambda: len(portico.worker_pids) == 2 and not set(before) & set(portico.worker_pids),
        what="the workers of the new program",
    )
    assert portico.get()
    portico.signal(signal.SIGINT)
    assert portico.wait() == 0, portico.log()
    assert "Traceback" not in portico.log()
