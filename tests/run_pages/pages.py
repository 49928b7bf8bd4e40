"""The pages for those who run portico: their blocks, and what stands in code."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "run"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def page(name: str) -> str:
    """The text of the page of that name, which is that of its file without `.md`."""
    return (FOLDER / f"{name}.md").read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return [text for found, text in _BLOCK.findall(page(name)) if found == language]


def code(text: str) -> list[str]:
    """What stands in code within the text of a page, blocks left out."""
    return [found for _, found in _CODE.findall(_BLOCK.sub("", text))]
