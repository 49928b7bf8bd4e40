"""portico.admin without a server: formats, who may read what, and what is shown of what is told."""

from __future__ import annotations

import subprocess
import sys

import pytest
from portico.admin import SilentError, exposition
from portico.admin.access import Access
from portico.admin.application import AdminApplication
from portico.admin.dashboard import snapshots
from portico.admin.exposition import OPENMETRICS, TEXT, exposed, preferred
from portico.admin.families import COUNTER, FAMILIES, HISTOGRAM, INFO, Family
from portico.process.admin.question import BEGIN, FIGURES, OUTCOME, OVERVIEW, BadQuestionError, read_questions
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


# --- Access


@pytest.mark.parametrize(
    ("access", "environ", "status"),
    [
        (Access(), {"HTTP_HOST": "localhost:9100"}, ""),
        (Access(), {"HTTP_HOST": "LOCALHOST"}, ""),
        (Access(), {"HTTP_HOST": "127.8.9.1:1"}, ""),
        (Access(), {"HTTP_HOST": "[::1]"}, ""),
        (Access(), {"HTTP_HOST": "127.0.0.1.example:80"}, "403"),
        (Access(), {"HTTP_HOST": "127.0.0.x"}, "403"),
        (Access(), {"HTTP_HOST": "0.0.0.0:9100"}, "403"),
        (Access(), {"HTTP_HOST": ""}, "403"),
        (Access(), {}, "403"),
        (Access(is_unix=True), {"HTTP_HOST": "shop.example"}, ""),
        (Access(is_unix=True, token="t" * 16), {}, ""),
        (Access(is_exposed=True), {"HTTP_HOST": "localhost"}, "403"),
        (Access(is_exposed=True, token="t" * 16), {"HTTP_HOST": "localhost"}, "401"),
        (Access(is_exposed=True, token="t" * 16), {"HTTP_AUTHORIZATION": "bearer " + "t" * 16}, ""),
        (Access(token="t" * 16), {"HTTP_COOKIE": "portico_admin=" + "t" * 16}, ""),
        (Access(token="t" * 16), {"HTTP_COOKIE": "portico_admin=" + "t" * 15}, "401"),
        (Access(token="t" * 16), {"HTTP_COOKIE": "portico_admin=\xe9\udcff"}, "401"),
        # Without a token none is right.
        (Access(is_exposed=True), {"HTTP_AUTHORIZATION": "Bearer "}, "403"),
        (Access(), {"HTTP_HOST": "localhost", "HTTP_SEC_FETCH_SITE": "cross-site"}, "403"),
        (Access(is_unix=True), {"HTTP_SEC_FETCH_SITE": "same-site"}, "403"),
    ],
)
def test_who_may_see_the_dashboard(access: Access, environ: dict[str, str], status: str) -> None:
    rejection = access.to_dashboard(environ)  # type: ignore[arg-type]
    assert ("" if rejection is None else rejection.status[:3]) == status


# --- Questions


def asked(about: int, number: int = 7, line: bytes = b"") -> bytes:
    return (number | about << 24).to_bytes(4, "little") + line


def test_questions_are_read_however_they_come() -> None:
    whole = (
        asked(FIGURES) + asked(BEGIN, 8, b'{"seconds": 1}\n') + asked(OUTCOME, 9) + asked(OVERVIEW, 0xFFFFFF)
    )
    expected = [
        (7, FIGURES, b""),
        (8 | BEGIN << 24, BEGIN, b'{"seconds": 1}\n'),
        (9 | OUTCOME << 24, OUTCOME, b""),
        (0xFFFFFF | OVERVIEW << 24, OVERVIEW, b""),
    ]
    for step in (1, 3, 4, 7, len(whole)):
        received, found = bytearray(), []
        for start in range(0, len(whole), step):
            received += whole[start : start + step]
            found += list(read_questions(received))
        assert (found, received) == (expected, b"")


@pytest.mark.parametrize(
    "data",
    [asked(4), asked(255), asked(BEGIN, 1, b"x" * 1100), asked(BEGIN, 1, b"x" * 1100 + b"\n")],
    ids=["unknown", "far", "endless", "long"],
)
def test_what_is_no_question_is_said(data: bytes) -> None:
    with pytest.raises(BadQuestionError):
        list(read_questions(bytearray(data)))


# --- Snapshots


class Supervisor:
    """What a supervisor tells, as a test wants it."""

    def __init__(self) -> None:
        self.samples: Samples = {}

    def ask(self, *, kept_s: float = 1.0) -> Samples:
        return self.samples

    def overview(self) -> dict[str, Any]:
        status = {"running": 3, "name": "shop", "control": "/run/secret"}
        return {
            "status": status,
            "workers": {"workers": []},
            "requests": {"requests": []},
            "has_profile": False,
        }

    def begin_profile(self, line: bytes) -> dict[str, Any]:
        raise NotImplementedError

    def profile(self) -> dict[str, Any]:
        raise NotImplementedError


def figures(sum_s: float, **counts: int) -> list[int]:
    """Those of a histogram: `b3=2` are two in the bucket with that number."""
    return [*(counts.get(f"b{index}", 0) for index in range(15)), int(sum_s * 1e9)]


def test_a_snapshot_has_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, clock_s = Supervisor(), 100.0
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: clock_s)
    taken: list[dict[str, Any]] = []
    shown = snapshots.Snapshots(supervisor, lambda value: taken.append(value) or b"")  # type: ignore[func-returns-value]
    key = ("shop", "GET", "/item", "2xx")
    supervisor.samples = {
        "http_server_request_duration_seconds": [(key, figures(1.0, b0=10))],
        "portico_request_queue_seconds": [((), figures(0.5, b0=10))],
        "portico_request_part_seconds_total": [((*key, "queue"), 0.5), ((*key, "cpu"), 0.25)],
    }
    shown.latest()
    clock_s += 0.5
    shown.latest()
    assert len(taken) == 1
    assert (taken[-1]["point"], taken[-1]["minute"]) == (None, None)
    assert taken[-1]["start"]["routes"][0]["mean_s"] == 0.1
    # Of a report that is not for everybody.
    assert "control" not in taken[-1]["server"]
    supervisor.samples = {
        "http_server_request_duration_seconds": [
            (key, figures(2.0, b0=14)),
            (("shop", "GET", "/item", "5xx"), figures(4.0, b11=1)),
            (("", "GET", "", ""), figures(0.0, b0=2)),
        ],
        "portico_request_queue_seconds": [((), figures(0.75, b0=15))],
        "portico_request_part_seconds_total": [
            ((*key, "queue"), 0.75),
            ((*key, "cpu"), 0.5),
            (("shop", "GET", "/item", "5xx", "cpu"), 3.0),
        ],
    }
    clock_s += 1.5
    shown.latest()
    point, minute = taken[-1]["point"], taken[-1]["minute"]
    assert point["rates"] == {"2xx": 2.0, "5xx": 0.5, "none": 1.0}
    assert point["counts"] == figures(0, b0=6, b11=1)[:-1]
    assert (point["queue_s"], point["lock_s"]) == (0.05, None)
    assert (minute["seconds"], minute["requests"]) == (2.0, 7)
    assert minute["routes"][0] == {
        **{"application": "shop", "method": "GET", "route": "/item", "requests": 5, "errors": 1},
        **{"mean_s": 1.0, "p95_s": 4.375, "total_s": 5.0},
        "parts_s": {"queue": 0.25, "cpu": 3.25, "waiting": 1.5},
    }
    assert [row["route"] for row in minute["failing"]] == ["/item"]
    assert minute["parts_s"] == {"queue": 0.25, "cpu": 3.25, "waiting": 1.5}
    shown.history()
    assert taken[-1]["points"] == [point]
    # Nobody has watched for a while.
    clock_s += 60
    shown.latest()
    assert (taken[-1]["point"], taken[-1]["minute"]) == (None, None)


def test_the_minute_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, clock_s = Supervisor(), 0.0
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: clock_s)
    taken: list[dict[str, Any]] = []
    shown = snapshots.Snapshots(supervisor, lambda value: taken.append(value) or b"")  # type: ignore[func-returns-value]
    for count in range(200):
        clock_s = float(count)
        supervisor.samples = {
            "http_server_request_duration_seconds": [(("shop", "GET", "/", "2xx"), figures(count, b0=count))]
        }
        shown.latest()
    assert 50 <= taken[-1]["minute"]["seconds"] <= 60
    assert taken[-1]["minute"]["requests"] == taken[-1]["minute"]["seconds"]
    shown.history()
    assert len(taken[-1]["points"]) == 180


def test_what_only_few_look_at_is_not_imported() -> None:
    names = (
        *("portico.admin.dashboard", "portico.process.admin.overview", "portico.process.control.verbs"),
        *("hashlib", "hmac", "html", "json", "urllib"),
    )
    script = (
        "import sys; import portico.process.admin.serving, portico.process.admin.admin_process; "
        f"print([name for name in sys.modules if name.startswith({names})])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stdout
