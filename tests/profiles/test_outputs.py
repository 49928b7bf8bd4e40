"""Each output is read back: by the published schema, by the format's grammar, and by a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from portico.profile.formats import KINDS, SCHEMA, collapsed, speedscope
from portico.profile.page import page
from support.browser import Browser

from .conftest import SHOP, Profiled, ticks

# https://www.speedscope.app/file-format-schema.json, the part about profiles of samples.
SPEEDSCOPE = {
    "type": "object",
    "required": ["$schema", "profiles", "shared"],
    "properties": {
        "$schema": {"const": SCHEMA},
        "name": {"type": "string"},
        "exporter": {"type": "string"},
        "activeProfileIndex": {"type": "number"},
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "file": {"type": "string"},
                            "line": {"type": "number"},
                            "col": {"type": "number"},
                        },
                        "additionalProperties": False,
                    },
                }
            },
        },
        "profiles": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "name", "unit", "startValue", "endValue", "samples", "weights"],
                "properties": {
                    "type": {"const": "sampled"},
                    "name": {"type": "string"},
                    "unit": {
                        "enum": ["bytes", "microseconds", "milliseconds", "nanoseconds", "none", "seconds"]
                    },
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "samples": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                    "weights": {"type": "array", "items": {"type": "number"}},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
HOSTILE = [
    "<script>document.title='run'</script>",
    "</script><script>document.title='run'</script>",
    "<!--<script>",
    '"><img src=x onerror="document.title=\'run\'">',
    "a;b c\nd 7",
    "\x00\x1b[31m\u202e\ud800\u2028",
]


def made(*samples: tuple[str, str, list[str], int], **others: Any) -> dict[str, Any]:
    """A result, as the control socket tells it."""
    return {
        "name": "shop",
        "seconds": 5,
        "hz": 100,
        "workers": [7],
        "samples": [
            {"route": route, "kind": kind, "stack": stack, "count": count, "worker": 7}
            for route, kind, stack, count in samples
        ],
        **others,
    }


SHOPPING = made(
    ("/order", "cpu", ["application (/srv/shop.py:1)", "price (/srv/shop.py:9)"], 60),
    ("/order", "waiting", ["application (/srv/shop.py:1)", "query (/srv/db.py:3)"], 30),
    ("/", "lock", ["application (/srv/shop.py:1)"], 10),
)


def expect_speedscope(text: str) -> dict[str, Any]:
    """What `text` says; asserts that speedscope can read it."""
    read = json.loads(text)
    jsonschema.validate(read, SPEEDSCOPE)
    for each in read["profiles"]:
        assert len(each["samples"]) == len(each["weights"])
        assert abs(sum(each["weights"]) - each["endValue"]) < 1e-6
        assert all(0 <= index < len(read["shared"]["frames"]) for one in each["samples"] for index in one)
    assert isinstance(read, dict)
    return read


def test_speedscope_has_a_profile_for_each_route_and_kind() -> None:
    read = expect_speedscope(speedscope(SHOPPING))
    assert [(each["name"], each["endValue"]) for each in read["profiles"]] == [
        ("/order [cpu]", 0.6),
        ("/order [waiting]", 0.3),
        ("/ [lock]", 0.1),
    ]
    assert read["shared"]["frames"][1] == {"name": "price", "file": "/srv/shop.py", "line": 9}
    expect_speedscope(speedscope(made()))


def test_collapsed_stacks_have_a_line_for_each() -> None:
    assert collapsed(SHOPPING).splitlines() == [
        "/order;[cpu];application (/srv/shop.py:1);price (/srv/shop.py:9) 60",
        "/order;[waiting];application (/srv/shop.py:1);query (/srv/db.py:3) 30",
        "/;[lock];application (/srv/shop.py:1) 10",
    ]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_names(hostile: str) -> None:
    result = made((hostile, "cpu", [f"{hostile} (/{hostile}.py:1)"], 3), name=hostile)
    (line,) = collapsed(result).splitlines() if "\u2028" not in hostile else [collapsed(result)[:-1]]
    assert re.fullmatch(r"[^;]*;\[cpu\];[^;]* 3", line)
    expect_speedscope(speedscope(result))
    text = page(result)
    assert text.isascii()
    # Two elements of ours, and no other.
    assert len(re.findall(r"<script\b", text, re.IGNORECASE)) == 2
    assert not re.search(r"<(?:img|!--)", text)


def test_the_page_has_nothing_from_elsewhere() -> None:
    text = page(SHOPPING)
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src=|href=|url\(|@import|action=|fetch\(|https?:)", text)


def test_what_a_real_profile_becomes(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with profiled.load(portico, "/sleep"):
        result = profiled.result("--seconds", "1")
        lines = profiled.profile("--seconds", "1", "--format", "collapsed").stdout.splitlines()
        said = profiled.profile("--seconds", "1", "--format", "speedscope").stderr
        profiled.profile("--seconds", "1", "--output", "here.html")
    assert {sample["kind"] for sample in result["samples"]} <= {*KINDS}
    assert ticks(result) == sum(sample["count"] for sample in result["samples"]) > 0
    pattern = re.compile(r"[^;]+;\[(?:cpu|waiting|lock)\](?:;[^;]+)+ [0-9]+")
    assert lines
    assert all(pattern.fullmatch(each) for each in lines)
    assert any(each.startswith("/sleep;[waiting];") and "sleep_deeply" in each for each in lines)
    assert "profile.speedscope.json is written" in said
    expect_speedscope((profiled.folder / "profile.speedscope.json").read_text())
    assert "sleep_deeply" in (profiled.folder / "here.html").read_text()


# --- In a browser


def shown(browser: Browser) -> list[str]:
    texts = browser.evaluate("[...document.querySelectorAll('.box')].map(box => box.textContent).join('\\n')")
    return str(texts).split("\n")


def press(browser: Browser, key: str) -> None:
    browser.evaluate(
        f"document.getElementById('graph').dispatchEvent(new KeyboardEvent('keydown', "
        f"{{key: {json.dumps(key)}, bubbles: true}}))"
    )


def choose(browser: Browser, element: str, value: str, event: str) -> None:
    browser.evaluate(
        f"{{ const one = document.getElementById('{element}'); one.value = {json.dumps(value)}; "
        f"one.dispatchEvent(new Event('{event}')); }}"
    )


def open_page(browser: Browser, folder: Path, result: dict[str, Any]) -> str:
    (folder / "profile.html").write_text(page(result))
    return browser.open((folder / "profile.html").as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_graph(browser: Browser, tmp_path: Path, scheme: str) -> None:
    browser.look_like(width=1000, scheme=scheme)
    text = open_page(browser, tmp_path, SHOPPING)
    assert "100 samples in 5 s at 100 Hz, of 1 worker" in text
    assert "cpu: computing 60 %" in text
    assert sorted(shown(browser)) == sorted(
        [
            *("all", "/order", "/", "application (/srv/shop.py:1)", "application (/srv/shop.py:1)"),
            *("price (/srv/shop.py:9)", "query (/srv/db.py:3)"),
        ]
    )
    assert "all: 1.00 s, 100.0 % (cpu 0.60 s, waiting 0.30 s, lock 0.10 s" in text
    widths = browser.evaluate(
        "[...document.querySelectorAll('.box')].filter(box => box.textContent.startsWith('price'))"
        ".map(box => box.getBoundingClientRect().width / document.getElementById('graph').clientWidth)[0]"
    )
    assert abs(widths - 0.6) < 0.01
    ink = browser.evaluate("getComputedStyle(document.querySelector('.box')).color")
    assert ink == ("rgb(26, 26, 26)" if scheme == "light" else "rgb(244, 244, 244)")


def test_a_route_and_kinds_are_chosen(browser: Browser, tmp_path: Path) -> None:
    open_page(browser, tmp_path, SHOPPING)
    choose(browser, "route", "=/order", "change")
    assert "/" not in shown(browser)
    assert "query (/srv/db.py:3)" in shown(browser)
    browser.evaluate("document.querySelector('input[value=waiting]').click()")
    assert "query (/srv/db.py:3)" not in shown(browser)
    assert "price (/srv/shop.py:9)" in shown(browser)


def test_a_box_becomes_the_whole_and_keys_go_about(browser: Browser, tmp_path: Path) -> None:
    open_page(browser, tmp_path, SHOPPING)
    browser.evaluate(
        "[...document.querySelectorAll('.box')].find(box => box.textContent.startsWith('query')).click()"
    )
    assert shown(browser) == ["all", "/order", "application (/srv/shop.py:1)", "query (/srv/db.py:3)"]
    press(browser, "Escape")
    assert len(shown(browser)) == 7
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"):
        press(browser, key)
    detail = browser.evaluate("document.getElementById('detail').textContent")
    assert detail.startswith("query (/srv/db.py:3): 0.30 s, 30.0 %")
    press(browser, "Enter")
    assert len(shown(browser)) == 4


def test_what_is_searched_is_marked_and_counted(browser: Browser, tmp_path: Path) -> None:
    open_page(browser, tmp_path, SHOPPING)
    choose(browser, "search", "pri.e|qu", "input")
    marked = "[...document.querySelectorAll('.box.found')].map(box => box.textContent).sort().join()"
    assert browser.evaluate(marked) == "price (/srv/shop.py:9),query (/srv/db.py:3)"
    assert browser.evaluate("document.getElementById('found').textContent") == "90.0 % of the time"
    # No expression: then it is a text.
    choose(browser, "search", "application (", "input")
    assert browser.evaluate("document.getElementById('found').textContent") == "100.0 % of the time"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_browser_runs_nothing_of_a_name(browser: Browser, tmp_path: Path, hostile: str) -> None:
    hostile = hostile.replace("\ud800", "")
    open_page(browser, tmp_path, made((hostile, "cpu", [f"{hostile} (x:1)"], 3), name=hostile))
    assert browser.evaluate("document.title").startswith("Profile of ")
    texts = browser.evaluate(
        "JSON.stringify([...document.querySelectorAll('.box')].map(one => one.textContent))"
    )
    assert json.loads(texts) == ["all", hostile, f"{hostile} (x:1)"]


def test_a_profile_without_calls_is_a_page(browser: Browser, tmp_path: Path) -> None:
    partial = [{"worker": 7, "seconds": 1.25, "why": "it has left before the end"}]
    result = made(partial=partial, missed=50, dropped=3, tells_lock=False)
    text = open_page(browser, tmp_path, result)
    assert "Worker 7 is here for 1.2 s only: it has left before the end." in text
    assert "50 ticks (0.5 s) passed while the interpreter could not be had" in text
    assert "3 samples are missing" in text
    assert "could not be told" in text
    assert shown(browser) == ["all"]
