"""A front server for a test: nginx, Apache or HAProxy in the foreground, configured for one pairing.

As root it runs as another user, as in a real installation: so mode and group of a Unix socket count.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from support import processes
from support.log_file import LogFile
from support.raw_client import Connection
from support.waiting import wait_until

from fronts.addresses import FRONT_USER, Addresses
from fronts.pairings import Pairing

SURROUNDINGS = Path(__file__).parent / "surroundings"
PROGRAMS = {"nginx": "nginx", "apache": "apache2", "haproxy": "haproxy"}
PARAMETER_FILES = ("uwsgi_params", "fastcgi_params", "scgi_params")
APACHE_MODULES = Path("/usr/lib/apache2/modules")
_DEADLINE_S = 15.0


def program(name: str) -> str:
    """The path of a front server; where it is missing the test is skipped, and says so."""
    package = PROGRAMS[name]
    path = shutil.which(package, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(
            f"NOT TESTED: {name} in front of portico, since it is missing (apt-get install {package})"
        )
    return path


class Front:
    """One running front server; a context manager."""

    def __init__(self, pairing: Pairing, addresses: Addresses) -> None:
        self.pairing = pairing
        self.folder = addresses.folder / "front"
        self._addresses = addresses
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir()
        self.error_log = LogFile(self.folder / "error.log")

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        command = getattr(self, f"_prepare_{self.pairing.program}")(program(self.pairing.program))
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": FRONT_USER, "group": FRONT_USER, "extra_groups": []}
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, FRONT_USER, FRONT_USER)
        with self.error_log.path.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder, **identity
            )
        try:
            wait_until(self._is_ready, what=f"{self.pairing} to accept", deadline_s=_DEADLINE_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and its workers."""
        if self._process is None:
            return
        workers = processes.children(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            for pid in [*workers, self._process.pid]:
                if processes.is_alive(pid):
                    os.kill(pid, 9)
            self._process.wait()
            raise AssertionError(f"{self.pairing} did not end at TERM\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        """The end of the error log, for messages."""
        return self.error_log.text()[-4000:]

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.pairing}: exit code {self._process.returncode}\n{self.log_tail()}")
        try:
            Connection(("127.0.0.1", self._addresses.port), timeout_s=1.0).close()
        except OSError:
            return False
        return True

    def _prepare_nginx(self, path: str) -> list[str]:
        shutil.copy(SURROUNDINGS / "nginx.conf", self.folder)
        for name in PARAMETER_FILES:
            shutil.copy(f"/etc/nginx/{name}", self.folder)
        (self.folder / "site.conf").write_text(self._addresses.configuration(self.pairing))
        return [path, "-p", str(self.folder), "-c", "nginx.conf", "-e", "error.log"]

    def _prepare_apache(self, path: str) -> list[str]:
        around = (SURROUNDINGS / "apache.conf").read_text()
        around = around.replace("@FOLDER@", str(self.folder)).replace("@MODULES@", str(APACHE_MODULES))
        (self.folder / "apache.conf").write_text(around)
        (self.folder / "site.conf").write_text(self._addresses.configuration(self.pairing))
        return [path, "-f", str(self.folder / "apache.conf"), "-D", "FOREGROUND"]

    def _prepare_haproxy(self, path: str) -> list[str]:
        (self.folder / "site.cfg").write_text(self._addresses.configuration(self.pairing))
        return [path, "-db", "-f", str(SURROUNDINGS / "haproxy.cfg"), "-f", "site.cfg"]

    def __enter__(self) -> Front:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
