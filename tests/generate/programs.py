"""The real reverse proxies: their checkers, and a running one. Started by root they become somebody else."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from support.reverse_proxies import APACHE_MODULES, ForegroundProgram, find_program

_NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/responses;
    uwsgi_temp_path {folder}/responses;
    fastcgi_temp_path {folder}/responses;
    scgi_temp_path {folder}/responses;
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
# One process: Apache ends the kept connections of a process that it does not need any more.
ServerLimit 1
StartServers 1
ThreadsPerChild 32
MaxRequestWorkers 32
MaxKeepAliveRequests 0
{user}
{modules}
Include {file}
"""


def program(name: str) -> str:
    """The path of a program; where it is missing the test is skipped, and says so."""
    return find_program(name, what=f"what is generated for {name}")


def let_others_in(folder: Path) -> None:
    """Open a folder of pytest, which is for the user alone, to a reverse proxy that becomes another one."""
    above = Path(tempfile.gettempdir())
    for path in folder.parents:
        if not path.is_relative_to(above) or path == above:
            break
        path.chmod(0o755)
    # nginx, started by root, keeps bodies here as the user of its workers.
    folder.chmod(0o777 if os.geteuid() == 0 else 0o755)


def command(proxy: str, file: Path, *, check: bool) -> list[str]:
    """How to check the generated `file`, or to run `proxy` with it; makes the files around it."""
    folder, path = file.parent, program(proxy)
    if proxy == "nginx":
        user = "user www-data;" if os.geteuid() == 0 else ""
        around = folder / "around.conf"
        around.write_text(_NGINX.format(folder=folder, file=file, user=user))
        return [path, "-p", str(folder), "-c", str(around), "-e", "stderr", *(["-t"] if check else [])]
    if proxy == "apache":
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        needed = re.search(r"a2enmod (.*?) &&", file.read_text())
        assert needed
        modules = "\n".join(
            f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so"
            for name in dict.fromkeys([*_APACHE_BASE, *needed[1].split()])
        )
        around = folder / "around.conf"
        around.write_text(_APACHE.format(folder=folder, file=file, user=user, modules=modules))
        return [path, "-f", str(around), *(["-t"] if check else ["-D", "FOREGROUND"])]
    if check:
        return [path, "-c", "-f", str(file)]
    return [path, "-db", "-f", str(file)]


def complaints(proxy: str, file: Path) -> str:
    """What the checker of `proxy` says against the generated `file`: nothing, if it is fine."""
    found = subprocess.run(command(proxy, file, check=True), capture_output=True, text=True, timeout=60)
    lines = (found.stdout + found.stderr).splitlines()
    harmless = ("syntax is ok", "test is successful", "Syntax OK", "Configuration file is valid", "[notice]")
    lines = [line for line in lines if line and not any(part in line for part in harmless)]
    return "\n".join(lines) or ("" if found.returncode == 0 else f"exit code {found.returncode}")


def running(proxy: str, file: Path, port: int) -> ForegroundProgram:
    """The reverse proxy with the generated `file`, ready to be started."""
    if proxy == "haproxy" and os.geteuid():
        file.write_text(re.sub(r"(?m)^    (user|group|chroot) .*\n", "", file.read_text()))
    words = command(proxy, file, check=False)
    return ForegroundProgram(proxy, words, folder=file.parent, log_path=file.parent / "proxy.log", port=port)
