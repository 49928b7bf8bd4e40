"""Prints python/README.md, the distribution's long description; `make docs` writes it, a test keeps it true.

It is README.md. Where it is shown (by a registry, by pip) no files stand beside it, so its links to files
lead to the repository, whose address pyproject.toml has.
"""

from __future__ import annotations

import sys

from links import ROOT, in_repository, with_links


def long_description() -> str:
    """Return the page as Markdown. Raises SystemExit if a link leads to no file."""
    note = "<!-- Made of README.md by `make docs`. -->\n\n"
    page = (ROOT / "README.md").read_text("utf-8")
    return note + with_links(page, lambda path: in_repository(ROOT / path))


if __name__ == "__main__":
    sys.stdout.write(long_description())
