"""The links of Markdown pages, and where a file of the repository is to be seen.

Receives the text of a page; hands on its links, the anchors that they lead to, or the text with other links.
What looks like a link within code is none. The addresses are those of `[project.urls]` in pyproject.toml: the
only place that has them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]

_CODE = re.compile(
    r"^ *(?P<fence>```+|~~~+)[^\n]*\n.*?^ *(?P=fence)[ \t]*$"
    r"|(?<!`)(?P<quotes>`+)(?!`).+?(?<!`)(?P=quotes)(?!`)"
    r"|<!--.*?-->",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?P<target>[^()\s]*)(?: +\"[^\"]*\")?\)")
_NAMED = re.compile(r"(?<!\]\()\bdocs/([\w/-]+\.md)\b")
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//")


@dataclass(frozen=True)
class Link:
    """A link within the project: the path as it is written, perhaps empty, and the anchor, perhaps empty."""

    path: str
    anchor: str
    line: int


def without_code(text: str) -> str:
    """Return the text with spaces in the place of code and comments; each line keeps its number."""
    return _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)


def links(text: str) -> Iterator[Link]:
    """Yield the links of a page that lead to no other host."""
    prose = without_code(text)
    for match in _LINK.finditer(prose):
        if not _ABSOLUTE.match(match["target"]):
            path, _, anchor = match["target"].partition("#")
            yield Link(path, anchor, prose.count("\n", 0, match.start()) + 1)


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading, of which the text that is shown is given.

    Small letters, hyphens for spaces, no punctuation. What is in angle brackets is text here: in code,
    `<name>` is no tag.
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def with_links(text: str, lead: Callable[[str], str]) -> str:
    """Return the page with the path of each link to a file as `lead` wants it; anchors stay."""
    pieces, end = [], 0
    for match in _LINK.finditer(without_code(text)):
        path = match["target"].partition("#")[0]
        if path and not _ABSOLUTE.match(path):
            start = match.start("target")
            pieces += [text[end:start], lead(path)]
            end = start + len(path)
    return "".join([*pieces, text[end:]])


def with_links_to_pages(text: str) -> str:
    """Return the text for a page of docs/, with links where it names others, as the program does."""
    return _NAMED.sub(r"[\1](\1)", text)


def addresses() -> dict[str, str]:
    """Return `[project.urls]`."""
    urls: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    return urls


def in_repository(path: Path) -> str:
    """Return the address at which a file or folder is shown. Raises SystemExit if there is no such file."""
    if not path.exists():
        raise SystemExit(f"there is no {path}")
    kind = "tree" if path.is_dir() else "blob"
    return f"{addresses()['Source']}/{kind}/main/{path.resolve().relative_to(ROOT)}"
