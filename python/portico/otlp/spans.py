"""Receives what a worker says of a request that has ended (`span_fields` in
crates/engine/src/access_log/format.rs); hands on the span, in the words of OpenTelemetry's conventions for
HTTP.

Times are those of the worker, to the nanosecond: the end by the wall clock, all else before it by the
monotonic one.
"""

from __future__ import annotations

import json
import re

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
)
"""Those that are known; another one is `_OTHER`, so that clients cannot invent values."""
_PARTS = {
    "queue": "portico.queue.duration",
    "lock": "portico.lock.duration",
    "app": "portico.application.duration",
    "cpu": "portico.cpu.duration",
    "client": "portico.client.duration",
}
"""Where the time of a request goes, in seconds."""
_PLAIN = {
    "scheme": "url.scheme",
    "path": "url.path",
    "route": "http.route",
    "version": "network.protocol.version",
    "peer": "client.address",
    "agent": "user_agent.original",
    "bytes": "http.response.body.size",
    "name": "portico.application",
    "thread": "portico.thread",
    "worker": "portico.worker",
    "pid": "portico.worker.pid",
}
"""What is told as it came."""
_SECRET = re.compile(r"(?i)(^|&)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]+")
"""What the conventions keep out of `url.query`."""
_FAILED = 500


class SpanMaker:
    """Makes spans of `resource`, in the scope of portico's `version`."""

    def __init__(self, resource: Resource, version: str) -> None:
        self._resource = resource
        self._scope = InstrumentationScope("portico", version)

    def make(self, message: bytes) -> tuple[ReadableSpan, int]:
        """Return the span, and how many the worker has lost before it.

        Raises ValueError or KeyError for what no worker says.
        """
        record: dict[str, Any] = json.loads(message)
        start_ns = record["start"]
        context = _context(record, record["span"], is_remote=False)
        parent = _context(record, record["parent"], is_remote=True) if "parent" in record else None
        method = record.get("method", "")
        name = method if method in _METHODS else "HTTP"
        span = ReadableSpan(
            f"{name} {record['route']}" if record.get("route") else name,
            context,
            parent,
            self._resource,
            _attributes(record),
            _events(record),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if _has_failed(record) else StatusCode.UNSET),
            start_time=start_ns,
            end_time=start_ns + record["total"],
            instrumentation_scope=self._scope,
        )
        return span, record.get("lost", 0)


def _context(record: dict[str, Any], span: str, *, is_remote: bool) -> SpanContext:
    # That of a request that begins a trace belongs to another one.
    state = record.get("state") if "parent" in record else None
    return SpanContext(
        int(record["trace"], 16),
        int(span, 16),
        is_remote,
        TraceFlags(TraceFlags.SAMPLED),
        TraceState.from_header([state]) if state else None,
    )


def _has_failed(record: dict[str, Any]) -> bool:
    return "cause" in record or record["status"] >= _FAILED or not record["status"]


def _attributes(record: dict[str, Any]) -> dict[str, Any]:
    attributes = {name: record[key] for key, name in _PLAIN.items() if record.get(key, "") != ""}
    method = record.get("method", "")
    attributes["http.request.method"] = method if method in _METHODS else "_OTHER"
    if method and method not in _METHODS:
        attributes["http.request.method_original"] = method
    if query := record.get("query"):
        attributes["url.query"] = _SECRET.sub(r"\1\2=REDACTED", query)
    if host := record.get("host"):
        address, port = _split_host(host)
        attributes["server.address"] = address
        if port:
            attributes["server.port"] = port
    if status := record["status"]:
        attributes["http.response.status_code"] = status
    if "cause" in record:
        attributes["error.type"] = record["cause"]
    elif _has_failed(record):
        attributes["error.type"] = str(status or "no_response")
    for part, name in _PARTS.items():
        if part in record:
            attributes[name] = record[part] / 1e9
    return attributes


def _split_host(host: str) -> tuple[str, int]:
    """Return name and port of a Host; 0 if that has none."""
    address, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or address.endswith(":"):
        return host, 0
    return address, int(port)


def _events(record: dict[str, Any]) -> list[Event]:
    events = []
    if "lock" in record:
        called_ns = record["start"] + record["queue"] + record["lock"]
        events.append(Event("portico.application_called", timestamp=called_ns))
    if "first" in record:
        events.append(Event("portico.response_head", timestamp=record["start"] + record["first"]))
    return events
