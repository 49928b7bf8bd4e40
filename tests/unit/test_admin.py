"""portico.admin without a server: which format is asked for, and that any text survives it."""

from __future__ import annotations

import pytest
from portico.admin import SilentError, exposition
from portico.admin.access import Access
from portico.admin.application import AdminApplication
from portico.admin.exposition import OPENMETRICS, TEXT, exposed, preferred
from portico.admin.families import COUNTER, FAMILIES, HISTOGRAM, INFO, Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.admin import Samples


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", TEXT),
        ("application/openmetrics-text; version=1.0.0; q=0", TEXT),
        ("application/openmetrics-text; version=1.0.0; q=x", TEXT),
        ("application/openmetrics-text; version=1.0.0; q=0.4, text/plain; version=0.0.4; q=0.5", TEXT),
        ("application/openmetrics-text; version=1.0.0; q=0.5, text/plain; version=0.0.4; q=0.5", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.7,*/*;q=0.1",
            OPENMETRICS,
        ),
        (",;,=;q", TEXT),
    ],
)
def test_openmetrics_is_for_those_who_like_it_as_much(accept: str, media_type: str) -> None:
    assert preferred(accept) == media_type


ODD = 'a "quote", a \\, a\nline and é'


@pytest.mark.parametrize("read", [read_text, read_openmetrics], ids=["text", "openmetrics"])
def test_any_text_survives(monkeypatch: pytest.MonkeyPatch, read: object) -> None:
    families = (Family("odd", "gauge", ODD, labels=("one", "two")), Family("plain", "gauge", "plain"))
    monkeypatch.setattr(exposition, "FAMILIES", families)
    samples: Samples = {"odd": [((ODD, ""), 0.25), (("b", "c"), 3)], "plain": [((), 1e-9)]}
    text = exposed(samples, TEXT if read is read_text else OPENMETRICS)
    odd, plain = read(text)  # type: ignore[operator]
    assert odd.documentation == ODD
    assert [(sample.labels, sample.value) for sample in odd.samples] == [
        ({"one": ODD, "two": ""}, 0.25),
        ({"one": "b", "two": "c"}, 3),
    ]
    assert [sample.value for sample in plain.samples] == [1e-9]


def test_every_metric_is_read_with_its_type_and_unit() -> None:
    samples: Samples = {
        family.name: [(tuple("x" for _ in family.labels), [1] * 16 if family.kind == HISTOGRAM else 1)]
        for family in FAMILIES
    }
    found = {family.name: family for family in read_openmetrics(exposed(samples, OPENMETRICS))}
    for family in FAMILIES:
        suffix = {COUNTER: "_total", INFO: "_info"}.get(family.kind, "")
        assert family.name.endswith(suffix)
        read = found.pop(family.name.removesuffix(suffix))
        assert (read.type, read.unit, read.documentation) == (
            family.kind,
            family.unit,
            family.documentation,
        )
        suffixes = [*["_bucket"] * 15, "_sum", "_count"] if family.kind == HISTOGRAM else [""]
        assert [sample.name for sample in read.samples] == [family.name + suffix for suffix in suffixes]
    assert found == {}
    # The text format has no type for that.
    types = {family.name: family.type for family in read_text(exposed(samples, TEXT))}
    assert types["portico_build_info"] == "gauge"
    assert types["portico_requests"] == "counter"


def test_a_metric_that_nobody_tells_is_left_out() -> None:
    assert exposed({}, TEXT) == "\n"
    assert exposed({}, OPENMETRICS) == "# EOF\n"


def test_a_silent_supervisor_is_a_503() -> None:
    heads: list[str] = []

    class Silent:
        def ask(self) -> Samples:
            raise SilentError

    environ = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}
    application = AdminApplication(Silent(), Access(), repr)  # type: ignore[arg-type]
    application(environ, lambda status, *_: heads.append(status))  # type: ignore[arg-type, func-returns-value]
    assert heads == ["503 Service Unavailable"]
