"""Where spans and metrics go, and what they are said to be of.

What portico's settings say goes before what the SDK's variables say (OTEL_EXPORTER_OTLP_*,
OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME); what neither says is the SDK's default. Of certificates,
compression and timeouts there are the variables alone.
"""

from __future__ import annotations

import os

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.settings import Settings

AUTO = "auto"
_DEFAULT_PLACE = "http://localhost:4318"
_DEFAULT_INTERVAL_MS = 60_000
_DEFAULT_DELAY_MS = 1_000
_DEFAULT_QUEUE = 8192
_DEFAULT_BATCH = 512


class Bounds:
    """How many spans wait at most, how many go at a time, and how often spans and metrics do."""

    __slots__ = ("batch", "interval_s", "queue", "span_delay_s")

    def __init__(self, settings: Settings) -> None:
        self.queue = _number("OTEL_BSP_MAX_QUEUE_SIZE", _DEFAULT_QUEUE)
        self.batch = min(_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _DEFAULT_BATCH), self.queue)
        self.span_delay_s = _number("OTEL_BSP_SCHEDULE_DELAY", _DEFAULT_DELAY_MS) / 1000
        interval_ms = _number("OTEL_METRIC_EXPORT_INTERVAL", _DEFAULT_INTERVAL_MS)
        self.interval_s = settings.otlp_interval_s or interval_ms / 1000


def span_exporter(settings: Settings) -> OTLPSpanExporter | None:
    """Return what sends spans; None where OTEL_TRACES_EXPORTER says none."""
    if _is_none("OTEL_TRACES_EXPORTER"):
        return None
    return OTLPSpanExporter(endpoint=_endpoint(settings, "traces"), headers=_headers(settings))


def metric_exporter(settings: Settings) -> OTLPMetricExporter | None:
    """Return what sends metrics; None where OTEL_METRICS_EXPORTER says none."""
    if _is_none("OTEL_METRICS_EXPORTER"):
        return None
    return OTLPMetricExporter(endpoint=_endpoint(settings, "metrics"), headers=_headers(settings))


def place_of(settings: Settings) -> str:
    """Return where both go, for the log."""
    if settings.otlp != AUTO:
        return settings.otlp
    named = (os.environ.get(f"OTEL_EXPORTER_OTLP_{what}ENDPOINT") for what in ("", "TRACES_", "METRICS_"))
    return next(filter(None, named), _DEFAULT_PLACE)


def resource_of(settings: Settings, name: str, *, host: str, pid: int) -> Resource:
    """Return what all is said to be of: the server with the application `name`, whose supervisor is `pid`."""
    by_environment = OTELResourceDetector().detect().attributes
    attributes = {
        "service.name": settings.otlp_service_name or by_environment.get("service.name") or name,
        # Stays over reloads and upgrades; a pool has a supervisor of its own.
        "service.instance.id": by_environment.get("service.instance.id") or f"{host}:{pid}",
        "host.name": by_environment.get("host.name") or host,
        "process.pid": pid,
    }
    return Resource.create(attributes)


def _endpoint(settings: Settings, signal: str) -> str | None:
    return None if settings.otlp == AUTO else f"{settings.otlp}/v1/{signal}"


def _headers(settings: Settings) -> dict[str, str] | None:
    pairs = (field.partition("=") for field in settings.otlp_headers)
    return {name: value for name, _, value in pairs} or None


def _is_none(variable: str) -> bool:
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return is_disabled or os.environ.get(variable, "").strip().lower() == "none"


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default
