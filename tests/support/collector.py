"""A collector of OpenTelemetry: takes spans and metrics by OTLP over HTTP, and keeps what it was sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .server import free_port
from .waiting import wait_until


def plain(value: Any) -> Any:
    """The value of an attribute."""
    return getattr(value, value.WhichOneof("value"))


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: plain(pair.value) for pair in pairs}


class Span:
    """A span as it was sent."""

    def __init__(self, message: Any, resource: dict[str, Any], scope: str) -> None:
        self.name: str = message.name
        self.trace_id: str = message.trace_id.hex()
        self.span_id: str = message.span_id.hex()
        self.parent_id: str = message.parent_span_id.hex()
        self.state: str = message.trace_state
        self.kind: int = message.kind
        self.start_ns: int = message.start_time_unix_nano
        self.end_ns: int = message.end_time_unix_nano
        self.has_failed: bool = message.status.code == 2
        self.events = {event.name: event.time_unix_nano for event in message.events}
        self.attributes = attributes(message.attributes)
        self.resource = resource
        self.scope = scope

    @property
    def path(self) -> str:
        return str(self.attributes.get("url.path", ""))


class Collector:
    """Listens at `port`; `status` is what it responds with. It keeps nothing unless that is 200."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.status = 200
        self.spans: list[Span] = []
        self.metrics: list[dict[str, Any]] = []
        """The metrics of each time, by name."""
        self.headers: list[dict[str, str]] = []
        self.resource: dict[str, Any] = {}
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                with collector._lock:
                    collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                    if collector.status == 200:
                        collector._take(self.path, body)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def at(self, path: str) -> list[Span]:
        """The spans of requests for that path."""
        with self._lock:
            return [span for span in self.spans if span.path == path]

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        return wait_until(condition, what=what)

    def wait_for_spans(self, path: str, count: int = 1) -> list[Span]:
        """Wait until there are as many spans of requests for that path; no more may have come."""
        found = wait_until(
            lambda: spans if len(spans := self.at(path)) >= count else None,
            what=f"{count} spans of {path}, not {len(self.at(path))}",
        )
        assert len(found) == count, f"{len(found)} spans of {path}, not {count}"
        return found

    @property
    def latest(self) -> dict[str, Any]:
        """The metrics that were sent last, by name."""
        with self._lock:
            return self.metrics[-1] if self.metrics else {}

    def value(self, name: str, **labels: str) -> float | None:
        """The value of a series at last, which has these labels and perhaps more: the sum of all of them."""
        metric = self.latest.get(name)
        if metric is None:
            return None
        data = getattr(metric, metric.WhichOneof("data"))
        points = [
            point
            for point in data.data_points
            if labels.items()
            <= {k.replace(".", "_"): v for k, v in attributes(point.attributes).items()}.items()
        ]
        if metric.WhichOneof("data") == "histogram":
            return float(sum(point.count for point in points))
        return float(sum(getattr(point, point.WhichOneof("value")) for point in points))

    def _take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = attributes(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [Span(span, resource, scope.scope.name) for span in scope.spans]
        else:
            assert path == "/v1/metrics", path
            (group,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
            self.resource = attributes(group.resource.attributes)
            self.metrics.append({each.name: each for scope in group.scope_metrics for each in scope.metrics})
