"""The wheels of `make wheels`, each installed into an environment that has nothing else: they serve."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from pythons import found, known

from .conftest import Start

WHEELS = sorted((Path(__file__).resolve().parents[2] / "dist").glob("*.whl"))
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
SEE = """
import sys
before = set(sys.modules)
import portico
print(portico.__file__, *sorted(set(sys.modules) - before))
"""


@pytest.fixture(scope="module")
def pythons() -> dict[str, str]:
    """The interpreters of this machine, by version."""
    return known([sys.executable, *found()])


def python_for(wheel: Path, pythons: dict[str, str]) -> str:
    """The interpreter that `wheel` is for; skips the test where that could not load it, or is not here."""
    _, _, python, _, tag = wheel.stem.split("-")
    version = f"3.{python.removeprefix('cp3')}"
    if not tag.endswith(platform.machine()):
        pytest.skip(f"takes a machine of {tag}")
    if ("manylinux" in tag) != (platform.libc_ver()[0] == "glibc"):
        pytest.skip(f"takes the C library of {tag}")
    if version not in pythons:
        pytest.skip(f"takes Python {version}")
    return pythons[version]


@pytest.mark.parametrize("wheel", [pytest.param(path, id=path.stem) for path in WHEELS])
def test_a_wheel_is_installed_into_an_empty_environment_and_serves(
    start: Start, tmp_path: Path, wheel: Path, pythons: dict[str, str]
) -> None:
    environment = tmp_path / "environment"

    def run(*command: str | Path) -> str:
        # Neither a path to another portico, nor a compiler.
        variables = {"PATH": str(environment / "bin"), "HOME": str(tmp_path)}
        ended = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    run(python_for(wheel, pythons), "-m", "venv", environment)
    python = environment / "bin" / "python"
    quietly = ("--quiet", "--disable-pip-version-check")
    run(python, "-m", "pip", "install", *quietly, "--only-binary", ":all:", wheel)
    imported_from, *imported = run(python, "-c", SEE).split()
    assert Path(imported_from).is_relative_to(environment)
    # It costs nothing: no part of it is loaded, and nothing of others.
    assert imported == ["portico"]
    program = [str(environment / "bin" / "portico")]
    served = start(HELLO, "-w", "1", program=program, environment={"PYTHONPATH": ""})
    served.wait_ready()
    assert served.get() == "hello"
    served.stop()
