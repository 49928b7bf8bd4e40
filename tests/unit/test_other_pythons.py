"""Which interpreters `make test-pythons` takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pythons import known


def fake(folder: Path, name: str, said: str, code: int = 0) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_the_first_python_of_each_version_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pythons = [
        fake(tmp_path, "hidden", "pyenv: command not found", 127),
        str(tmp_path / "missing"),
        newer := fake(tmp_path, "newer", "3 13 0"),
        fake(tmp_path, "again", "3 13 0"),
        free := fake(tmp_path, "free", "3 14 1"),
        same := fake(tmp_path, "same", "3 14 0"),
        fake(tmp_path, "old", "3 9 0"),
        fake(tmp_path, "too-early", "3 13 1"),
    ]
    assert known(pythons) == {"3.13": newer, "3.14t": free, "3.14": same}
    assert capsys.readouterr().out.splitlines() == [
        "3.9 is left out: too old to build for",
        "3.13t is left out: too old to build for",
    ]
