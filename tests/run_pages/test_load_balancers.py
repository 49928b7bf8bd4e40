"""docs/run/load-balancers.md: its times are in the order that it asks for.

What nginx does with them is tested in tests/reverse_proxies/test_idle_connections.py.
"""

from __future__ import annotations

import re

import pytest
import yaml
from portico.config.settings import Settings
from portico.config.sources import resolve
from portico.config.units import parse_duration

from .pages import blocks, page

PAGE = page("load-balancers")
ROWS = re.findall(r"^\| ([^|]+) \| (\d+) (s|min|h) \| [^|]+ \| (.+) \|$", PAGE, re.MULTILINE)
UNITS = {"s": 1, "min": 60, "h": 3600}
KEEP_ALIVE_S = resolve({}, {}).keep_alive_s


@pytest.mark.parametrize(("name", "idle", "unit", "advice"), ROWS, ids=[row[0] for row in ROWS])
def test_who_sends_the_requests_closes_first(name: str, idle: str, unit: str, advice: str) -> None:
    idle_s = int(idle) * UNITS[unit]
    here = re.search(r'keep_alive = "(\w+)"', advice)
    there = re.search(r"there: `(\d+s)`", advice)
    if here:
        assert parse_duration(here[1]) > idle_s
    elif there:
        assert parse_duration(there[1]) < KEEP_ALIVE_S < idle_s
    else:
        assert advice.startswith("nothing")
        assert idle_s < KEEP_ALIVE_S


def test_there_are_rows() -> None:
    assert len(ROWS) >= 10


def test_the_defaults_that_the_page_names() -> None:
    assert f"`keep_alive`, {KEEP_ALIVE_S:g} s by default" in PAGE
    defaults = resolve({}, {})
    assert f"| {defaults.queue_timeout_s:g} s + {defaults.timeout_s:g} s |" in PAGE
    assert Settings.keep_alive_s.name == "keep_alive"


@pytest.mark.parametrize(("comment", "waits_s"), [("Behind an AWS ALB", 60), ("that waits for 30 s", 30)])
def test_portico_responds_before_the_load_balancer_does(comment: str, waits_s: int) -> None:
    (block,) = [block for block in blocks("load-balancers", "toml") if comment in block]
    times = dict(re.findall(r'^(\w+) = "(\d+s)"$', block, re.MULTILINE))
    assert parse_duration(times["queue_timeout"]) + parse_duration(times["timeout"]) < waits_s


def test_yaml_of_the_page_is_some() -> None:
    envoy, traefik = (yaml.safe_load(block) for block in blocks("load-balancers", "yaml"))
    (options,) = envoy["clusters"][0]["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"]["idle_timeout"] == "10s"
    timeouts = traefik["http"]["serversTransports"]["portico"]["forwardingTimeouts"]
    assert timeouts == {"idleConnTimeout": "10s"}
