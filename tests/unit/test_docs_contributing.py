"""The pages for contributors name files, make targets, tests and options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from portico.config.settings import TABLE

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted((ROOT / "docs/contributing").glob("*.md")),
    *(ROOT / name for name in ("tests/README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
]
FOLDERS = ("bench", "crates", "docs", "examples", "fuzz", "lifecycle", "python", "soak", "src", "tests")
FILES = {path.name for path in ROOT.iterdir() if path.is_file()}

# The example of the recipes.
TOY = re.compile(r"\btoy\b")

page_of = pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])


def code_of(page: Path) -> list[str]:
    """What a page shows as code: between backquotes, and in blocks."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^(?: {4}| {8})(\S.*)$", rest, re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", rest) + blocks + fenced


def paths_in(page: Path) -> set[str]:
    """Everything in the page's code that looks like a path of the repository."""
    words = {word for code in code_of(page) for word in re.findall(r"[\w.*/-]+", code)}
    folders = "|".join(FOLDERS)
    paths = {word for word in words if re.match(rf"(?:{folders})/", word) or word in FILES}
    return {path.rstrip(".") for path in paths if not TOY.search(path)}


@page_of
def test_files_exist(page: Path) -> None:
    missing = [path for path in sorted(paths_in(page)) if not list(ROOT.glob(path))]
    assert missing == []


@page_of
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@page_of
def test_make_targets_exist(page: Path) -> None:
    targets = {
        name for code in code_of(page) for name in re.findall(r"(?:^|[;&] |nice )make ([a-z][a-z-]*)", code)
    }
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets - made == set()


@page_of
def test_tests_exist(page: Path) -> None:
    # After `pytest`, a name is a part of one.
    named = {name for code in code_of(page) for name in re.findall(r"\btest_\w+(?!\.py|\w)", code)}
    named = {name for name in named if not list(ROOT.glob(f"tests/*/{name}.py"))}
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    examples = {"test_rejects_content_length_with_chunked"}
    assert {name for name in named - examples if f"def {name}(" not in tests} == set()


@page_of
def test_options_of_portico_run_exist(page: Path) -> None:
    known = {flag for row in TABLE for flag in row.flags} | {"-w", "-b"}
    given = {
        word.partition("=")[0]
        for code in code_of(page)
        for command in re.findall(r"portico run [^\n`]*", code)
        for word in shlex.split(command, comments=True)
        if re.match(r"--?[a-z]", word)
    }
    assert given - known == set()
