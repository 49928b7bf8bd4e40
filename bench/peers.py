"""Makes what the comparison needs: the peers' virtual environments, wrk, spin, and the C limit.

A peer that cannot be installed is told loudly and left out; only wrk and spin are indispensable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib import metadata
from pathlib import Path

from servers import BENCH, CACHE, LIMIT, NEWER, PEERS, ROOT, SPIN

PACKAGES = (
    *("gunicorn", "gunicorn-h1c", "granian", "uwsgi", "bjoern", "fastwsgi", "fastpysgi", "freastal"),
    *("peregrine-server", "waitress", "cheroot", "flask", "django", "whitenoise", "gevent", "tornado"),
)
NEWER_PACKAGES = ("weft-server", "flask", "django")
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
    _compile(SPIN)
    if not SPIN.exists():
        raise MissingTool("the client that never sleeps (spin.c) could not be compiled.")
    _compile(LIMIT)
    install(PACKAGES)
    newer = _python_3_13()
    if newer:
        _install(NEWER, newer, NEWER_PACKAGES)
    else:
        say("\n!!! NO PYTHON 3.13 IS HERE, the row of weft will be missing\n")


def install(packages: Collection[str]) -> None:
    """Install those of the peers that are not there yet."""
    # The same interpreter as portico's, so that only the server differs.
    base = ROOT / ".venv/bin/python"
    _install(PEERS, str(base) if base.exists() else sys.executable, packages)


def versions() -> dict[str, str]:
    """Version of each distribution installed for the peers, and of portico, by lower-case name."""
    return {
        **_versions_in(NEWER, NEWER_PACKAGES),
        **_versions_in(PEERS, PACKAGES),
        **_versions_in(ROOT / ".venv", ("portico-server",)),
    }


def _versions_in(environment: Path, names: Collection[str]) -> dict[str, str]:
    folders = [str(folder) for folder in environment.glob("lib/python3*/site-packages")]
    found = {}
    for distribution in metadata.distributions(path=folders):
        name = str(distribution.metadata["Name"]).lower().replace("_", "-")
        if name in names:
            found[name] = distribution.version
    return found


def peers_python() -> str:
    """The version of the interpreter that runs the peers."""
    return _output([str(PEERS / "bin/python"), "-V"])


def _python_3_13() -> str | None:
    """A Python 3.13 that runs: that of PATH, or one of pyenv, whose own command may be switched off."""
    of_pyenv = sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"))
    for python in ("python3.13", *map(str, reversed(of_pyenv))):
        if _failure([python, "-c", "import venv"]) is None:
            return python
    return None


def _install(environment: Path, python: str, packages: Collection[str]) -> None:
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if not (environment / "bin/python").exists():
        say(f"making the peers' environment in {environment.relative_to(ROOT)}")
        for command in ([python, "-m", "venv", str(environment)], [*pip, *BUILD_TOOLS]):
            failure = _failure(command)
            if failure:
                raise MissingTool(f"the peers' environment cannot be made: {failure}")
    there = _versions_in(environment, packages)
    for package in packages:
        if package in there:
            continue
        say(f"installing {package}")
        if package == "bjoern" and not any(header.exists() for header in LIBEV_HEADERS):
            _apt("libev-dev")
        flags = ["--no-build-isolation"] if package in WITHOUT_ISOLATION else []
        failure = _failure([*pip, *flags, package])
        if failure:
            say(f"\n!!! {package} COULD NOT BE INSTALLED, its row will be missing: {failure}\n")


def _compile(program: Path) -> None:
    source = BENCH / f"{program.name}.c"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return
    CACHE.mkdir(exist_ok=True)
    failure = _failure(["cc", "-O2", "-Wall", "-o", str(program), str(source)])
    if failure:
        program.unlink(missing_ok=True)
        say(f"\n!!! {source.name} COULD NOT BE COMPILED: {failure}\n")


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
