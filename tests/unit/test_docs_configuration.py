"""Each TOML block of the docs is a file that portico reads; the schema there is the one that it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from portico.config.file import read_file
from portico.config.schema import schema
from support.pages import DOCS, blocks_of

BLOCKS = [
    (f"{page.name}:{block.line}", block.text)
    for page in sorted(DOCS.glob("**/*.md"))
    for block in blocks_of(page.read_text("utf-8"), "toml")
    if block.name != "broken.toml"  # the page shows what portico says of it
]


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[place for place, _ in BLOCKS])
def test_every_block_is_a_configuration_file(block: str, tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text(block, "utf-8")
    assert read_file(str(file), {"SECRET": "shown to nobody"}).mistakes == []


def test_there_are_blocks() -> None:
    assert BLOCKS


def test_the_schema_of_the_docs_is_the_one_that_is_printed() -> None:
    assert (DOCS / "portico.schema.json").read_text("utf-8") == schema()
