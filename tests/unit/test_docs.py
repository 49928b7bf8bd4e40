"""The generated pages are what the table of settings says today."""

from pathlib import Path
from runpy import run_path

DOCS = Path(__file__).parents[2] / "docs"


def test_settings_page_is_generated_from_the_table() -> None:
    page = run_path(str(DOCS / "generate_settings.py"))["settings_page"]()
    assert (DOCS / "settings.md").read_text() == page, "run `make docs`"


def test_the_defaults_that_the_engine_is_tested_with_are_those_of_the_table() -> None:
    page = run_path(str(DOCS / "generate_defaults.py"))["defaults_page"]()
    defaults = DOCS.parent / "crates/engine/tests/support/settings.txt"
    assert defaults.read_text() == page, "run `make docs`"
