"""The programs in docs/embedding.md: each Python block, by the name in its first line."""

from __future__ import annotations

from support.pages import DOCS, files_of

PROGRAMS = files_of((DOCS / "embedding.md").read_text("utf-8"))
