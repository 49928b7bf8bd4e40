"""docs/run/statsd.md names all that is pushed, and its words do what they are for."""

from __future__ import annotations

import re
import shlex

import tomllib
from portico.admin.families import FAMILIES
from portico.admin.statsd.lines import MOST_BYTES
from portico.admin.statsd.names import ERRORS, NAMES, OF_APPLICATION
from portico.config.settings import Settings
from process.conftest import Start
from support.server import free_port
from support.statsd import StatsdReceiver

from .pages import blocks, page

PAGE = page("statsd")
(CONFIGURATION,) = blocks("statsd", "toml")
(COMMAND,) = blocks("statsd", "console")
ROWS = re.findall(r"^\| (`[^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.partition("## Tags")[0], re.MULTILINE)
SENT = {tuple(re.findall(r"`([^`]+)`", names)): (kind, of) for names, kind, of in ROWS}
KINDS = {"counter": "count", "gauge": "gauge", "histogram": "timing"}


def pattern(name: str) -> str:
    return re.sub(r"\{\w+\}", r"[a-z0-9_]+", re.escape(name).replace(r"\{", "{").replace(r"\}", "}"))


def test_the_table_has_every_name_with_its_type_and_family() -> None:
    for family in FAMILIES:
        if family.name not in NAMES:
            continue
        found = [
            (kind, of)
            for names, (kind, of) in SENT.items()
            if re.fullmatch(pattern(NAMES[family.name]), names[0]) and f"`{family.name}`" in of
        ]
        assert [kind for kind, _ in found] == [KINDS[family.kind]], family.name
    assert SENT[ERRORS,][0] == "count"
    assert (OF_APPLICATION,) in SENT


def test_the_table_of_settings_has_their_defaults() -> None:
    for row in (Settings.statsd, Settings.statsd_prefix):
        assert re.search(rf"^\| `{row.key}` \| `{row.show_default()}` \|", PAGE, re.MULTILINE)
    assert re.search(r"^\| `interval` \| 2 s \|", PAGE, re.MULTILINE)
    assert Settings.statsd_interval_s.default == 2
    assert f"at most {MOST_BYTES:,} bytes" in PAGE


def test_what_the_page_configures_is_pushed(start: Start) -> None:
    address = tomllib.loads(CONFIGURATION)["statsd"]["address"]
    with StatsdReceiver(free_port()) as receiver:
        source = (
            'def application(environ, start_response):\n    start_response("200 OK", [])\n    return [b"x"]\n'
        )
        words = shlex.split(COMMAND.removeprefix("$ portico run shop.wsgi"))
        assert address in words
        portico = start(source, *[receiver.address if word == address else word for word in words])
        portico.wait_ready()
        portico.get()
        portico.stop()
    assert receiver.counts["gunicorn.requests"] == 1
    names = {*receiver.counts, *receiver.gauges, *receiver.timings}
    shown = [pattern(name) for name in NAMES.values()] + [
        r"request\.duration\.p\d\d",
        r"request\.status\.\dxx",
        "workers",
    ]
    unknown = [name for name in names if not any(re.fullmatch(rf"gunicorn\.{each}", name) for each in shown)]
    assert unknown == []
