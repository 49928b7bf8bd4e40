"""The generated pages are what the table of settings says today."""

from pathlib import Path
from runpy import run_path

DOCS = Path(__file__).parents[2] / "docs"


def test_settings_page_is_generated_from_the_table() -> None:
    page = run_path(str(DOCS / "generate_settings.py"))["settings_page"]()
    assert (DOCS / "settings.md").read_text() == page, "run `make docs`"
