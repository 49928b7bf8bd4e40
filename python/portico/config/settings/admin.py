"""Where those who run the server look at it, and who is sent what there is to see."""

from __future__ import annotations

from portico.config.kinds import (
    AdminAddress,
    Choice,
    CollectorUrl,
    Duration,
    FilePath,
    Flag,
    HttpField,
    Portion,
    StatsdAddress,
    StatsdPrefix,
    StatsdTag,
    Text,
)
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_ADMIN = Group("admin", "admin")
_STATSD = Group("statsd", "statsd")
_OTLP = Group("otlp", "otlp")


class AdminSettings(Values):
    """The rows of the group `admin`."""

    __slots__ = ()

    admin_bind = Setting(
        "admin_bind",
        AdminAddress(),
        "off",
        group=_ADMIN,
        key="bind",
        documentation="Where a process of its own serves /metrics, for Prometheus and those that read the "
        "same, and a dashboard: HOST:PORT, or unix:PATH with the options of `bind`; off is nowhere. Metrics "
        "are counts, and nothing of what is in requests; the dashboard has paths, and needs "
        "`admin_token_file` where other machines can connect. More in docs/run/metrics.md and "
        "docs/run/dashboard.md.",
    )
    admin_token_file = Setting(
        "admin_token_file",
        FilePath(),
        "",
        group=_ADMIN,
        key="token_file",
        documentation="A file with the token without which nothing is shown at the admin address over TCP: "
        "16 to 256 visible characters. It is read before privileges are given up, and anew at a reload. "
        "Without one, metrics are shown to whoever can connect, and the dashboard at a loopback address or a "
        "Unix socket alone.",
    )
    prometheus_client = Setting(
        "prometheus_client",
        Flag(),
        True,
        group=_ADMIN,
        documentation="Whether what the application counts by the library prometheus_client is told at the "
        "admin address, of all workers together: its multiprocess mode is set up, by "
        "PROMETHEUS_MULTIPROC_DIR, unless that variable is set already.",
    )


class StatsdSettings(Values):
    """The rows of the group `statsd`."""

    __slots__ = ()

    statsd = Setting(
        "statsd",
        StatsdAddress(),
        "off",
        group=_STATSD,
        key="address",
        documentation="Who is sent the metrics, in the line protocol of StatsD, by a process of its own: "
        "HOST:PORT for UDP, unix:PATH for a datagram socket; off is nobody. Needs no admin address. Counts "
        "are exact over reloads, upgrades and the ends of workers, and what is left is sent when the server "
        "stops. Names and types are in docs/run/statsd.md.",
    )
    statsd_prefix = Setting(
        "statsd_prefix",
        StatsdPrefix(),
        "portico",
        group=_STATSD,
        key="prefix",
        documentation="What the names of metrics begin with, before a dot; none is nothing. With gunicorn, "
        "dashboards of gunicorn go on: gunicorn.requests, gunicorn.request.duration, gunicorn.workers.",
    )
    statsd_tags = ManySetting(
        "statsd_tags",
        StatsdTag(),
        (),
        separator=",",
        group=_STATSD,
        key="tags",
        documentation="Tags that each line has, as DogStatsD takes them: env:production. With one, labels "
        "such as the route are tags, too; without, there are no tags at all. May be repeated.",
    )
    statsd_interval_s = Setting(
        "statsd_interval",
        Duration(0.1, 3600.0),
        2.0,
        group=_STATSD,
        key="interval",
        documentation="How often metrics are pushed. A fifth of the time that the receiver sums up, or "
        "less, shows no steps that are not there.",
    )


class OtlpSettings(Values):
    """The rows of the group `otlp`."""

    __slots__ = ()

    otlp = Setting(
        "otlp",
        CollectorUrl(),
        "off",
        group=_OTLP,
        key="endpoint",
        documentation="Where a process of its own sends a span of each request, and the metrics of /metrics, "
        "by OTLP over HTTP: the URL of a collector, such as http://127.0.0.1:4318, to which /v1/traces and "
        "/v1/metrics are added; auto is what OTEL_EXPORTER_OTLP_ENDPOINT and its like say, or "
        "http://localhost:4318; off is nowhere. Needs portico-server[otlp]. More in docs/run/tracing.md.",
    )
    otlp_headers = ManySetting(
        "otlp_headers",
        HttpField(),
        (),
        separator=",",
        group=_OTLP,
        key="headers",
        documentation="Headers that the collector wants, as NAME=VALUE, such as an API key. May be repeated. "
        "Without any, those of OTEL_EXPORTER_OTLP_HEADERS, where a key is in no file and no process list.",
    )
    otlp_interval_s = Setting(
        "otlp_interval",
        Duration(0.0, 86_400.0),
        0.0,
        group=_OTLP,
        key="interval",
        documentation="How often metrics are sent: 15s; 0 is as OTEL_METRIC_EXPORT_INTERVAL says, in "
        "milliseconds, else once a minute. Spans are sent as OTEL_BSP_SCHEDULE_DELAY says, else each second.",
    )
    otlp_service_name = Setting(
        "otlp_service_name",
        Text("NAME", "a name such as shop"),
        "",
        group=_OTLP,
        key="service_name",
        documentation="What the server is called there (service.name). Without one, what OTEL_SERVICE_NAME "
        "or OTEL_RESOURCE_ATTRIBUTES says, else the name of the application.",
    )
    trace_sample = Setting(
        "trace_sample",
        Portion(),
        1.0,
        group=_OTLP,
        documentation="The share of the traces that begin here of which spans are sent: 0.1 is a tenth. A "
        "request that is a part of a client's trace is sent if the client says that its trace is sampled.",
    )
    traceparent_from = Setting(
        "traceparent_from",
        Choice("any", "trusted"),
        "any",
        group=_OTLP,
        documentation="Whose header traceparent says which trace a request is a part of, and whether it is "
        "sampled: that of any client, or only of a peer of forwarded_allow_ips. In all other requests a "
        "trace begins, and their tracestate is removed.",
    )
