"""docs/generate.md is what `portico generate` prints today."""

from pathlib import Path
from runpy import run_path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_generated() -> None:
    page = run_path(str(DOCS / "generate_generate.py"))["generate_page"]()
    assert (DOCS / "generate.md").read_text() == page, "run `make docs`"
