"""The generated files are what the table of settings says today."""

from pathlib import Path
from runpy import run_path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_settings_page_is_generated_from_the_table() -> None:
    page = run_path(str(DOCS / "generate_settings.py"))["settings_page"]()
    assert (DOCS / "settings.md").read_text() == page, "run `make docs`"


def test_defaults_for_the_tests_of_the_engine_are_those_of_the_table() -> None:
    page = run_path(str(DOCS / "generate_defaults.py"))["defaults_page"]()
    assert (ROOT / "crates/engine/tests/support/settings.txt").read_text() == page, "run `make docs`"
