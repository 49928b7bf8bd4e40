"""The generated files are what the table of settings and the sources say today."""

import re
from importlib import import_module
from pathlib import Path
from runpy import run_path

import pytest
from portico import errors
from portico.commands.all import commands
from portico.commands.man import manual_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_settings_page_is_generated_from_the_table() -> None:
    page = run_path(str(DOCS / "generate_settings.py"))["settings_page"]()
    assert (DOCS / "settings.md").read_text() == page, "run `make docs`"


def test_page_for_those_who_move_here_is_generated_from_the_old_words() -> None:
    page = run_path(str(DOCS / "generate_moving.py"))["moving_page"]()
    assert (DOCS / "moving.md").read_text() == page, "run `make docs`"


def test_manual_page_is_generated_from_the_table() -> None:
    assert (DOCS / "portico.1").read_text() == manual_page(commands), "run `make docs`"


def test_exit_codes_are_those_of_the_program() -> None:
    section = (DOCS / "signals.md").read_text("utf-8").partition("\n## Exit codes\n")[2]
    codes = [value for name, value in vars(errors).items() if name.startswith("EXIT_")]
    assert re.findall(r"^\| (\d) \|", section, re.MULTILINE) == [str(code) for code in sorted(codes)]


def test_long_description_is_made_of_the_readme() -> None:
    page = run_path(str(DOCS / "generate_package.py"))["long_description"]()
    assert (ROOT / "python/README.md").read_text() == page, "run `make docs`"


def test_defaults_for_the_tests_of_the_engine_are_those_of_the_table() -> None:
    page = run_path(str(DOCS / "generate_defaults.py"))["defaults_page"]()
    assert (ROOT / "crates/engine/tests/support/settings.txt").read_text() == page, "run `make docs`"


def test_picture_of_the_house_is_drawn_from_the_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "contributing")
    picture = import_module("draw_house").picture()
    assert (DOCS / "contributing/house.svg").read_text() == picture, "run `make docs`"
    assert len(picture) < 64_000
