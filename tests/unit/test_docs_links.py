"""Links of the Markdown pages lead to files and headings, as they stand and as GitHub shows them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from links import ROOT, addresses, links, without_code
from support.anchors import anchors, headings, pages, slug

PAGES = pages()
# What the program, its tests and its sources tell people to read.
NAMED = re.compile(r"\bdocs/[\w/-]+\.(?:md|1|json)\b")

of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def broken(page: Path) -> list[str]:
    wrong = []
    for link in links(page.read_text("utf-8")):
        target = (page.parent / link.path).resolve() if link.path else page
        if not target.is_relative_to(ROOT) or not target.exists():
            wrong.append(f"{page.name}:{link.line}: there is no {link.path}")
        elif target.is_dir() and page.is_relative_to(ROOT / "docs"):
            wrong.append(f"{page.name}:{link.line}: {link.path} is a folder, which the site cannot show")
        elif link.anchor and (target.suffix != ".md" or link.anchor not in anchors(target)):
            wrong.append(f"{page.name}:{link.line}: {target.name} has no #{link.anchor}, or two of them")
    return wrong


@of_each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    assert broken(page) == []


@of_each_page
def test_addresses_of_the_repository_lead_to_files(page: Path) -> None:
    repository = re.escape(addresses()["Source"])
    text = without_code(page.read_text("utf-8"))
    paths = re.findall(rf"\]\({repository}/(?:blob|tree)/main/([^)#]+)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_all_pages_are_looked_at() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    expected = {"README.md", "CHANGELOG.md", "docs/index.md", "docs/contributing/README.md", "fuzz/README.md"}
    assert names >= expected
    assert sum(1 for page in PAGES for _ in links(page.read_text("utf-8"))) > 100


def tracked(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    try:
        return subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"which files are tracked is only known in a clone: {error}")


def test_pages_that_are_named_in_the_program_exist() -> None:
    named = {
        (path, file)
        for file in tracked(
            "python/*.py", "src/*.rs", "crates/*.rs", "tests/*.py", "docs/*.md", "Makefile", "*.toml"
        )
        for path in NAMED.findall((ROOT / file).read_text("utf-8"))
    }
    assert len(named) > 20
    assert [each for each in sorted(named) if not (ROOT / each[0]).exists()] == []


def test_the_address_of_the_repository_stands_in_one_place() -> None:
    """An edit of pyproject.toml and `make docs` change it everywhere."""
    address = addresses()["Source"].encode()
    files = [
        file
        for file in tracked("*.md", "*.py", "*.rs", "*.toml", "*.yml", "docs/*")
        if (ROOT / file).is_file()
    ]
    assert {file for file in files if address in (ROOT / file).read_bytes()} == {
        "pyproject.toml",
        "python/README.md",
    }


# --- The reading of pages


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What to know", "what-to-know"),
        ("HTTP/1 without sockets: `portico.wire`", "http1-without-sockets-porticowire"),
        ("environ, key by key", "environ-key-by-key"),
        ("A [link](page.md) - and more", "a-link---and-more"),
        ("proxy_protocol", "proxy_protocol"),
        ("`cannot load <name>: <why>`", "cannot-load-name-why"),
        ("with `--strict` (twice `-`)", "with---strict-twice--"),
    ],
)
def test_slugs_are_those_of_github(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_what_looks_like_a_link_in_code_is_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n\n[a](b.md#c) `[x](y)` ![d](e.svg) [f](https://g.example/h)\n\n"
        "```python\n# Two\n[x](y)\n```\n\n## One\n"
        "<!-- [x](y) -->\n[`i`](#one)\n"
    )
    text = page.read_text()
    found = [(link.path, link.anchor, link.line) for link in links(text)]
    assert found == [("b.md", "c", 3), ("e.svg", "", 3), ("", "one", 12)]
    assert headings(page) == ["One", "One"]
    assert anchors(page) == set()
