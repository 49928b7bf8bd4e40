"""docs/run/metrics.md names every metric, and its blocks do what they are for."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from generate.made import generated
from portico import metrics
from portico.admin.families import FAMILIES, POOL
from portico.process.durations import MOST_SERIES
from portico.process.totals import REASONS
from process.conftest import Portico, Start
from prometheus_client.parser import text_string_to_metric_families
from support.server import free_port
from support.waiting import wait_until

from .pages import blocks, page

ROOT = Path(__file__).parents[2]
PAGE = page("metrics")
(CONFIGURATION,) = blocks("metrics", "toml")
CURL, GENERATE = (block.strip().removeprefix("$ ") for block in blocks("metrics", "console"))
QUERIES = blocks("metrics", "promql")
SCRAPE, ALERTS, AUTOSCALER, RULE = blocks("metrics", "yaml")
ADDRESS = re.findall(r'^bind = "(.+)"$', CONFIGURATION, re.MULTILINE)[0]
NAMES = {family.name for family in FAMILIES}
METRIC = re.compile(r"\b(?:portico|process|http_server)_[a-z_]+\b")
# What the samples of a histogram end in.
OF_HISTOGRAMS = re.compile(r"(?<=_seconds)_(?:bucket|sum|count)$")


def test_the_table_has_every_metric_with_its_type_and_labels() -> None:
    shown = re.findall(
        r"^\| `((?:portico|process|http_server)_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", PAGE, re.MULTILINE
    )
    assert shown == [(family.name, ",".join(family.labels), family.kind) for family in FAMILIES]


def test_the_table_has_every_reason() -> None:
    table = PAGE.partition("| `reason` |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(REASONS)


HELLO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""


@pytest.fixture
def served(start: Start, tmp_path: Path) -> tuple[Portico, str]:
    """A server with the page's configuration, at another port; and the page's address as it is here."""
    here = f"127.0.0.1:{free_port()}"
    (tmp_path / "portico.toml").write_text(CONFIGURATION.replace(ADDRESS, here))
    portico = start(HELLO, "-c", "portico.toml", "-w", "2")
    portico.wait_for(f"metrics are at /metrics on http://{here}")
    portico.wait_ready()
    return portico, here


def test_the_command_shows_all_metrics(served: tuple[Portico, str]) -> None:
    portico, here = served
    words = [word.replace(ADDRESS, here) for word in shlex.split(CURL)]
    assert here in words[-1]
    portico.get()

    def shown() -> set[str]:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        families = text_string_to_metric_families(done.stdout)
        return {OF_HISTOGRAMS.sub("", sample.name) for each in families for sample in each.samples}

    # Without pools there are none of theirs.
    names = {family.name for family in FAMILIES if POOL not in family.labels}
    wait_until(lambda: shown() == names, what=f"{names}, not {shown()}")
    portico.stop()


def test_the_application_is_told_of_as_shown(start: Start) -> None:
    (source,) = [block for block in blocks("metrics", "python") if "portico.metrics" in block]
    (shown,) = blocks("metrics", "")
    here = f"127.0.0.1:{free_port()}"
    portico = start(source, "-w", "2", "--admin-bind", here)
    portico.wait_ready()
    assert portico.get() == "thank you\n"

    def everything() -> str:
        return subprocess.run(
            ["curl", "--silent", f"http://{here}/metrics"], capture_output=True, text=True, check=True
        ).stdout

    wait_until(lambda: shown in everything(), what=f"{shown}, not {everything()}")
    assert "shop_payment_seconds_count 1\n" in everything()
    portico.stop()


def test_prometheus_client_needs_nothing_else(start: Start) -> None:
    (source,) = [block for block in blocks("metrics", "python") if "prometheus_client" in block]
    here = f"127.0.0.1:{free_port()}"
    portico = start(source, "-w", "2", "--admin-bind", here)
    portico.wait_ready()
    for _ in range(4):
        assert portico.get() == "thank you\n"

    def everything() -> str:
        return subprocess.run(
            ["curl", "--silent", f"http://{here}/metrics"], capture_output=True, text=True, check=True
        ).stdout

    wait_until(lambda: "\nshop_orders_total 4.0\n" in everything(), what=f"4, not {everything()}")
    assert "\nshop_running 0.0\n" in everything()
    portico.stop()


def test_the_page_has_the_bounds_of_metrics() -> None:
    engine = (ROOT / "crates/engine/src/metrics.rs").read_text("utf-8")
    (series,) = re.findall(r"pub const SERIES: usize = (\d+);", engine)
    assert f"**A server has {int(series):,} series with labels**" in PAGE
    assert f"{metrics.VALUE_BYTES} bytes of a value\ncount" in PAGE
    assert f"at most {metrics.MOST_BUCKETS} bounds" in PAGE
    for kind in (metrics.Counter, metrics.Gauge, metrics.Histogram):
        assert f"`{kind.__name__}(name, help, labels=()" in PAGE


def test_queries_name_metrics_and_labels_that_there_are() -> None:
    labels = {family.name: {*family.labels, "le", POOL} for family in FAMILIES}
    assert len(QUERIES) == 3
    for query in QUERIES:
        (name,) = {OF_HISTOGRAMS.sub("", name) for name in METRIC.findall(query)} & NAMES
        by = re.findall(r"by \(([\w, ]+)\)", query)
        named = {*re.findall(r"[{,](\w+)=\"", query), *(label for each in by for label in each.split(", "))}
        assert named
        assert named <= labels[name]


def test_the_bound_of_series_is_that_of_the_server() -> None:
    assert f"a server has {MOST_SERIES} series of requests" in PAGE


def test_health_checks_are_not_counted(start: Start) -> None:
    here = f"127.0.0.1:{free_port()}"
    portico = start(HELLO, "--health-path", "/livez", "-w", "1", "--admin-bind", here)
    portico.wait_ready()
    for path in ("/livez", "/", "/livez", "/livez"):
        portico.get(path)

    def requests() -> float:
        done = subprocess.run(
            ["curl", "--silent", f"http://{here}/metrics"], capture_output=True, text=True, check=True
        )
        (family,) = [
            each for each in text_string_to_metric_families(done.stdout) if each.name == "portico_requests"
        ]
        return float(family.samples[0].value)

    wait_until(lambda: requests() == 1, what="the one request")
    portico.stop()


def test_prometheus_asks_where_it_is() -> None:
    (job,) = yaml.safe_load(SCRAPE)["scrape_configs"]
    # Without a metrics_path it is /metrics.
    assert set(job) == {"job_name", "scrape_interval", "static_configs"}
    assert job["static_configs"] == [{"targets": [ADDRESS]}]


def test_rules_name_metrics_and_labels_that_there_are() -> None:
    labels = {family.name: family.labels for family in FAMILIES}
    rules = [rule["expr"] for group in yaml.safe_load(ALERTS)["groups"] for rule in group["rules"]]
    (adapted,) = yaml.safe_load(RULE)["rules"]
    assert len(rules) == 4
    for text in (*rules, adapted["seriesQuery"]):
        assert METRIC.findall(text)
        assert set(METRIC.findall(text)) <= NAMES
        for name, label in re.findall(r"(\w+)\{(\w+)!?=", text):
            assert label in (*labels[name], "namespace")
    assert 'reason!="spent"' in ALERTS
    assert "spent" in REASONS


def test_the_autoscaler_is_what_is_generated() -> None:
    words = shlex.split(GENERATE)
    assert words[:2] == ["portico", "generate"]
    text = generated(*words[2:])
    assert f"\n{AUTOSCALER}" in text
    assert "- name: metrics\n              containerPort: 9100\n" in text
