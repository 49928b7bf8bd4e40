"""The real front servers: their checkers, and a running one. Started by root they become somebody else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

import pytest
from support import processes
from support.raw_client import Connection
from support.waiting import wait_until

_DEADLINE_S = 15.0
_APACHE_MODULES = Path("/usr/lib/apache2/modules")
_PACKAGES = {"nginx": "nginx", "apache": "apache2", "haproxy": "haproxy"}

_NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    uwsgi_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/answers;
    scgi_temp_path {folder}/answers;
    include {file};
}}
"""

# What Debian has without being asked; the rest is what the file itself says must be enabled.
_APACHE_BASE = ("mpm_event", "authz_core", "alias", "env", "setenvif")
_APACHE = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
ServerName localhost
{user}
{modules}
Include {file}
"""


def program(name: str) -> str:
    """The path of a program; where it is missing the test is skipped, and says so."""
    package = _PACKAGES.get(name, name)
    path = shutil.which(package, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(
            f"NOT TESTED: what is generated for {name}, since it is missing (apt-get install {package})"
        )
    return path


def command(front: str, file: Path, *, check: bool) -> list[str]:
    """How to check the generated `file`, or to run `front` with it; makes the files around it."""
    folder, path = file.parent, program(front)
    if front == "nginx":
        user = "user www-data;" if os.geteuid() == 0 else ""
        around = folder / "around.conf"
        around.write_text(_NGINX.format(folder=folder, file=file, user=user))
        return [path, "-p", str(folder), "-c", str(around), "-e", "stderr", *(["-t"] if check else [])]
    if front == "apache":
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        needed = re.search(r"a2enmod (.*?) &&", file.read_text())
        assert needed
        modules = "\n".join(
            f"LoadModule {name}_module {_APACHE_MODULES}/mod_{name}.so"
            for name in dict.fromkeys([*_APACHE_BASE, *needed[1].split()])
        )
        around = folder / "around.conf"
        around.write_text(_APACHE.format(folder=folder, file=file, user=user, modules=modules))
        return [path, "-f", str(around), *(["-t"] if check else ["-D", "FOREGROUND"])]
    if check:
        return [path, "-c", "-f", str(file)]
    return [path, "-db", "-f", str(file)]


def complaints(front: str, file: Path) -> str:
    """What the checker of `front` says against the generated `file`: nothing, if it is fine."""
    found = subprocess.run(command(front, file, check=True), capture_output=True, text=True, timeout=60)
    lines = (found.stdout + found.stderr).splitlines()
    harmless = ("syntax is ok", "test is successful", "Syntax OK", "Configuration file is valid", "[notice]")
    lines = [line for line in lines if line and not any(part in line for part in harmless)]
    return "\n".join(lines) or ("" if found.returncode == 0 else f"exit code {found.returncode}")


class Running:
    """A front server with a generated file; a context manager."""

    def __init__(self, front: str, file: Path, port: int) -> None:
        self.front = front
        self._file = file
        self._port = port
        self._log = file.parent / "front.log"
        self._process: subprocess.Popen[bytes] | None = None

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def __enter__(self) -> Running:
        if self.front == "haproxy" and os.geteuid():
            text = self._file.read_text()
            self._file.write_text(re.sub(r"(?m)^    (user|group|chroot) .*\n", "", text))
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command(self.front, self._file, check=False),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._file.parent,
            )
        try:
            wait_until(self._is_ready, what=f"{self.front} to accept", deadline_s=_DEADLINE_S)
        except BaseException:
            self._stop()
            raise
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            Connection(("127.0.0.1", self._port), timeout_s=1.0).close()
        except OSError:
            return False
        return True

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
