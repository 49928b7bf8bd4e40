"""Each fuzz target is named wherever it has to be: else it is never built, never run, or not replayed."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
TARGETS = {path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs")}


def found(file: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (FUZZ / file).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        pytest.param("Cargo.toml", r'^path = "fuzz_targets/(\w+)\.rs"', id="Cargo.toml"),
        pytest.param("tests/replay.rs", r'^    \("(\w+)", \w+::check\),', id="replay"),
    ],
)
def test_every_target_is_named(file: str, pattern: str) -> None:
    assert found(file, pattern) == TARGETS


def test_every_target_is_run() -> None:
    assert set(run_path(str(FUZZ / "run.py"))["TARGETS"]) == TARGETS


def test_every_target_has_a_module_and_a_row_in_the_readme() -> None:
    assert TARGETS - found("src/lib.rs", r"^pub mod (\w+);") == set()
    rows = found("README.md", r"^\| ([a-z, 0-9_]+) \|")
    assert TARGETS - {name for row in rows for name in row.split(", ")} == set()


def test_every_target_calls_the_module_of_its_name() -> None:
    for target in TARGETS:
        assert found(f"fuzz_targets/{target}.rs", r"portico_fuzz::(\w+)::check\(") == {target}
