"""Prints python/README.md, the distribution's long description; `make docs` writes it, a test keeps it true.

It is README.md. Where it is shown (by a registry, by pip) no files stand beside it, so its links to files
lead to the repository, whose address pyproject.toml has.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK_TO_FILE = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)([^)\s]*)\)")


def long_description() -> str:
    """Return the page as Markdown. Raises SystemExit if a link leads to no file."""
    address = re.search(r'^Source = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    if address is None:
        raise SystemExit("pyproject.toml: expected Source among project.urls")

    def absolute(link: re.Match[str]) -> str:
        path = ROOT / link[1]
        if not path.exists():
            raise SystemExit(f"README.md: there is no {link[1]}")
        return f"]({address[1]}/{'tree' if path.is_dir() else 'blob'}/main/{link[1]}{link[2]})"

    note = "<!-- Made of README.md by `make docs`. -->\n\n"
    return note + LINK_TO_FILE.sub(absolute, (ROOT / "README.md").read_text("utf-8"))


if __name__ == "__main__":
    sys.stdout.write(long_description())
