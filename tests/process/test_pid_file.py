"""The file of the supervisor's process id: whole, no other's, and gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Start

SHOP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


def test_it_is_there_while_the_server_is(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "--pid-file", "shop.pid")
    portico.wait_ready()
    assert (tmp_path / "shop.pid").read_text() == f"{portico.process.pid}\n"
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    assert (tmp_path / "shop.pid").read_text() == f"{portico.process.pid}\n"
    portico.stop()
    assert [*tmp_path.glob("shop.pid*")] == []


def test_one_that_a_killed_server_has_left_is_taken_over(start: Start, tmp_path: Path) -> None:
    killed = start(SHOP, "--pid-file", "shop.pid")
    killed.wait_ready()
    killed.kill()
    assert (tmp_path / "shop.pid").exists()
    portico = start(SHOP, "--pid-file", "shop.pid")
    portico.wait_ready()
    assert (tmp_path / "shop.pid").read_text() == f"{portico.process.pid}\n"
    portico.stop()


def test_an_empty_one_is_taken_over(start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop.pid").touch()
    portico = start(SHOP, "--pid-file", "shop.pid")
    portico.wait_ready()
    portico.stop()


def test_one_of_a_process_that_runs_is_left_alone(start: Start, tmp_path: Path) -> None:
    first = start(SHOP, "--pid-file", "shop.pid", "-b", f"unix:{tmp_path}/first.sock")
    first.wait_ready()
    second = start(SHOP, "--pid-file", "shop.pid", "-b", f"unix:{tmp_path}/second.sock")
    assert second.wait() == 2
    assert (
        f'pid_file: the process {first.process.pid}, which "{tmp_path}/shop.pid" names, runs' in second.log()
    )
    assert (tmp_path / "shop.pid").read_text() == f"{first.process.pid}\n"
    assert not (tmp_path / "second.sock").exists()


def test_one_that_is_older_than_the_process_of_that_number_is_taken_over(
    start: Start, tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        path = tmp_path / "shop.pid"
        path.write_text(f"{other.pid}\n")
        hour_ago_s = time.time() - 3600
        os.utime(path, (hour_ago_s, hour_ago_s))
        portico = start(SHOP, "--pid-file", "shop.pid")
        portico.wait_ready()
        portico.stop()
        other.kill()


@pytest.mark.parametrize("text", ["a poem", "12 34", "-1", "9" * 100])
def test_something_else_is_left_alone(start: Start, tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.pid").write_text(text)
    portico = start(SHOP, "--pid-file", "shop.pid")
    assert portico.wait() == 2
    assert "expected a process id in" in portico.log()
    assert (tmp_path / "shop.pid").read_text() == text


def test_what_is_no_file_is_left_alone(start: Start, tmp_path: Path) -> None:
    """A device would be gone for the whole machine, and who reads a pipe waits for ever."""
    os.mkfifo(tmp_path / "shop.pid")
    portico = start(SHOP, "--pid-file", "shop.pid")
    assert portico.wait() == 2
    assert f'pid_file: expected a process id in "{tmp_path}/shop.pid", got something else' in portico.log()
    assert (tmp_path / "shop.pid").is_fifo()


def test_one_that_cannot_be_written_is_an_error(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "--pid-file", "missing/shop.pid")
    assert portico.wait() == 2
    assert f'pid_file: cannot write "{tmp_path}/missing/shop.pid": No such file or directory' in portico.log()


def test_it_is_not_removed_if_it_is_another_s_by_now(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "--pid-file", "shop.pid")
    portico.wait_ready()
    (tmp_path / "shop.pid").write_text("1\n")
    portico.stop()
    assert (tmp_path / "shop.pid").read_text() == "1\n"


def test_it_is_gone_after_a_start_that_fails(start: Start, tmp_path: Path) -> None:
    portico = start("1 / 0", "--pid-file", "shop.pid")
    assert portico.wait() == 3
    assert not (tmp_path / "shop.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_is_gone_after_a_stop_while_the_supervisor_starts(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    # What an interpreter imports before anything of portico.
    path = tmp_path / "site"
    path.mkdir()
    (path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'portico.process.__main__' in ' '.join(sys.orig_argv):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
    )
    portico = start(SHOP, "--pid-file", "shop.pid", environment={"PYTHONPATH": str(path)})
    assert portico.wait() == 0
    assert [*tmp_path.glob("shop.pid*")] == []
    assert "stopping" in portico.log()
    assert "Traceback" not in portico.log()
