"""docs/http.md is what the corpus of requests says today."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return run_path(str(DOCS / "generate_http.py"))


def test_http_page_is_generated_from_the_corpus(generator: dict[str, Any]) -> None:
    page = generator["http_page"]()
    assert (DOCS / "http.md").read_text() == page, "run `make docs`"


def test_every_file_of_the_corpus_is_in_one_row(generator: dict[str, Any]) -> None:
    entries = list(generator["read_entries"]())
    rows = generator["http_page"]().splitlines()
    for stem in {entry.stem for entry in entries}:
        numbers = sorted(entry.number for entry in entries if entry.stem == stem)
        assert numbers == [f"{number:02}" for number in range(1, len(numbers) + 1)]
        assert sum(f"`{stem}_01" in row for row in rows) == 1, stem


def test_a_rule_accepts_or_rejects(generator: dict[str, Any]) -> None:
    """A sentence that is true of both would say nothing."""
    done: dict[str, set[bool]] = {}
    for entry in generator["read_entries"]():
        done.setdefault(entry.rule, set()).add(entry.status == "")
    assert [rule for rule, ways in done.items() if len(ways) > 1] == []
