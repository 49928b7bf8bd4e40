"""What is published: the wheels of `make wheels`, the source distribution, and what both say of portico."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest
from portico import __version__, _core
from wheels import PYTHONS, TARGETS, missing_library

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
WHEELS = sorted(ROOT.glob("dist/*.whl"))
NEWEST_GLIBC = (2, 17)
"""Of manylinux2014 (PEP 599)."""

of_each_wheel = pytest.mark.parametrize("wheel", [pytest.param(path, id=path.stem) for path in WHEELS])


def tracked(*patterns: str) -> set[str]:
    """Files of the repository."""
    return set(
        subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )


# --- The source distribution


@pytest.fixture(scope="module")
def source_distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    command = [Path(sys.executable).with_name("maturin"), "sdist", "--out", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (archive,) = folder.glob("portico_server-*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def files_of(folder: Path) -> set[str]:
    return {str(PurePosixPath(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()}


def test_source_distribution_has_what_a_build_needs_and_no_more(source_distribution: Path) -> None:
    sources = tracked("python", "src", "crates/*/src/*", "crates/*/Cargo.toml")
    others = {"Cargo.toml", "Cargo.lock", "pyproject.toml", "LICENSE", "README.md", "PKG-INFO"}
    assert files_of(source_distribution) == sources | others


def test_cargo_reads_the_source_distribution(source_distribution: Path) -> None:
    """No member of the workspace and no target is missing."""
    metadata = ["cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]
    subprocess.run(metadata, cwd=source_distribution, check=True, capture_output=True, timeout=60)


def test_source_distribution_says_all_of_itself(source_distribution: Path) -> None:
    check_metadata(Parser().parsestr((source_distribution / "PKG-INFO").read_text("utf-8")))


# --- Wheels


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
    if not WHEELS:
        pytest.skip("`make wheels` has built none")
    built = {(wheel.name.split("-")[2], wheel.name.split("-")[4]) for wheel in WHEELS}
    pythons, platforms = ({each[index] for each in built} for index in (0, 1))
    assert built == {(python, platform) for python in pythons for platform in platforms}
    assert pythons <= {f"cp{python.replace('.', '')}" for python in PYTHONS}
    assert len(platforms) <= len(TARGETS)


# --- Targets


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("rustup", "sentence"),
    [
        ("", "Rust's standard library for it is not installed, and there is no rustup to bring it"),
        (
            "echo 'info: asking' >&2; echo 'error: no component rust-std' >&2; exit 1",
            "rustup cannot bring Rust's standard library for it (error: no component rust-std)",
        ),
        ("exit 0", "rustup cannot bring Rust's standard library for it (it says nothing)"),
        ('echo > "$(dirname "$0")/libstd-1.rlib"', ""),
    ],
    ids=["no rustup", "rustup fails", "rustup brings nothing", "rustup brings it"],
)
def test_says_why_a_target_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rustup: str, sentence: str
) -> None:
    fake(tmp_path, "rustc", f"echo {tmp_path}")
    if rustup:
        fake(tmp_path, "rustup", f"PATH=/usr/bin:/bin\n{rustup}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_library("aarch64-unknown-linux-musl") == sentence


# --- What both say


def check_metadata(said: Message) -> None:
    """Compare what a distribution says of itself with pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (said["Name"], said["Version"]) == ("portico-server", __version__)
    assert (said["Summary"], said["License-Expression"]) == (project["description"], "Apache-2.0")
    assert said["Requires-Python"] == ">=3.10"
    assert set(said.get_all("Classifier", [])) == set(project["classifiers"])
    urls = dict(line.split(", ", 1) for line in said.get_all("Project-URL", []))
    assert urls == project["urls"]
    assert set(urls) == {"Source", "Documentation", "Changelog", "Issues"}
    assert said.get_all("Provides-Extra") == ["dev"]
    assert {re.split(r"[<>=;]", line)[0].strip() for line in said.get_all("Requires-Dist", [])} == {
        *("click", "tomli", "watchfiles")
    }
    assert said["Description-Content-Type"].startswith("text/markdown")
    text = said.get_payload()
    assert isinstance(text, str)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []


def test_classifiers_name_every_python_that_there_is_a_wheel_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert named == set(PYTHONS)


# --- The extension of this checkout


@pytest.mark.skipif((VENV / ".built-profiling").exists(), reason="built with PROFILE=profiling")
def test_extension_is_stripped() -> None:
    assert sections_for_debuggers(Path(_core.__file__).read_bytes()) == []


def sections_for_debuggers(program: bytes) -> list[bytes]:
    """What a stripped ELF file has not."""
    # The names of sections, which the code that prints backtraces has too, without such ends.
    symbols = (b"symtab", b"debug_info", b"debug_line")
    return [name for name in symbols if b"\0." + name + b"\0" in program]
