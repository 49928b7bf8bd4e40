"""What is published: the source distribution; wheels are looked into by process/slow/test_wheels.py."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest
from portico import _core
from support.package import ROOT, check_metadata, sections_for_debuggers, tracked
from wheels import PYTHONS, missing_library

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VENV = ROOT / ".venv"


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
    others = {"Cargo.toml", "Cargo.lock", "build.rs", "pyproject.toml", "LICENSE", "README.md", "PKG-INFO"}
    assert files_of(source_distribution) == sources | others


def test_cargo_reads_the_source_distribution(source_distribution: Path) -> None:
    """No member of the workspace and no target is missing."""
    metadata = ["cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]
    subprocess.run(metadata, cwd=source_distribution, check=True, capture_output=True, timeout=60)


def test_source_distribution_says_all_of_itself(source_distribution: Path) -> None:
    check_metadata(Parser().parsestr((source_distribution / "PKG-INFO").read_text("utf-8")))


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


# --- What it says


def test_classifiers_name_every_python_that_there_is_a_wheel_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert named == set(PYTHONS)


# --- The extension of this checkout


@pytest.mark.skipif((VENV / ".built-profiling").exists(), reason="built with PROFILE=profiling")
def test_extension_is_stripped() -> None:
    assert sections_for_debuggers(Path(_core.__file__).read_bytes()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="src/layout.ld is for ELF")
def test_functions_that_few_requests_run_lie_apart() -> None:
    program = Path(_core.__file__).read_bytes()
    assert b"\0.text.apart\0" in program
