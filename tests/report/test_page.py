"""The page: complete in one file, nothing from a log is believed, and a real browser shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portico.report.comparison import compare
from portico.report.figures import figures
from portico.report.formats import FORMATS
from portico.report.page import as_page
from portico.report.tally import Tally
from support.browser import Browser

from .conftest import Report
from .made import json_line, text

HOSTILE = [
    "<script>document.title='run'</script>",
    '"><img src=x onerror="document.title=\'run\'">',
    "'><svg/onload=document.title='run'>",
    "</title></style></table><h1>forged</h1>",
    "javascript:document.title='run'",
    "&lt;b&gt;&#x3c;b>",
    "\x00\x1b[31m\u202e\ud800\u2028",
    "<!--",
    "<plaintext>",
]
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "h1", "h2", "p", "span"),
    *("div", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "role", "aria-label", "aria-hidden"),
    *("viewbox", "preserveaspectratio", "x", "y", "width", "height"),
}


class Elements(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile_lines(hostile: str, *, total_ns: int = 10**9) -> list[str]:
    return [
        json_line(path=f"/{hostile}", route=route, status=500, total_ns=total_ns, portico_cause=hostile)
        for route in (None, hostile)
        for _ in range(50)
    ]


def page_of(*lines: str, before: list[str] | None = None) -> str:
    made = []
    for each in filter(None, (list(lines), before)):
        tally = Tally(by_path=False)
        tally.add_all(FORMATS["json"].read(line) for line in each)
        made.append(figures(tally, []))
    return as_page(made[0], compare(made[1], made[0]) if before else None, top=100)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_text(hostile: str) -> None:
    page = page_of(*hostile_lines(hostile), before=hostile_lines(hostile + "!", total_ns=10**8))
    found = Elements(page)
    assert found.elements <= ELEMENTS
    assert found.attributes <= ATTRIBUTES
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in hostile)
    assert sum(shown in each for each in found.texts) >= 4
    page.encode("utf-8")


@given(st.text(min_size=1))
def test_any_text_is_text(hostile: str) -> None:
    found = Elements(page_of(json_line(path=hostile, route=hostile, portico_cause=hostile)))
    assert found.elements <= ELEMENTS
    assert found.attributes <= ATTRIBUTES


def test_names_of_logs_are_text(report: Report, tmp_path: Path) -> None:
    (tmp_path / "<script>&.log").write_text(text([json_line(), "<b>nonsense"]))
    page = report("<script>&.log", "--html", "-").stdout
    assert Elements(page).elements <= ELEMENTS
    assert "<script>" not in page


def test_nothing_comes_from_elsewhere() -> None:
    page = page_of(*hostile_lines("https://elsewhere.example/"))
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href|url|@import|action)\s*[=(]", page.replace("/elsewhere.example/", ""))


# --- In a browser


def busy_lines(factor: int = 1) -> list[str]:
    return [
        json_line(
            path=f"/order/{n}",
            route=f"/{'order' * (1 + n % 3)}/<int:n>",
            at_s=n / 3,
            status=500 if n % 50 == 0 else 200,
            total_ns=factor * (1_000_000 + 1000 * n),
            portico_queue_ns=100_000 * factor,
            portico_app_ns=factor * 800_000,
            portico_cpu_ns=factor * 300_000,
        )
        for n in range(2000)
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_browser_shows_it(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    lines = [*busy_lines(2), *(line for hostile in HOSTILE for line in hostile_lines(hostile))]
    page = tmp_path / "report.html"
    page.write_text(page_of(*lines, before=busy_lines()), encoding="utf-8")
    browser.look_like(width=width, scheme=scheme)
    shown = browser.open(page.as_uri())
    for heading in ("Requests over time", "Where the time went", "What changed", "Slowest requests"):
        assert heading in shown
    assert "GET /orderorder/<int:n>" in shown
    assert "<script>document.title='run'</script>" in shown
    assert browser.evaluate("document.title").startswith("Report of")
    assert browser.evaluate("document.scripts.length + document.images.length") == 0
    # A phone scrolls tables, not the page.
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    red = browser.evaluate("getComputedStyle(document.querySelector('h1')).color.match(/[0-9]+/)[0]")
    assert (int(red) > 128) == (scheme == "dark")
    assert browser.evaluate("document.querySelector('svg.chart rect').getBoundingClientRect().height") > 1
    picture = browser.picture()
    (tmp_path / f"{scheme}-{width}.png").write_bytes(picture)
    assert len(picture) > 10_000
