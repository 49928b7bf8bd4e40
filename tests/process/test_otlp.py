"""Spans and metrics reach a collector: each request once, whatever becomes of workers; none waits for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.collector import Collector
from support.processes import children, is_alive, is_stopped
from support.raw_client import Connection as Client
from support.server import free_port
from support.waiting import wait_until
from support.ways import own_cpu_time

from .conftest import Portico, Start, read_body

SHOP = """
import json, os, signal, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        open("waits", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if path == "/dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/raise":
        raise RuntimeError("on purpose")
    environ["portico.route"] = "/<name>"
    start_response("404 Not Found" if path == "/missing" else "200 OK", [("Content-Type", "text/plain")])
    return [json.dumps({key: environ[key] for key in environ if key.startswith("HTTP_TRACE")}).encode()]
"""
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
TITLE = "portico: otlp"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def serve(start: Start, collector: Collector) -> Start:
    """Start portico with that collector, which is sent what there is at once."""

    def serve(*options: str, source: str = SHOP, **others: object) -> Portico:
        environment = {"OTEL_BSP_SCHEDULE_DELAY": "20", **others.pop("environment", {})}  # type: ignore[dict-item]
        words = ("--otlp", collector.url, "--otlp-interval", "0.1", *options)
        portico = start(source, *words, environment=environment, **others)
        portico.wait_ready()
        # By its title it is told apart from workers.
        wait_until(lambda: exporters(portico), what="an exporter")
        return portico

    return serve


def ask(portico: Portico, path: str = "/", *fields: str) -> dict[str, str]:
    """Ask with these headers; return what the application saw of a trace."""
    lines = "".join(f"{field}\r\n" for field in fields)
    with portico.connect() as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: shop.test:80\r\n{lines}Connection: close\r\n\r\n".encode()
        )
        body = read_body(connection)
    return json.loads(body) if body.startswith("{") else {}


def exporters(portico: Portico) -> list[int]:
    """The processes that export."""
    found = []
    for pid in children(portico.process.pid):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(TITLE.encode()):
            found.append(pid)
    return found


def workers(portico: Portico) -> list[int]:
    return [pid for pid in children(portico.process.pid) if pid not in exporters(portico)]


def replace(portico: Portico) -> None:
    """Have the only worker replaced by a reload."""
    (before,) = workers(portico)
    portico.signal(signal.SIGHUP)
    wait_until(lambda: len(now := workers(portico)) == 1 and before not in now, what="another worker")


@own_cpu_time
def test_a_span_says_what_the_conventions_of_http_do(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1")
    before_ns = time.time_ns()
    states = ("tracestate: a=b,c=d", "tracestate: e=f")
    seen = ask(portico, "/a?b=c&sig=secret", f"traceparent: {SAMPLED}", *states, "User-Agent: test/1")
    after_ns = time.time_ns()
    (span,) = collector.wait_for_spans("/a")
    assert (span.trace_id, span.parent_id, span.state) == (TRACE, SPAN, "a=b,c=d,e=f")
    assert seen == {"HTTP_TRACEPARENT": f"00-{TRACE}-{span.span_id}-01", "HTTP_TRACESTATE": "a=b,c=d, e=f"}
    assert (span.name, span.kind, span.scope, span.has_failed) == ("GET /<name>", 2, "portico", False)
    said = span.attributes
    durations = {name: said.pop(name) for name in list(said) if name.endswith(".duration")}
    assert said.pop("portico.worker.pid") == workers(portico)[0]
    assert said.pop("http.response.body.size") == len(json.dumps(seen))
    assert said == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/<name>",
        "url.scheme": "http",
        "url.path": "/a",
        "url.query": "b=c&sig=REDACTED",
        "server.address": "shop.test",
        "server.port": 80,
        "client.address": "127.0.0.1",
        "user_agent.original": "test/1",
        "network.protocol.version": "1.1",
        "portico.application": "shop:application",
        "portico.worker": 1,
        "portico.thread": 0,
    }
    assert set(durations) == {
        f"portico.{part}.duration" for part in ("queue", "lock", "application", "cpu", "client")
    }
    assert before_ns <= span.start_ns <= span.events["portico.application_called"]
    # The call ends after its client has the response.
    assert span.events["portico.application_called"] <= span.events["portico.response_head"] <= after_ns
    assert span.events["portico.response_head"] <= span.end_ns <= after_ns + 1_000_000_000
    parts_ns = (
        sum(durations[f"portico.{part}.duration"] for part in ("queue", "lock", "application", "client"))
        * 1e9
    )
    # To the microsecond: what is between them is the end of the call.
    assert parts_ns - 1000 <= span.end_ns - span.start_ns
    assert span.resource["service.name"] == "shop"
    assert span.resource["service.instance.id"].endswith(f":{portico.process.pid}")
    portico.stop()


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [("/", 200, None), ("/missing", 404, None), ("/raise", 500, "500")],
)
def test_what_has_failed_says_so(
    serve: Start, collector: Collector, path: str, status: int, error: str | None
) -> None:
    portico = serve()
    ask(portico, path)
    (span,) = collector.wait_for_spans(path)
    assert span.attributes["http.response.status_code"] == status
    assert (span.has_failed, span.attributes.get("error.type")) == (error is not None, error)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((), id="none"),
        pytest.param((f"traceparent: {SAMPLED.upper()}", "tracestate: a=b"), id="malformed"),
        pytest.param((f"traceparent: ff{SAMPLED[2:]}", "tracestate: a=b"), id="version-ff"),
        pytest.param((f"traceparent: {SAMPLED}", f"traceparent: {SAMPLED}", "tracestate: a=b"), id="two"),
        pytest.param(("tracestate: a=b",), id="tracestate-alone"),
    ],
)
def test_a_trace_begins_where_nobody_says_of_which_a_request_is(
    serve: Start, collector: Collector, fields: tuple[str, ...]
) -> None:
    portico = serve()
    seen = ask(portico, "/", *fields)
    (span,) = collector.wait_for_spans("/")
    assert (span.parent_id, span.state) == ("", "")
    assert span.trace_id not in (TRACE, "0" * 32)
    assert seen == {"HTTP_TRACEPARENT": f"00-{span.trace_id}-{span.span_id}-01"}


def test_the_client_says_whether_its_trace_is_recorded(serve: Start, collector: Collector) -> None:
    portico = serve("--trace-sample", "0")
    seen = ask(portico, "/not", f"traceparent: {UNSAMPLED}", "tracestate: a=b")
    assert seen["HTTP_TRACEPARENT"].startswith(f"00-{TRACE}-")
    assert seen["HTTP_TRACEPARENT"].endswith("-00")
    assert SPAN not in seen["HTTP_TRACEPARENT"]
    assert seen["HTTP_TRACESTATE"] == "a=b"
    assert ask(portico, "/begins")["HTTP_TRACEPARENT"].endswith("-00")
    ask(portico, "/is", f"traceparent: {SAMPLED}")
    collector.wait_for_spans("/is")
    assert [span.path for span in collector.spans] == ["/is"]


def test_a_share_of_the_traces_that_begin_here_is_recorded(serve: Start, collector: Collector) -> None:
    portico = serve("--trace-sample", "0.5")
    flags = [ask(portico, "/")["HTTP_TRACEPARENT"][-2:] for _ in range(64)]
    # One in 10^10 runs is outside.
    assert 6 <= flags.count("01") <= 58
    collector.wait_for_spans("/", flags.count("01"))
    portico.stop()
    assert len(collector.spans) == flags.count("01")


def test_only_a_trusted_peer_says_of_which_trace_a_request_is(serve: Start, collector: Collector) -> None:
    words = ("--traceparent-from", "trusted", "--forwarded-allow-ips")
    stranger = serve(*words, "192.0.2.1")
    seen = ask(stranger, "/", f"traceparent: {SAMPLED}", "tracestate: a=b")
    (span,) = collector.wait_for_spans("/")
    assert span.trace_id != TRACE
    assert seen == {"HTTP_TRACEPARENT": f"00-{span.trace_id}-{span.span_id}-01"}
    friend = serve(*words, "127.0.0.1")
    assert TRACE in ask(friend, "/", f"traceparent: {SAMPLED}")["HTTP_TRACEPARENT"]


def test_without_a_collector_headers_are_passed_on_as_they_are(start: Start) -> None:
    portico = start(SHOP)
    portico.wait_ready()
    seen = ask(portico, "/", f"traceparent: {SAMPLED}", "tracestate: a=b")
    assert seen == {"HTTP_TRACEPARENT": SAMPLED, "HTTP_TRACESTATE": "a=b"}
    assert ask(portico, "/") == {}
    assert exporters(portico) == []


def test_a_killed_workers_request_has_a_span(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1")
    ask(portico, "/dies", f"traceparent: {SAMPLED}")
    (span,) = collector.wait_for_spans("/dies")
    assert (span.trace_id, span.parent_id, span.has_failed) == (TRACE, SPAN, True)
    assert span.attributes["error.type"] == "killed:SIGKILL"
    assert "http.response.status_code" not in span.attributes
    assert span.end_ns > span.start_ns


def test_a_call_that_takes_too_long_says_so(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1", "--timeout", "0.2")
    ask(portico, "/wait", f"traceparent: {SAMPLED}")
    (span,) = collector.wait_for_spans("/wait")
    assert (span.trace_id, span.parent_id, span.has_failed) == (TRACE, SPAN, True)
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("504", 504)


@pytest.mark.parametrize(
    ("request_bytes", "status", "method"),
    [
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", 400, "GET", id="no-host"),
        pytest.param(b"\x16\x03\x01\r\n\r\n", 400, "_OTHER", id="no-http"),
        pytest.param(b"JUMP / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, "_OTHER", id="unknown"),
    ],
)
def test_what_is_no_usual_request_has_a_span_too(
    serve: Start, collector: Collector, request_bytes: bytes, status: int, method: str
) -> None:
    portico = serve()
    with portico.connect() as connection:
        connection.sendall(request_bytes)
        read_body(connection)
    collector.wait_for(lambda: collector.spans, "a span")
    (span,) = collector.spans
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes["http.request.method"] == method


def test_a_reverse_proxy_may_say_it_in_variables(serve: Start, collector: Collector) -> None:
    port = free_port()
    portico = serve("-b", f"scgi://127.0.0.1:{port}")
    variables = {
        "CONTENT_LENGTH": "0",
        "SCGI": "1",
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/s",
        "PATH_INFO": "/s",
    }
    variables |= {"HTTPS": "on", "HTTP_HOST": "a", "HTTP_TRACEPARENT": SAMPLED, "HTTP_TRACESTATE": "a=b"}
    head = b"".join(f"{name}\0{value}\0".encode() for name, value in variables.items())
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"%d:%b," % (len(head), head))
        seen = json.loads(read_body(connection))
    (span,) = collector.wait_for_spans("/s")
    assert (span.trace_id, span.parent_id, span.attributes["url.scheme"]) == (TRACE, SPAN, "https")
    assert seen == {"HTTP_TRACEPARENT": f"00-{TRACE}-{span.span_id}-01", "HTTP_TRACESTATE": "a=b"}
    portico.stop()


def test_the_exporter_does_not_outlive_a_supervisor_that_is_killed(
    serve: Start, collector: Collector
) -> None:
    portico = serve("-w", "1")
    ask(portico, "/")
    (exporter,) = exporters(portico)
    portico.process.kill()
    portico.process.wait()
    wait_until(lambda: not is_alive(exporter), what="the end of the exporter")
    assert len(collector.at("/")) == 1


def test_each_request_is_in_one_span_over_kills_and_reloads(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "2")
    for number in range(60):
        ask(portico, f"/{number}")
        if number == 20:
            os.kill(workers(portico)[0], signal.SIGKILL)
            portico.wait_for("was killed by SIGKILL")
        if number == 40:
            portico.signal(signal.SIGHUP)
        if number == 50:
            portico.wait_for("is ready after", times=2)
    portico.stop()
    assert sorted(span.path for span in collector.spans) == sorted(f"/{number}" for number in range(60))
    assert len({span.span_id for span in collector.spans}) == 60
    assert len({span.trace_id for span in collector.spans}) == 60


def test_metrics_are_exact_over_kills_and_reloads(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "2")
    for number in range(30):
        ask(portico, "/missing" if number % 3 == 0 else "/")
        if number == 10:
            # The client of the last one has its response before that is counted.
            collector.wait_for(lambda: collector.value("portico.requests") == 11, "11 requests")
            os.kill(workers(portico)[0], signal.SIGKILL)
            portico.wait_for("was killed by SIGKILL")
        if number == 20:
            portico.signal(signal.SIGHUP)
            portico.wait_for("is ready after", times=2)
    portico.stop()
    duration = "http.server.request.duration"
    assert collector.value(duration) == 30
    assert collector.value(duration, http_response_status_class="4xx") == 10
    assert collector.value(duration, http_route="/<name>", http_request_method="GET") == 30
    assert collector.value("portico.requests") == 30
    assert collector.value("portico.worker_restarts") == 1
    assert collector.value("portico.exported_spans", **{}) is not None
    starts = {
        point.start_time_unix_nano
        for metrics in collector.metrics
        for point in metrics["portico.requests"].sum.data_points
    }
    # One series from the start on: nobody takes a reload for a reset.
    assert len(starts) == 1
    counts = [
        int(metrics["portico.requests"].sum.data_points[0].as_int)
        or metrics["portico.requests"].sum.data_points[0].as_double
        for metrics in collector.metrics
    ]
    assert counts == sorted(counts)


def test_metrics_are_those_of_the_admin_address(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1", "--admin-bind", f"127.0.0.1:{free_port()}")
    ask(portico, "/")
    collector.wait_for(lambda: collector.value("http.server.request.duration") == 1, "the request")
    expected = {
        *("portico.workers", "portico.worker_threads", "portico.accept_backlog", "portico.connections"),
        *("portico.accepted_connections", "portico.requests", "portico.request_errors", "portico.saturation"),
        *("http.server.request.duration", "http.server.active_requests", "portico.request_part"),
        *("portico.request_queue", "portico.gil_wait", "portico.response", "portico.worker_restarts"),
        *("portico.worker_rss", "process.start_time", "portico.build_info"),
        *("portico.exported_spans", "portico.lost_spans"),
    }
    assert set(collector.latest) == expected
    histogram = collector.latest["http.server.request.duration"]
    assert histogram.unit == "s"
    (point,) = histogram.histogram.data_points
    assert point.explicit_bounds[0] == 0.005
    assert sum(point.bucket_counts) == point.count == 1
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert 0 < point.sum < 10


def test_a_request_does_not_wait_for_a_collector_that_is_away(start: Start) -> None:
    port = free_port()
    environment = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    words = ("--otlp", f"http://127.0.0.1:{port}", "--otlp-interval", "0.2", "-w", "1")
    portico = start(SHOP, *words, environment=environment)
    portico.wait_ready()
    for _ in range(20):
        begun_s = time.monotonic()
        ask(portico, "/before")
        assert time.monotonic() - begun_s < 1
    portico.wait_for("the collector at")
    assert portico.log().count("the collector at") == 1
    with Collector(port) as collector:
        # What came meanwhile was kept.
        collector.wait_for_spans("/before", 20)
        portico.wait_for("again; 0 spans are lost")
        portico.stop()


def test_a_collector_that_refuses_is_told_of_with_its_reason(serve: Start, collector: Collector) -> None:
    collector.status = 401
    portico = serve("-w", "1", environment={"OTEL_METRICS_EXPORTER": "none"})
    for _ in range(3):
        ask(portico, "/")
    portico.wait_for("takes no spans (")
    assert "401" in portico.log()
    collector.status = 200
    collector.wait_for_spans("/", 3)
    portico.wait_for("takes spans again; 0 spans are lost")
    assert portico.log().count("the collector at") == 2


def test_the_end_does_not_wait_long_for_a_collector_that_is_away(start: Start) -> None:
    portico = start(
        SHOP, "--otlp", f"http://127.0.0.1:{free_port()}", environment={"OTEL_BSP_SCHEDULE_DELAY": "20"}
    )
    portico.wait_ready()
    ask(portico, "/")
    begun_s = time.monotonic()
    portico.stop()
    assert time.monotonic() - begun_s < 10
    assert "1 spans are lost" in portico.log()


def test_the_end_does_not_wait_for_ever_for_a_collector_that_says_nothing(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        portico = start(SHOP, "--otlp", url, environment={"OTEL_BSP_SCHEDULE_DELAY": "20"})
        portico.wait_ready()
        begun_s = time.monotonic()
        ask(portico, "/")
        assert time.monotonic() - begun_s < 1
        begun_s = time.monotonic()
        portico.stop()
        assert time.monotonic() - begun_s < 10
    assert "1 spans are lost" in portico.log()


def test_an_exporter_that_is_killed_is_replaced(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1")
    ask(portico, "/first")
    collector.wait_for_spans("/first")
    (before,) = exporters(portico)
    os.kill(before, signal.SIGKILL)
    # Nobody reads now: it is there for the next one.
    ask(portico, "/second")
    collector.wait_for_spans("/second")
    assert exporters(portico) != [before]
    portico.wait_for("the process that exports metrics and spans was killed by SIGKILL")
    count = collector.value("portico.requests")
    collector.wait_for(lambda: collector.value("portico.requests") == 2, f"2 requests, not {count}")
    assert len(collector.at("/first")) == 1


def test_spans_that_an_exporter_does_not_take_are_counted(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1")
    (exporter,) = exporters(portico)
    os.kill(exporter, signal.SIGSTOP)
    wait_until(lambda: is_stopped(exporter), what="an exporter that is stopped")
    count = 0
    with Client(("127.0.0.1", portico.port)) as client:
        # As many as the kernel keeps, and some more.
        while "the process that exports spans takes none at the moment" not in portico.log():
            for _ in range(500):
                assert client.request("/").status == 200
            count += 500
    os.kill(exporter, signal.SIGCONT)
    collector.wait_for(lambda: collector.spans, "that there is room again")
    # The next record says how many.
    ask(portico, "/last")
    collector.wait_for_spans("/last")
    portico.stop()
    taken = len(collector.spans)
    assert 1 < taken < count
    assert (collector.value("portico.exported_spans"), collector.value("portico.lost_spans")) == (
        taken,
        count + 1 - taken,
    )


def test_an_upgrade_loses_no_span_and_counts_on(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "1")
    (before,) = exporters(portico)
    for _ in range(5):
        ask(portico, "/before")
    portico.signal(signal.SIGUSR2)
    portico.wait_for("upgraded from portico")
    for _ in range(5):
        ask(portico, "/after")
    wait_until(lambda: exporters(portico) not in ([], [before]), what="another exporter")
    portico.stop()
    assert (len(collector.at("/before")), len(collector.at("/after"))) == (5, 5)
    assert collector.value("portico.requests") == 10


def test_a_preloaded_applications_workers_export_too(serve: Start, collector: Collector) -> None:
    portico = serve("-w", "2", "--preload")
    for _ in range(10):
        ask(portico, "/")
    portico.stop()
    assert len(collector.at("/")) == 10


def test_headers_and_names_are_those_of_the_settings(serve: Start, collector: Collector) -> None:
    portico = serve("--otlp-headers", "api-key=secret", "--otlp-service-name", "the shop")
    ask(portico, "/")
    (span,) = collector.wait_for_spans("/")
    assert span.resource["service.name"] == "the shop"
    assert all(headers["api-key"] == "secret" for headers in collector.headers)


def test_the_variables_of_opentelemetry_say_what_no_setting_does(start: Start, collector: Collector) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "by the environment",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "OTEL_METRICS_EXPORTER": "none",
    }
    portico = start(SHOP, "--otlp", "auto", environment=environment)
    portico.wait_ready()
    ask(portico, "/")
    (span,) = collector.wait_for_spans("/")
    assert span.resource["service.name"] == "by the environment"
    assert span.resource["deployment.environment.name"] == "test"
    assert collector.headers[0]["api-key"] == "secret"
    assert collector.headers[0]["content-encoding"] == "gzip"
    portico.stop()
    assert collector.metrics == []


def test_an_access_line_has_the_servers_own_span(serve: Start, collector: Collector, tmp_path: Path) -> None:
    words = ("--access-log", "access.log", "--access-log-format", "%(trace_id) %(span_id) %(parent_id)")
    portico = serve(*words)
    ask(portico, "/", f"traceparent: {SAMPLED}")
    (span,) = collector.wait_for_spans("/")
    portico.stop()
    assert (tmp_path / "access.log").read_text() == f"{TRACE} {span.span_id} {SPAN}\n"


def test_a_span_of_the_applications_own_is_a_child(serve: Start, collector: Collector) -> None:
    source = f"""
from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
trace.set_tracer_provider(TracerProvider(resource=Resource.create({{"service.name": "inside"}})))
exporter = OTLPSpanExporter(endpoint="{collector.url}/v1/traces")
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
application = Flask("shop")
FlaskInstrumentor().instrument_app(application)
@application.get("/basket/<name>")
def basket(name):
    return "full"
"""
    portico = serve(source=source)
    ask(portico, "/basket/7", f"traceparent: {SAMPLED}")
    collector.wait_for(lambda: len(collector.spans) == 2, "both spans")
    inside, ours = sorted(collector.spans, key=lambda span: span.scope == "portico")
    assert inside.resource["service.name"] == "inside"
    assert (ours.trace_id, ours.parent_id) == (TRACE, SPAN)
    assert (inside.trace_id, inside.parent_id) == (TRACE, ours.span_id)
    assert ours.start_ns <= inside.start_ns <= inside.end_ns <= ours.end_ns


def test_spans_of_router_pool_and_application_are_a_chain(
    start: Start, collector: Collector, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "portico.toml").write_text(
        f"""
[listening]
bind = ["127.0.0.1:{port}"]
[otlp]
endpoint = "{collector.url}"
interval = "100ms"
[processes]
workers = 1
[routes]
workers = 1
[[app]]
app = "shop"
[[app]]
app = "shop"
mount = "/alone"
threads = 2
""",
        "utf-8",
    )
    portico = start(
        SHOP, application="", port=port, reads_file=True, environment={"OTEL_BSP_SCHEDULE_DELAY": "20"}
    )
    portico.wait_ready()
    seen = ask(portico, "/alone/x", f"traceparent: {SAMPLED}", "tracestate: a=b")
    collector.wait_for(lambda: len(collector.spans) == 2, "both spans")
    router, pool = sorted(collector.spans, key=lambda span: span.parent_id != SPAN)
    assert (router.trace_id, router.parent_id) == (TRACE, SPAN)
    assert (pool.trace_id, pool.parent_id) == (TRACE, router.span_id)
    assert seen == {"HTTP_TRACEPARENT": f"00-{TRACE}-{pool.span_id}-01", "HTTP_TRACESTATE": "a=b"}
    assert router.start_ns <= pool.start_ns
    assert router.resource["service.instance.id"] != pool.resource["service.instance.id"]
    portico.stop()


def test_an_upstream_is_sent_our_span(start: Start, collector: Collector, tmp_path: Path) -> None:
    behind = start(SHOP)
    behind.wait_ready()
    port = free_port()
    (tmp_path / "portico.toml").write_text(
        f"""
[listening]
bind = ["127.0.0.1:{port}"]
[otlp]
endpoint = "{collector.url}"
[processes]
workers = 1
[[upstream]]
to = "http://127.0.0.1:{behind.port}"
mount = "/"
""",
        "utf-8",
    )
    front = start(
        SHOP, application="", port=port, reads_file=True, environment={"OTEL_BSP_SCHEDULE_DELAY": "20"}
    )
    front.wait_ready()
    seen = ask(front, "/", f"traceparent: {SAMPLED}", "tracestate: a=b")
    (span,) = collector.wait_for_spans("/")
    assert span.parent_id == SPAN
    assert seen == {"HTTP_TRACEPARENT": f"00-{TRACE}-{span.span_id}-01", "HTTP_TRACESTATE": "a=b"}
    assert set(ask(front, "/", "tracestate: a=b")) == {"HTTP_TRACEPARENT"}


def test_a_reload_may_begin_and_end_it(start: Start, collector: Collector, tmp_path: Path) -> None:
    port = free_port()
    plain = f'[[app]]\napp = "shop"\n[listening]\nbind = ["127.0.0.1:{port}"]\n[processes]\nworkers = 1\n'
    with_collector = f'{plain}[otlp]\nendpoint = "{collector.url}"\n'
    (tmp_path / "portico.toml").write_text(plain, "utf-8")
    portico = start(
        SHOP, application="", port=port, reads_file=True, environment={"OTEL_BSP_SCHEDULE_DELAY": "20"}
    )
    portico.wait_ready()
    assert ask(portico, "/one") == {}
    for number, text in enumerate((with_collector, plain)):
        (tmp_path / "portico.toml").write_text(text, "utf-8")
        replace(portico)
        assert bool(ask(portico, f"/{number}")) == (text is with_collector)
    collector.wait_for_spans("/0")
    wait_until(lambda: not exporters(portico), what="no exporter")
    portico.stop()
    assert [span.path for span in collector.spans] == ["/0"]


def test_a_missing_extra_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("")
    for command in ("check", "run"):
        done = subprocess.run(
            [sys.executable, "-m", "portico", command, "shop", "--otlp", "http://127.0.0.1:4318"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode != 0
        sentence = "expected the packages of OpenTelemetry, got none: pip install 'portico-server[otlp]'"
        assert f"portico: --otlp on the command line: {sentence}\n" == done.stderr


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://", "http://a b", "http://a/?b"]
)
def test_what_is_no_collector_is_one_sentence(tmp_path: Path, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "portico", "check", "shop", "--otlp", url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert f'expected a URL such as http://127.0.0.1:4318, auto or off, got "{url}"' in done.stderr
