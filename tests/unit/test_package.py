"""What is built to be installed: the source distribution, and the extension in it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from portico import _core

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"


@pytest.fixture(scope="module")
def source_distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    command = [VENV / "bin/maturin", "sdist", "--out", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (archive,) = folder.glob("portico-*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def files_of(folder: Path) -> list[PurePosixPath]:
    return [PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_source_distribution_has_no_corpora_and_no_pictures_of_a_soak(source_distribution: Path) -> None:
    files = files_of(source_distribution)
    unwanted = (".http", ".bin", ".svg")
    allowed = PurePosixPath("docs/contributing/house.svg")
    assert [str(file) for file in files if file.suffix in unwanted and file != allowed] == []
    assert [str(file) for file in files if "corpus" in file.parts or file.parts[0] == "fuzz"] == []


def test_source_distribution_has_what_a_build_needs(source_distribution: Path) -> None:
    files = {str(file) for file in files_of(source_distribution)}
    tracked = subprocess.run(
        ["git", "ls-files", "python", "src", "crates/*/src", "crates/*/Cargo.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    needed = {"Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", "LICENSE", *tracked}
    assert {name for name in needed if (ROOT / name).exists()} - files == set()
    # Cargo reads it whole: no member of the workspace and no target is missing.
    metadata = ["cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]
    subprocess.run(metadata, cwd=source_distribution, check=True, capture_output=True, timeout=60)


@pytest.mark.skipif((VENV / ".built-profiling").exists(), reason="built with PROFILE=profiling")
def test_extension_is_stripped() -> None:
    program = Path(_core.__file__).read_bytes()
    # The names of an ELF file's sections, which the code that prints backtraces has too, without such ends.
    symbols = (b"symtab", b"debug_info", b"debug_line")
    assert [name for name in symbols if b"\0." + name + b"\0" in program] == []
