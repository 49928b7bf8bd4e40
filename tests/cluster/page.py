"""docs/cluster.md, for tests that run what it shows: its blocks by their names, at addresses of a test."""

from __future__ import annotations

from support.pages import DOCS, blocks_of

PAGE = (DOCS / "cluster.md").read_text("utf-8")


def block(name: str) -> str:
    """The text of the block that begins with its name."""
    (found,) = [each.text for each in blocks_of(PAGE) if each.name == name]
    return found


def adapted(name: str, changes: dict[str, str]) -> str:
    """The block `name` with addresses and paths of a test in the place of its own, all of which are there."""
    text = block(name)
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text
