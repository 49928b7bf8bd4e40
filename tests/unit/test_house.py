"""The layers stand: no import goes upward or in a circle, no crate names what is not its business."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PURE = ("portico-wire", "portico-crew")


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs/contributing")
    return import_module("house")


@pytest.fixture
def crates(house: ModuleType) -> dict[str, Any]:
    return house.read_crates()


@pytest.fixture
def python(house: ModuleType) -> list[Any]:
    return house.read_python(ROOT / "python/portico")


def cargo(*arguments: str) -> str:
    return subprocess.run(
        ["cargo", *arguments, "--offline"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


# --- The engine and the crew

held = pytest.mark.parametrize("crate", ["portico_crew", "portico_engine"])


@held
def test_every_module_has_a_place_in_a_reading_order(crates: dict[str, Any], crate: str) -> None:
    untold = crates[crate].untold()
    assert untold == [], (
        "name it in the numbered list at the head of lib.rs, or of the module it is a part of"
    )


@held
def test_a_module_imports_only_what_stands_before(
    house: ModuleType, crates: dict[str, Any], crate: str
) -> None:
    assert house.upward(crates[crate]) == []


def test_only_three_modules_of_the_engine_name_sockets(house: ModuleType, crates: dict[str, Any]) -> None:
    assert house.naming(crates["portico_engine"], house.SOCKETS, house.SOCKET_MODULES) == []


# --- Crates


def test_no_circle_of_files(house: ModuleType, crates: dict[str, Any], python: list[Any]) -> None:
    imports = [found for crate in crates.values() for found in crate.imports]
    assert house.circles([*imports, *python]) == []


def test_crates_import_only_those_below(house: ModuleType, crates: dict[str, Any]) -> None:
    for name, (_, allowed) in house.CRATES.items():
        assert house.between_crates(crates[name], allowed) == []


def test_only_the_bridge_names_pyo3(house: ModuleType, crates: dict[str, Any]) -> None:
    for name in set(crates) - {"_core"}:
        assert house.naming(crates[name], re.compile(r"\bpyo3\b")) == []


def test_wire_and_crew_name_neither_sockets_nor_a_runtime(house: ModuleType, crates: dict[str, Any]) -> None:
    words = re.compile(rf"\b(?:tokio|rustix|libc)\b|{house.SOCKETS.pattern}")
    for name in ("portico_wire", "portico_crew"):
        assert house.naming(crates[name], words) == []


def test_manifests_ask_for_what_the_layer_may_have() -> None:
    packages = json.loads(cargo("metadata", "--no-deps", "--format-version", "1"))["packages"]
    asked = {
        package["name"]: {row["name"] for row in package["dependencies"] if row["kind"] != "dev"}
        for package in packages
    }
    ours = {name: {other for other in names if other.startswith("portico-")} for name, names in asked.items()}
    assert ours == {
        "portico-wire": set(),
        "portico-crew": set(),
        "portico-engine": {"portico-wire", "portico-crew"},
        "portico-core": {"portico-wire", "portico-engine"},
    }
    assert [name for name, names in asked.items() if "pyo3" in names] == ["portico-core"]
    assert [name for name in PURE if asked[name] & {"tokio", "rustix", "libc"}] == []


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        pytest.param("portico-wire", {"pyo3", "tokio", "rustix", "libc"}, id="wire"),
        pytest.param("portico-crew", {"pyo3", "tokio", "rustix", "libc"}, id="crew"),
        pytest.param("portico-engine", {"pyo3", "pyo3-ffi"}, id="engine"),
    ],
)
def test_nothing_forbidden_comes_by_way_of_others(package: str, forbidden: set[str]) -> None:
    lines = cargo("tree", "-p", package, "--edges", "normal", "--prefix", "none").splitlines()
    assert {line.split()[0] for line in lines if line} & forbidden == set()


# --- Python


def test_python_layers_import_downward(house: ModuleType, python: list[Any]) -> None:
    assert house.against_layers(python) == []


# --- The reading of imports


LIB = """//! A crate.
//!
//! 1. `low`: stands below.
//! 2. `high`: stands above,
//!    with `parts` in it.

pub mod high;
pub mod low;
pub mod parts;
pub use high::Shown;
"""


@pytest.mark.parametrize(
    ("low", "imported"),
    [
        pytest.param("use crate::high::{A, B};", "high", id="use"),
        pytest.param("use crate::{high, low};", "high", id="braces"),
        pytest.param("use super::high::*;", "high", id="super"),
        pytest.param("fn f(value: crate::high::A) {}", "high", id="path"),
        pytest.param("use crate::Shown as Other;", "high", id="re-exported"),
        pytest.param("use crate::parts::one::A;", "parts::one", id="part"),
    ],
)
def test_finds_an_upward_import(house: ModuleType, tmp_path: Path, low: str, imported: str) -> None:
    crate = made(tmp_path, low=low)
    assert [(found.line, found.imported) for found in imports_of(crate, "low")] == [(1, f"toy::{imported}")]
    assert len(house.upward(crate)) == 1


@pytest.mark.parametrize(
    "low",
    [
        pytest.param("// use crate::high::A;", id="comment"),
        pytest.param('const A: &str = "crate::high::A";', id="string"),
        pytest.param("#[cfg(test)]\nmod tests {\n    use crate::high::A;\n}", id="tests"),
        pytest.param("pub(in crate::high) fn f() {}", id="visibility"),
        pytest.param("use std::sync::Arc;", id="foreign"),
    ],
)
def test_passes_over_what_is_no_import(house: ModuleType, tmp_path: Path, low: str) -> None:
    crate = made(tmp_path, low=low)
    assert imports_of(crate, "low") == []
    assert house.upward(crate) == []


def test_a_part_must_not_use_what_its_parent_has(house: ModuleType, tmp_path: Path) -> None:
    crate = made(tmp_path, one="use super::Whole;")
    assert [fault.split(": ", 1)[1] for fault in house.upward(crate)] == [
        "toy::parts::one imports toy::parts (super::Whole), which stands later"
    ]


def test_finds_a_circle(house: ModuleType, tmp_path: Path) -> None:
    crate = made(
        tmp_path, low="use crate::high::A;", high="use crate::parts::one::A;", one="use crate::low::A;"
    )
    assert len(house.circles(crate.imports)) == 3


def made(folder: Path, *, low: str = "", high: str = "", one: str = "") -> Any:
    """A crate of `low`, `high` and `parts::one`."""
    (folder / "parts").mkdir(exist_ok=True)
    parts = "//! Parts.\n//!\n//! 1. `one`: one.\nmod one;\nuse one::Part;\n"
    files = {"lib": LIB, "low": low, "high": high, "parts": parts, "parts/one": one}
    for name, text in files.items():
        (folder / f"{name}.rs").write_text(text)
    return import_module("rust_imports").Crate("toy", folder, {})


def imports_of(crate: Any, module: str) -> list[Any]:
    return [found for found in crate.imports if found.importer == f"toy::{module}"]


def test_reads_python_imports_and_marks_those_for_types(house: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "portico"
    package.mkdir()
    for name in ("__init__", "cli", "log"):
        (package / f"{name}.py").write_text("")
    (package / "errors.py").write_text(
        "from typing import TYPE_CHECKING\nfrom portico import log\n"
        "if TYPE_CHECKING:\n    import portico.cli\ndef f():\n    from portico.cli import main\n"
    )
    imports = house.read_python(package)
    assert [(found.line, found.imported, found.for_types_only) for found in imports] == [
        (2, "portico.log", False),
        (4, "portico.cli", True),
        (6, "portico.cli", False),
    ]
    assert len(house.against_layers(imports)) == 3


def test_finds_a_circle_that_is_for_types_only(house: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "portico"
    package.mkdir()
    (package / "one.py").write_text("import portico.other\n")
    (package / "other.py").write_text("if TYPE_CHECKING:\n    import portico.one\n")
    assert len(house.circles(house.read_python(package))) == 2
