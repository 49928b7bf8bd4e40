"""Each Python block of docs/embedding.md runs, and does what the page says of it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.raw_client import Connection
from support.server import free_port
from support.waiting import wait_until

from .documentation import PROGRAMS
from .embedded import ENVIRONMENT

SERVING = ("drop_in.py", "threads.py", "hooks.py", "serve.py")
ENDING = ("block.py", "one_request.py")
TESTING = ("test_shop.py",)
ELSEWHERE = ("live_server.py",)
"""Run by test_django.py."""


def test_every_block_is_run_by_a_test() -> None:
    assert sorted(PROGRAMS) == sorted(SERVING + ENDING + TESTING + ELSEWHERE)


@contextlib.contextmanager
def started(name: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """The block called `name`, running on a port of its own."""
    port = free_port()
    (folder / name).write_text(PROGRAMS[name].replace("8000", str(port)))
    with subprocess.Popen(
        [sys.executable, "-W", "error", name],
        cwd=folder,
        env={**ENVIRONMENT, "BROWSER": f"{sys.executable} -c pass %s"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, ("127.0.0.1", port)
        finally:
            process.kill()


def ask_when_it_listens(process: subprocess.Popen[str], address: tuple[str, int]) -> bytes:
    def ask() -> bytes | None:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(ConnectionRefusedError), Connection(address) as client:
            return client.request("/").body
        return None

    body = wait_until(ask, what=f"somebody who listens on {address}")
    assert body is not None
    return body


@pytest.mark.parametrize("name", SERVING)
def test_a_block_that_serves_does_so_until_it_is_interrupted(tmp_path: Path, name: str) -> None:
    with started(name, tmp_path) as (process, address):
        assert ask_when_it_listens(process, address).startswith(b"Hello")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode in (0, -signal.SIGINT), errors


def test_the_block_with_hooks_logs_as_it_says(tmp_path: Path) -> None:
    with started("hooks.py", tmp_path) as (process, address):
        ask_when_it_listens(process, address)
        assert process.stderr is not None
        assert process.stderr.readline() == "127.0.0.1 GET / HTTP/1.1 200\n"


def test_the_block_that_serves_one_request_ends_after_it(tmp_path: Path) -> None:
    with started("one_request.py", tmp_path) as (process, address):
        assert ask_when_it_listens(process, address).startswith(b"Hello")
        assert process.wait(20) == 0


def test_the_block_that_serves_in_a_block_ends_by_itself(tmp_path: Path) -> None:
    with started("block.py", tmp_path) as (process, _):
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors


@pytest.mark.parametrize("name", TESTING)
def test_a_block_of_tests_passes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(PROGRAMS[name])
    run_pytest(tmp_path, name)


def run_pytest(folder: Path, name: str) -> str:
    """Run pytest with the plugin as if portico were installed anew; return what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "portico.pytest_plugin", "-W", "error", name],
        cwd=folder,
        env={**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
