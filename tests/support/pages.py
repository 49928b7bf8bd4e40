"""Pages of the documentation, taken apart: files by their names, commands with what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# An editor's directive may stand before it.
_NAME = re.compile(r"(?:#:.*\n)?(?:#|/\*|\{#) ([\w./-]+\.\w+)(, at the end)?\b")
_PART = re.compile(r"^(?:\$ (?P<command>.*)\n|\^C)", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A piece of a console: what was typed (a command, `^C`, or nothing), and what was printed then."""

    typed: str
    printed: str


@dataclass(frozen=True)
class Block:
    """What stands between two fences; `line` of the page is its first."""

    language: str
    text: str
    line: int

    @property
    def name(self) -> str:
        """The file that it is, by the comment that it begins with; empty if it has no name."""
        found = _NAME.match(self.text)
        return found[1] if found else ""

    @property
    def is_addition(self) -> bool:
        """Whether it belongs to the end of its file."""
        found = _NAME.match(self.text)
        return bool(found and found[2])

    def parts(self) -> list[Part]:
        """Of a console, what was typed and printed; before the first `$`, what a server goes on to print."""
        parts, typed, start = [], "", 0
        for match in _PART.finditer(self.text):
            parts.append(Part(typed, self.text[start : match.start()]))
            typed, start = match["command"] or "^C", match.end()
        parts.append(Part(typed, self.text[start:]))
        return [part for part in parts if part.typed or part.printed]


def blocks_of(page: str, language: str = "") -> Iterator[Block]:
    """The blocks of a page, or those in one language, from top to bottom."""
    for match in _BLOCK.finditer(page):
        if language in ("", match[1]):
            yield Block(match[1], match[2], page.count("\n", 0, match.start()) + 2)


def files_of(page: str) -> dict[str, str]:
    """The text of each Python block by its name; a block without one, or with one of another, is an error."""
    files: dict[str, str] = {}
    for block in blocks_of(page, "python"):
        assert block.name, f"line {block.line}: a block without a name in its first line"
        assert block.name not in files, f"line {block.line}: {block.name} is there twice"
        files[block.name] = block.text
    return files
