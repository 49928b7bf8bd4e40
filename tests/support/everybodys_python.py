"""A Python that other users than root can run: that of a root's home folder is root's alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import portico

_VERSION = "import sys; print(sys.version_info[:2], sys.abiflags)"


def find_everybodys_python() -> str:
    """Return the path of one of this version, or an empty text if the machine has none."""
    own = f"{tuple(sys.version_info[:2])} {sys.abiflags}\n"
    for path in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""):
        if path and _is_open(path):
            found = subprocess.run([path, "-c", _VERSION], capture_output=True, text=True, check=False)
            if found.stdout == own:
                return path
    return ""


def import_path() -> str:
    """Return the PYTHONPATH by which it finds portico and what that needs."""
    folders = (Path(portico.__file__).parents[1], sysconfig.get_path("purelib"))
    return os.pathsep.join(map(str, folders))


def _is_open(path: str) -> bool:
    """Say whether everybody can enter the folders that lead there."""
    folders = Path(path).resolve().parents
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in folders)
