"""A server whose routes are guilty of something, its clients, and what a profile says of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process.conftest import Portico, Start
from process.conftest import start as start
from process.test_control import Asked
from support.waiting import wait_until

SHOP = """
import ctypes, os, threading, time

lock = threading.Lock()
# A call of C that keeps the interpreter.
keep = ctypes.PyDLL(None).usleep

def price_everything(stop_at):
    total = 0
    while time.thread_time() < stop_at:
        for number in range(1000):
            total += number
    return total

def sleep_deeply(seconds):
    time.sleep(seconds)

def wait_for_the_lock():
    with lock:
        pass

def hold_the_lock():
    with lock:
        time.sleep(0.3)

def keep_the_interpreter():
    keep(60000)

def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        time.sleep(0.2)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/cpu":
        price_everything(time.thread_time() + 0.05)
    elif path == "/sleep":
        sleep_deeply(0.2)
    elif path == "/hold":
        hold_the_lock()
    elif path == "/lock":
        wait_for_the_lock()
    elif path == "/keep":
        keep_the_interpreter()
    elif path == "/deep":
        deep(400)
    elif path.startswith("/order/"):
        time.sleep(0.05)
        # As a framework: known in the middle of the call.
        environ["portico.route"] = "/order/<int:number>"
        time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


class Profiled(Asked):
    """A server that is asked for profiles while clients ask it for pages."""

    @contextmanager
    def load(self, portico: Portico, *paths: str) -> Iterator[None]:
        """Ask for each path again and again, one client for each; each has got one response."""
        has_ended = threading.Event()
        counts = [0] * len(paths)

        def ask(client: int, path: str) -> None:
            while not has_ended.is_set():
                try:
                    portico.get(path)
                except OSError:
                    if not has_ended.is_set():
                        continue
                counts[client] += 1

        clients = [threading.Thread(target=ask, args=pair) for pair in enumerate(paths)]
        for client in clients:
            client.start()
        try:
            wait_until(lambda: all(counts), what="a response to each client")
            yield
        finally:
            has_ended.set()
            for client in clients:
                client.join()

    def profile(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Call `portico profile` in the folder."""
        ended = subprocess.run(
            [sys.executable, "-m", "portico", "profile", "--socket", self.path, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == exit_code, ended.stderr
        return ended

    def result(self, *arguments: str) -> dict[str, Any]:
        """The result of `portico profile`."""
        printed = self.profile("--format", "json", *arguments).stdout
        result = json.loads(printed)
        assert isinstance(result, dict)
        return result


def ticks(result: dict[str, Any], *, route: str = "", kind: str = "", function: str = "") -> int:
    """How many samples are of that route and kind, and have that function in their stack."""
    return sum(
        sample["count"]
        for sample in result["samples"]
        if (not route or sample["route"] == route)
        and (not kind or sample["kind"] == kind)
        and (not function or any(name.startswith(f"{function} (") for name in sample["stack"]))
    )


@pytest.fixture
def profiled(start: Start, tmp_path: Path) -> Profiled:
    return Profiled(start, tmp_path)
