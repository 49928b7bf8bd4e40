"""The programs in docs/embedding.md: each Python block, by the name in its first line."""

from __future__ import annotations

import re

from .embedded import ROOT

PAGE = ROOT / "docs/embedding.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# (\w+\.py)\b")


def programs() -> dict[str, str]:
    """Return the text of each block by its name; a block without one is an error."""
    found = {}
    for block in _BLOCK.findall(PAGE.read_text()):
        name = _NAME.match(block)
        assert name is not None, f"a block of {PAGE} without a name in its first line: {block}"
        assert name[1] not in found, f"{name[1]} twice in {PAGE}"
        found[name[1]] = block
    return found


def program_named(name: str) -> str:
    return programs()[name]
