"""The wheels of `make wheels`: what is in each, and that it serves where nothing else is installed."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from pythons import found, known
from support.package import ROOT, check_metadata, sections_for_debuggers, tracked
from wheels import PYTHONS, TARGETS

from ..conftest import Start

WHEELS = sorted(ROOT.glob("dist/*.whl"))
NEWEST_GLIBC = (2, 17)
"""Of manylinux2014 (PEP 599)."""
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


of_each_wheel = pytest.mark.parametrize("wheel", [pytest.param(path, id=path.stem) for path in WHEELS])


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


@of_each_wheel
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


@of_each_wheel
def test_wheel_says_all_of_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        [name] = [name for name in content.namelist() if name.endswith(".dist-info/METADATA")]
        check_metadata(Parser().parsestr(content.read(name).decode()))


@of_each_wheel
def test_wheel_has_the_package_with_one_extension_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = [name for name in content.namelist() if ".dist-info/" not in name and not name.endswith("/")]
    [extension] = [name for name in names if name.endswith(".so")]
    python = wheel.name.split("-")[2].removeprefix("cp")
    assert extension.startswith(f"portico/_core.cpython-{python}-")
    package = {name.removeprefix("python/") for name in tracked("python/portico")}
    assert set(names) - {extension} == package


@of_each_wheel
def test_extension_of_a_wheel_is_stripped_and_needs_no_newer_library_than_its_tag_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        [extension] = [name for name in content.namelist() if name.endswith(".so")]
        program = content.read(extension)
    assert sections_for_debuggers(program) == []
    assert str(Path.home()).encode() + b"/" not in program
    needed = {(int(major), int(minor)) for major, minor in re.findall(rb"\bGLIBC_(\d+)\.(\d+)\b", program)}
    if "musllinux" in wheel.name:
        assert needed == set()
    else:
        assert "manylinux2014" in wheel.name
        assert max(needed) <= NEWEST_GLIBC


def test_no_wheel_is_missing_among_those_that_were_built() -> None:
    assert WHEELS, "expected those of tests/wheels.py --runnable"
    built = {(wheel.name.split("-")[2], wheel.name.split("-")[4]) for wheel in WHEELS}
    pythons, platforms = ({each[index] for each in built} for index in (0, 1))
    assert built == {(python, platform) for python in pythons for platform in platforms}
    assert pythons <= {f"cp{python.replace('.', '')}" for python in PYTHONS}
    assert len(platforms) <= len(TARGETS)
