"""Makes what the comparison needs: the peers' virtual environment, wrk, and the C limit.

A peer that cannot be installed is told loudly and left out; only wrk is indispensable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib import metadata
from pathlib import Path

from servers import BENCH, CACHE, LIMIT, PEERS, ROOT

PACKAGES = ("gunicorn", "granian", "uwsgi", "bjoern", "fastwsgi", "waitress", "cheroot", "flask", "django")
# fastwsgi imports pkg_resources, which later versions of setuptools no longer have.
BUILD_TOOLS = ("setuptools<80", "wheel")
WITHOUT_ISOLATION = {"fastwsgi"}
LIBEV_HEADERS = (Path("/usr/include/ev.h"), Path("/usr/include/libev/ev.h"), Path("/usr/local/include/ev.h"))
INSTALL_S = 600


class MissingTool(Exception):
    """Something without which nothing can be measured."""


def say(line: str) -> None:
    """A line about the progress, beside the tables on standard output."""
    print(line, file=sys.stderr, flush=True)


def prepare() -> None:
    """Install and compile whatever is not there yet."""
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None and not _apt(tool if tool == "wrk" else "util-linux"):
            raise MissingTool(
                f"{tool} is not installed: `apt-get install wrk util-linux` (as root) brings it."
            )
    _compile_limit()
    _install_peers()


def versions() -> dict[str, str]:
    """Version of each distribution installed for the peers, and of portico, by lower-case name."""
    return {**_versions_in(PEERS, PACKAGES), **_versions_in(ROOT / ".venv", ("portico",))}


def _versions_in(environment: Path, names: Collection[str]) -> dict[str, str]:
    folders = [str(folder) for folder in environment.glob("lib/python3*/site-packages")]
    found = {}
    for distribution in metadata.distributions(path=folders):
        name = str(distribution.metadata["Name"]).lower()
        if name in names:
            found[name] = distribution.version
    return found


def peers_python() -> str:
    """The version of the interpreter that runs the peers."""
    return _output([str(PEERS / "bin/python"), "-V"])


def _install_peers() -> None:
    pip = [str(PEERS / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if not (PEERS / "bin/python").exists():
        say(f"making the peers' environment in {PEERS.relative_to(ROOT)}")
        # The same interpreter as portico's, so that only the server differs.
        base = ROOT / ".venv/bin/python"
        python = str(base) if base.exists() else sys.executable
        for command in ([python, "-m", "venv", str(PEERS)], [*pip, *BUILD_TOOLS]):
            failure = _failure(command)
            if failure:
                raise MissingTool(f"the peers' environment cannot be made: {failure}")
    there = _versions_in(PEERS, PACKAGES)
    for package in PACKAGES:
        if package in there:
            continue
        say(f"installing {package}")
        if package == "bjoern" and not any(header.exists() for header in LIBEV_HEADERS):
            _apt("libev-dev")
        flags = ["--no-build-isolation"] if package in WITHOUT_ISOLATION else []
        failure = _failure([*pip, *flags, package])
        if failure:
            say(f"\n!!! {package} COULD NOT BE INSTALLED, its row will be missing: {failure}\n")


def _compile_limit() -> None:
    source = BENCH / "epoll_limit.c"
    if LIMIT.exists() and LIMIT.stat().st_mtime > source.stat().st_mtime:
        return
    CACHE.mkdir(exist_ok=True)
    failure = _failure(["cc", "-O2", "-Wall", "-o", str(LIMIT), str(source)])
    if failure:
        say(f"\n!!! THE C LIMIT COULD NOT BE COMPILED, its row will be missing: {failure}\n")


def _apt(package: str) -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    say(f"installing the system package {package}")
    quiet = ["apt-get", "install", "-y", "-q", "--no-install-recommends", package]
    # A fresh machine has no list of packages yet.
    return not _failure(quiet) or (not _failure(["apt-get", "update", "-q"]) and not _failure(quiet))


def _failure(command: list[str]) -> str | None:
    """None when the command succeeded, else the last of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        None
        if done.returncode == 0
        else " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])[-400:]
    )


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
