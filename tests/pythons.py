#!/usr/bin/env python3
"""Builds portico for every Python that is here, and runs the tests of what the interpreter has a part in.

    tests/pythons.py [PYTHON...]

Without arguments those of PATH and of pyenv. Each has an environment of its own, `target/pythons/VERSION`, in
which the built wheel is installed. Exit code 1 if there is a version for which something failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "target" / "pythons"
OLDEST = (3, 10)
OLDEST_FREE_THREADED = (3, 14)
"""pyo3 builds for no older one."""
TESTS = (
    *(f"tests/{name}" for name in ("conformance", "server", "process", "wire")),
    *(f"tests/{name}" for name in ("dev", "embedding", "middleware")),
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/unit/test_config_*.py"))),
    *(f"tests/unit/test_{name}.py" for name in ("cli", "dev", "old_words")),
)
DEPENDENCIES = ("click>=8.1", "tomli>=1.1; python_version < '3.11'")
"""Those of pyproject.toml: the wheel itself is installed without a look at a registry."""
NOT_RUN = ("ruff", "mypy", "psycopg", "psycogreen", "grpcio")
"""Of tests/requirements.txt: they look at the source, whose Python is one, or are of tests/ways alone."""
ASK = """
import sys, sysconfig
print(*sys.version_info[:2], sysconfig.get_config_var("Py_GIL_DISABLED") or 0)
"""


def main(chosen: list[str]) -> int:
    """Test all of them, then say what came of each."""
    pythons = known(chosen or found())
    if not pythons:
        print(f"no Python {OLDEST[0]}.{OLDEST[1]} or later is here")
        return 1
    outcomes = {version: tested(version, python) for version, python in sorted(pythons.items())}
    for version, outcome in outcomes.items():
        print(f"{version:>6}  {outcome}")
    return 0 if all(outcome == "passed" for outcome in outcomes.values()) else 1


def found() -> list[str]:
    """What may be a Python: the names of PATH, and pyenv's versions, which its own names may hide."""
    names = [f"python3.{minor}{kind}" for minor in range(OLDEST[1], 20) for kind in ("", "t")]
    return [*names, *map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")))]


def known(pythons: Iterable[str]) -> dict[str, str]:
    """The first Python of each version that can be asked, with a `t` behind those that are free-threaded."""
    versions: dict[str, str] = {}
    for python in pythons:
        try:
            asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=20)
        except OSError:
            continue
        if asked.returncode:
            continue
        major, minor, is_free_threaded = map(int, asked.stdout.split())
        version = f"{major}.{minor}{'t' if is_free_threaded else ''}"
        if (major, minor) < (OLDEST_FREE_THREADED if is_free_threaded else OLDEST):
            print(f"{version} is left out: too old to build for")
        else:
            versions.setdefault(version, python)
    return versions


def tested(version: str, python: str) -> str:
    """`passed`, or which step failed; what the steps print is for the reader."""
    print(f"\n{version}: {python}", flush=True)
    environment = FOLDER / version
    run = environment / "bin" / "python"
    wheels = environment / "wheels"
    requirements = [
        line
        for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines()
        if not line.startswith(("#", *NOT_RUN))
    ]
    processes = str((os.cpu_count() or 1) + 1)
    pip = [run, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    maturin = [environment / "bin" / "maturin", "build", "--release", "--interpreter", run, "--out", wheels]
    steps: dict[str, list[str | Path]] = {
        "no environment": [python, "-m", "venv", "--clear", environment],
        "packages not installed": [*pip, "maturin>=1.9,<2", *DEPENDENCIES, *requirements],
        "not built": list(maturin),
        # Only what was just built.
        "not installed": [*pip, "--no-index", "--no-deps", "--find-links", wheels, "portico-server"],
        "tests failed": [
            *(run, "-m", "pytest", "-q", "-n", processes, "--dist", "loadscope"),
            *("-m", "not alone and not large", "-p", "no:cacheprovider", *TESTS),
        ],
    }
    # One folder for all: what has no part in Python is compiled once.
    variables = {**os.environ, "CARGO_TARGET_DIR": str(FOLDER / "build"), "PYO3_PYTHON": str(run)}
    for failure, command in steps.items():
        if subprocess.run(command, cwd=ROOT, env=variables).returncode:
            return failure
    return "passed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
