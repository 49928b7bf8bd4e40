"""The site that `make docs` builds: it has each page, each link leads somewhere, no other host is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml
from links import ROOT, addresses
from support.anchors import DOCS, anchors

pytest.importorskip("mkdocs", reason="`make docs` installs what builds the site (docs/requirements.txt)")

PAGES = sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
PARTS = ["Start", "Move here", "Run", "Reference", "Trust"]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "link": "href"}
"""Elements for whose sake a browser asks somebody at once."""
SENTENCE = re.compile(r"\| \[([^]]+)\]\(([^)]+)\) \| [A-Z`].*\. \|")
"""A row of the overview: title and file, and what the page is for."""
IN_REPOSITORY = re.compile(r"(?:/(?:blob|tree)/main/(?P<file>[^#]+)(?:#.*)?)?/?")

of_each_page = pytest.mark.parametrize("page", PAGES, ids=str)


@dataclass
class Shown(HTMLParser):
    """A page of the site."""

    ids: set[str] = field(default_factory=set)
    heading_ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    canonical: str = ""
    repository: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if re.fullmatch("h[1-6]", tag) and "id" in given:
            self.heading_ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            if given.get("class") == "md-source":
                self.repository = given["href"]
        if tag == "link" and given.get("rel") == "canonical":
            self.canonical = given["href"]
        elif LOADED.get(tag) in given:
            self.loaded.append(given[LOADED[tag]])


@cache
def read(file: Path) -> Shown:
    """A page; many links lead to the same one."""
    shown = Shown()
    shown.feed(file.read_text("utf-8"))
    return shown


@dataclass(frozen=True)
class Built:
    """What was built, and what was said meanwhile."""

    folder: Path
    exit_code: int
    said: str

    def path(self, page: Path) -> str:
        """Where a page is, below the site's address."""
        folder = page.parent if page.name in ("index.md", "README.md") else page.with_suffix("")
        return "" if folder == Path() else f"{folder}/"

    def shown(self, path: str) -> Shown:
        """The page at a path."""
        return read(self.folder / path / "index.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Built(folder, built.returncode, built.stdout + built.stderr)


def test_is_built_without_a_warning(site: Built) -> None:
    assert (site.exit_code, re.findall(r"^(?!INFO ).+", site.said, re.MULTILINE)) == (0, [])


# --- What is on it


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, and leaves out what names a function."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def navigation() -> dict[str, list[tuple[str, str]]]:
    """Each part with its pages: their titles there, and their files."""
    nav: list[Any] = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader)["nav"]

    parts = {title: entry for part in nav for title, entry in part.items()}
    pages = {
        title: [("", page) if isinstance(page, str) else next(iter(page.items())) for page in entry]
        for title, entry in parts.items()
        if isinstance(entry, list)
    }
    return {title: pages.get(title, [(title, entry)]) for title, entry in parts.items()}


def test_every_page_has_a_place_in_the_navigation() -> None:
    assert sorted(page for pages in navigation().values() for _, page in pages) == sorted(map(str, PAGES))


def test_navigation_begins_with_what_a_user_does_and_ends_with_contributing() -> None:
    assert list(navigation()) == ["Overview", *PARTS, "Contributing"]


@pytest.mark.parametrize("part", PARTS)
def test_overview_has_a_sentence_for_each_page_in_the_order_of_the_navigation(part: str) -> None:
    section = (DOCS / "index.md").read_text("utf-8").partition(f"\n## {part}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| [")]
    sentences = [SENTENCE.fullmatch(row) for row in rows]
    assert [sentence and sentence.groups() for sentence in sentences] == navigation()[part]


def test_search_finds_every_page(site: Built) -> None:
    index = json.loads((site.folder / "search/search_index.json").read_text("utf-8"))
    found = {entry["location"] for entry in index["docs"] if entry["text"] or "#" in entry["location"]}
    assert {site.path(page) for page in PAGES} <= {location.partition("#")[0] for location in found}


def test_programs_are_not_published(site: Built) -> None:
    files = {path.relative_to(site.folder) for path in site.folder.rglob("*") if path.is_file()}
    others = {str(path) for path in files if path.parts[0] != "assets" and path.suffix != ".html"}
    assert others == {
        *("extra.css", "portico.1", "portico.schema.json", "soak.svg", "contributing/house.svg"),
        *("search/search_index.json", "sitemap.xml", "sitemap.xml.gz"),
        *(f"observability/{picture}" for picture in ("dashboard.png", "flame-graph.png", "top.svg")),
    }


# --- Where it leads


@of_each_page
def test_links_of_it_lead_somewhere(site: Built, page: Path) -> None:
    path = site.path(page)
    home, repository = "https://site.invalid/", addresses()["Source"]
    wrong = []
    for link in site.shown(path).links:
        target = urljoin(f"{home}{path}", link)
        if target.startswith(home):
            address = urlsplit(target)
            file = site.folder / unquote(address.path.lstrip("/"))
            file = file / "index.html" if file.is_dir() else file
            folder = str(file.parent.relative_to(site.folder))
            if not file.is_file() or (address.fragment and address.fragment not in site.shown(folder).ids):
                wrong.append(link)
        elif target.startswith(repository):
            named = re.fullmatch(
                r"(?:/(?:blob|tree)/main/(?P<file>[^#]+)(?:#.*)?)?/?", target.removeprefix(repository)
            )
            if named is None or not (ROOT / (named["file"] or "")).exists():
                wrong.append(link)
        elif not target.startswith("https://"):
            wrong.append(link)
    assert wrong == []


@of_each_page
def test_anchors_are_those_of_github(site: Built, page: Path) -> None:
    """So a link in a page is right wherever the page is read."""
    assert anchors(DOCS / page) <= set(site.shown(site.path(page)).heading_ids)


@of_each_page
def test_no_other_host_is_asked(site: Built, page: Path) -> None:
    assert [address for address in site.shown(site.path(page)).loaded if urlsplit(address).netloc] == []
    assert 'data-md-component="source"' not in (site.folder / site.path(page) / "index.html").read_text(
        "utf-8"
    )


def test_addresses_are_those_of_pyproject(site: Built) -> None:
    front = site.shown("")
    assert (front.canonical, front.repository) == (addresses()["Documentation"], addresses()["Source"])


# --- How it looks


@of_each_page
def test_lists_go_on_at_four_spaces(page: Path) -> None:
    """A block below `1. ` is a part of it from three spaces on at GitHub, from four on the site."""
    text = (DOCS / page).read_text("utf-8")
    paragraph = re.compile(r"^\n {1,3}(?=\S)(.+)$|^ {1,3}(```.*)$", re.MULTILINE)
    assert [match[0] for match in paragraph.finditer(text)] == []
