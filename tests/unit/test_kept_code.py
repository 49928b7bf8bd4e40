"""portico.process.kept_code: modules that are read now, and run when they are imported."""

from __future__ import annotations

import importlib
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from portico.process.kept_code import KeptCode


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that is loaded, with a module beside it that is not."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "book.py").write_text("import sys\nsys.has_read_a_book = True\npages = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "has_read_a_book", False, raising=False)
    importlib.import_module("shelf")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "shelf"]:
        del sys.modules[name]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptCode:
    kept = KeptCode()
    monkeypatch.setattr(sys, "meta_path", [kept, *sys.meta_path])
    return kept


@pytest.mark.parametrize("is_compiled", [True, False], ids=["bytecode", "source"])
def test_runs_on_import_and_needs_no_file_then(shelf: Path, kept: KeptCode, is_compiled: bool) -> None:
    if is_compiled:
        py_compile.compile(str(shelf / "book.py"))
    kept.keep("shelf.book")
    assert "shelf.book" not in sys.modules
    assert not sys.has_read_a_book  # type: ignore[attr-defined]
    shutil.rmtree(shelf)
    book = importlib.import_module("shelf.book")
    assert sys.has_read_a_book  # type: ignore[attr-defined]
    assert (book.pages, book.__file__) == (1, str(shelf / "book.py"))
    assert importlib.import_module("shelf.book") is book


def test_bytecode_of_another_source_is_not_taken(shelf: Path, kept: KeptCode) -> None:
    py_compile.compile(str(shelf / "book.py"))
    (shelf / "book.py").write_text("pages = 2\n")
    os.utime(shelf / "book.py", (1, 1))
    kept.keep("shelf.book")
    assert importlib.import_module("shelf.book").pages == 2


def test_bytecode_that_is_checked_by_a_hash_is_left_to_the_interpreter(shelf: Path, kept: KeptCode) -> None:
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    py_compile.compile(str(shelf / "book.py"), invalidation_mode=mode)
    (shelf / "book.py").write_text("pages = 2\n")
    kept.keep("shelf.book")
    assert importlib.import_module("shelf.book").pages == 2


def test_what_has_no_code_is_imported(shelf: Path, kept: KeptCode) -> None:
    class Loader:
        """As that of an extension module."""

        def create_module(self, spec: ModuleSpec) -> None:
            return None

        def exec_module(self, module: ModuleType) -> None:
            module.__dict__["pages"] = 3

    class Finder:
        def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
            return ModuleSpec(name, Loader()) if name == "shelf.built" else None  # type: ignore[arg-type]

    sys.meta_path.append(Finder())
    kept.keep("shelf.built")
    assert sys.modules["shelf.built"].pages == 3


def test_says_that_there_is_no_such_module(shelf: Path, kept: KeptCode) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"shelf\.papers"):
        kept.keep("shelf.papers")


def test_what_a_supervisor_keeps_imports_nothing_that_it_has_not() -> None:
    program = """if True:
        import sys
        import portico.process.__main__
        from portico.process.kept_code import KeptCode
        from portico.process.settling import FOR_ALL
        kept = KeptCode()
        for name in FOR_ALL:
            kept.keep(name)
        sys.meta_path[:] = [kept]
        for name in FOR_ALL:
            __import__(name)
    """
    subprocess.run([sys.executable, "-c", program], check=True)
