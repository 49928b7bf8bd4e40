"""docs/run/tracing.md names what spans and metrics have, and its blocks do what they are for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from portico.admin.families import FAMILIES
from portico.config.settings import TABLE
from portico.otlp.metrics import OWN_FAMILIES, name_of
from process.conftest import Start
from process.test_otlp import SAMPLED, TRACE, ask
from support.collector import Collector
from support.server import free_port

from .pages import blocks, code, page

PAGE = page("tracing")
(CONFIGURATION,) = blocks("tracing", "toml")
(SHOP,) = blocks("tracing", "python")
ENDPOINT = re.findall(r'^endpoint = "(.+)"$', CONFIGURATION, re.MULTILINE)[0]


def test_the_table_has_every_metric_by_both_names() -> None:
    table = PAGE.partition("| here |")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| `(\S+)` \| `(\S+)` \|$", table, re.MULTILINE)
    assert shown == [(name_of(family), family.name) for family in FAMILIES]
    assert {name_of(family) for family in OWN_FAMILIES} <= set(code(PAGE))


def test_all_settings_are_on_it() -> None:
    keys = {row.key for row in TABLE if row.group.table == "otlp"}
    assert keys <= {word for text in code(PAGE) for word in re.split(r"\W+", text)}


def test_its_application_and_its_configuration_make_one_trace(start: Start, tmp_path: Path) -> None:
    with Collector() as collector:
        port = free_port()
        configuration = CONFIGURATION.replace(ENDPOINT, collector.url).replace("15s", "100ms")
        (tmp_path / "portico.toml").write_text(f'{configuration}\n[listening]\nbind = ["127.0.0.1:{port}"]\n')
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        portico = start(SHOP, application="", port=port, reads_file=True, environment=environment)
        portico.wait_ready()
        ask(portico, "/basket/7", f"traceparent: {SAMPLED}")
        collector.wait_for(lambda: len(collector.spans) == 3, "three spans")
        by_scope = {span.scope: span for span in collector.spans}
        ours, flask, own = (
            by_scope[name] for name in ("portico", "opentelemetry.instrumentation.flask", "shop")
        )
        assert {span.trace_id for span in collector.spans} == {TRACE}
        assert (flask.parent_id, own.parent_id) == (ours.span_id, flask.span_id)
        assert (ours.name, own.name) == ("GET /basket/<int:number>", "look into the basket")
        said = set(code(PAGE))
        assert set(ours.attributes) <= said
        assert set(ours.events) <= said
        collector.wait_for(lambda: collector.value("portico.requests") == 1, "the request's count")
        assert ours.resource["service.name"] == "shop"
        portico.stop()


@pytest.mark.parametrize(
    "attribute", [row for row in re.findall(r"^\| ((?:`[\w.]+`(?:, )?)+) \| ", PAGE, re.MULTILINE)]
)
def test_an_attribute_of_the_table_is_one_that_is_said(attribute: str) -> None:
    sources = (Path(__file__).parents[2] / "python/portico/otlp/spans.py").read_text("utf-8")
    names = [family.name for family in FAMILIES] + [name_of(family) for family in FAMILIES]
    for name in re.findall(r"`([\w.]+)`", attribute):
        assert f'"{name}"' in sources or name in names or (name.islower() and "." not in name), name
