"""The Markdown pages of the project: their headings, the anchors of these, and their links."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

# What writes the links of the site and of the long description reads them here as well (docs/links.py).
from links import ROOT, anchor, without_code

DOCS = ROOT / "docs"
PATTERNS = ("*.md", ".github/**/*.md", "docs/**/*.md", "python/README.md")
FOLDERS = ("bench", "examples", "fuzz", "soak", "tests")


def pages() -> list[Path]:
    """All of them."""
    patterns = (*PATTERNS, *(f"{folder}/*.md" for folder in FOLDERS))
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def headings(page: Path) -> list[str]:
    """The headings of a page, as they are written."""
    text = page.read_text("utf-8")
    lines = zip(text.splitlines(), without_code(text).splitlines(), strict=True)
    return [line.lstrip("#").strip() for line, prose in lines if re.match("#{1,6} ", prose)]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading, as that is written: of a link only its text is shown."""
    return anchor(re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", heading))


def anchors(page: Path) -> set[str]:
    """The anchors of a page that a link may lead to.

    Those of headings that are there twice are not among them: GitHub calls the second one `name-1`, the site
    calls it `name_1`. This is where their rules differ.
    """
    return {anchor for anchor, times in Counter(map(slug, headings(page))).items() if times == 1}
