"""Receives the samples of metrics, as for `/metrics`; hands on the same as the SDK's data.

They are cumulative since the supervisor's start, which counts on for workers that are no more: so neither
those nor another exporting process begin anew. A name is that of the family with dots, without what
Prometheus has in names for kind and unit, and which its own receiver of OTLP adds again.
"""

from __future__ import annotations

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from portico.admin.families import COUNTER, FAMILIES, HISTOGRAM, Family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portico.admin import Samples

_UNITS = {"seconds": "s", "bytes": "By"}
"""As UCUM has them."""
_NAMES = {
    "http_server_request_duration_seconds": "http.server.request.duration",
    "http_server_active_requests": "http.server.active_requests",
}
"""Those of the conventions."""
_LABELS = {
    "http_request_method": "http.request.method",
    "http_route": "http.route",
    "http_response_status_class": "http.response.status_class",
}

OWN_FAMILIES = (
    Family("portico_exported_spans_total", COUNTER, "Spans that the collector has taken."),
    Family("portico_lost_spans_total", COUNTER, "Spans that found no room, or no collector."),
)
"""What the exporting process counts itself, since its own start."""


class MetricsMaker:
    """Makes data of `resource`, in the scope of portico's `version`; counters began at `started_at_ns`."""

    def __init__(self, resource: Resource, version: str, *, started_at_ns: int) -> None:
        self._resource = resource
        self._scope = InstrumentationScope("portico", version)
        self._started_at_ns = started_at_ns

    def make(
        self,
        samples: Samples,
        families: Iterable[Family],
        spans: tuple[int, int],
        *,
        own_since_ns: int,
        now_ns: int,
    ) -> MetricsData:
        """Return what the collector is sent.

        `families` are metrics beside portico's; `spans` are how many were taken, and lost,
        since `own_since_ns`.
        """
        since = self._started_at_ns
        own: Samples = {each.name: [((), count)] for each, count in zip(OWN_FAMILIES, spans, strict=True)}
        metrics = [_metric(each, samples, since, now_ns) for each in (*FAMILIES, *families)]
        metrics += [_metric(each, own, own_since_ns, now_ns) for each in OWN_FAMILIES]
        present = [metric for metric in metrics if metric.data.data_points]
        scope = ScopeMetrics(self._scope, present, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])


def _metric(family: Family, samples: Samples, since_ns: int, now_ns: int) -> Metric:
    rows = samples.get(family.name, [])
    cumulative = AggregationTemporality.CUMULATIVE
    data: Histogram | Sum | Gauge
    if family.kind == HISTOGRAM:
        points = [
            _histogram(family, labels, figures, since_ns, now_ns)
            for labels, figures in rows
            if not isinstance(figures, int | float)
        ]
        data = Histogram(points, cumulative)
    else:
        numbers = [
            NumberDataPoint(_attributes(family, labels), since_ns, now_ns, value)
            for labels, value in rows
            if isinstance(value, int | float)
        ]
        data = Sum(numbers, cumulative, is_monotonic=True) if family.kind == COUNTER else Gauge(numbers)
    return Metric(name_of(family), family.documentation, _UNITS.get(family.unit, ""), data)


def name_of(family: Family) -> str:
    """Return what the metric of `family` is called."""
    if family.name in _NAMES:
        return _NAMES[family.name]
    name = family.name.removesuffix("_total") if family.kind == COUNTER else family.name
    if family.unit:
        name = name.removesuffix(f"_{family.unit}")
    head, _, rest = name.partition("_")
    return f"{head}.{rest}" if head in ("portico", "process") and rest else name


def _histogram(
    family: Family, labels: Sequence[str], figures: Sequence[float], since_ns: int, now_ns: int
) -> HistogramDataPoint:
    *counts, total = (float(each) for each in figures)
    buckets = [int(each) for each in counts]
    return HistogramDataPoint(
        attributes=_attributes(family, labels),
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=sum(buckets),
        sum=total / family.per_sum,
        bucket_counts=buckets,
        explicit_bounds=list(family.bounds),
        # Nobody keeps these.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )


def _attributes(family: Family, labels: Sequence[str]) -> dict[str, str]:
    """Return the labels that have a value."""
    pairs = zip(family.names_for(labels), labels, strict=True)
    return {_LABELS.get(name, name): value for name, value in pairs if value}
