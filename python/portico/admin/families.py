"""The table of all metrics: a new one is a row here, and a value of that name in what the supervisor tells
(`portico.process.figures`). Those of an application are its own (`of_application.py`).

Names are those of Prometheus: a counter ends in `_total`, a unit stands before that. Where there are pools, a
sample that is of one has a value more than there are labels here: the name of the pool, as POOL.
"""

from __future__ import annotations

from portico._core import DURATION_BOUNDS_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

POOL = "pool"
"""The label that says whose a sample is."""

GAUGE, COUNTER, INFO, HISTOGRAM = "gauge", "counter", "info", "histogram"


class Family:
    """One metric. `unit` is what OpenMetrics is told, which the name has to end in, before `_total`.

    A histogram has these upper `bounds`, and a sum of which `per_sum` are one.
    """

    __slots__ = ("bounds", "documentation", "kind", "labels", "name", "per_sum", "unit")

    def __init__(
        self,
        name: str,
        kind: str,
        documentation: str,
        *,
        labels: tuple[str, ...] = (),
        unit: str = "",
        bounds: tuple[float, ...] = DURATION_BOUNDS_S,
        per_sum: float = 1e9,
    ) -> None:
        self.name = name
        self.kind = kind
        self.documentation = documentation
        self.labels = labels
        self.unit = unit
        self.bounds = bounds
        self.per_sum = per_sum

    def fits(self, values: Sequence[str], value: float | Sequence[float]) -> bool:
        """Say whether a sample is one of this: those of pools are what another process has said."""
        if not 0 <= len(values) - len(self.labels) <= 1:
            return False
        if self.kind == HISTOGRAM:
            return not isinstance(value, (int, float)) and len(value) == len(self.bounds) + 2
        return isinstance(value, (int, float))

    def names_for(self, values: Sequence[str]) -> Sequence[str]:
        """Return the names of labels for the `values` of a sample, of which that of a pool has one more."""
        return self.labels if len(values) == len(self.labels) else (*self.labels, POOL)


FAMILIES = (
    Family(
        "portico_saturation",
        GAUGE,
        "Share of the workers' threads and CPUs that is busy, with connections that wait, from 0 to 1.",
    ),
    Family("portico_workers", GAUGE, "Worker processes by state.", labels=("state",)),
    Family(
        "portico_worker_threads",
        GAUGE,
        "Threads that call the application, busy in a call or idle.",
        labels=("state",),
    ),
    Family("portico_accept_backlog", GAUGE, "Connections that no worker has accepted yet."),
    Family("portico_connections", GAUGE, "Connections that are open."),
    Family("portico_accepted_connections_total", COUNTER, "Connections that were accepted."),
    Family("portico_requests_total", COUNTER, "Requests that have ended, however they did."),
    Family(
        "portico_request_errors_total", COUNTER, "Requests that have ended with a status of 500 or above."
    ),
    Family(
        "http_server_request_duration_seconds",
        HISTOGRAM,
        "Time from the complete request to the end of its response.",
        labels=("application", "http_request_method", "http_route", "http_response_status_class"),
        unit="seconds",
    ),
    Family(
        "portico_request_part_seconds_total",
        COUNTER,
        "Time of requests in the parts of their calls: waiting for a thread (queue) and for the interpreter "
        "(lock), computing (cpu), and waiting for the client; the rest is waiting in the application.",
        labels=(
            *("application", "http_request_method", "http_route", "http_response_status_class"),
            "part",
        ),
        unit="seconds",
    ),
    Family(
        "portico_router_request_duration_seconds",
        HISTOGRAM,
        "Time from the complete request to the end of its response, of those that were passed on to a pool.",
        labels=(POOL, "http_request_method", "http_response_status_class"),
        unit="seconds",
    ),
    Family("http_server_active_requests", GAUGE, "Requests that wait or are responded to."),
    Family(
        "portico_request_queue_seconds",
        HISTOGRAM,
        "Time that requests have waited for a thread before the application was called.",
        unit="seconds",
    ),
    Family(
        "portico_gil_wait_seconds",
        HISTOGRAM,
        "Time that those threads have waited for the interpreter before they called the application.",
        unit="seconds",
    ),
    Family("portico_response_bytes_total", COUNTER, "Bytes of the bodies of responses.", unit="bytes"),
    Family(
        "portico_worker_restarts_total",
        COUNTER,
        "Workers that another one had to take the place of, by reason.",
        labels=("reason",),
    ),
    Family(
        "portico_worker_rss_bytes",
        GAUGE,
        "Resident memory of each worker, pages that it shares included.",
        labels=("worker",),
        unit="bytes",
    ),
    Family("portico_pool_state", GAUGE, "Always 1: what a pool does.", labels=(POOL, "state")),
    Family(
        "portico_pool_info_age_seconds",
        GAUGE,
        "How long ago a pool has told what is told of it here.",
        labels=(POOL,),
        unit="seconds",
    ),
    Family("portico_pool_requests_total", COUNTER, "Requests that have ended in a pool.", labels=(POOL,)),
    Family(
        "portico_pool_request_errors_total",
        COUNTER,
        "Requests that have ended in a pool with a status of 500 or above.",
        labels=(POOL,),
    ),
    Family(
        "portico_pool_active_requests",
        GAUGE,
        "Requests that wait or are responded to in a pool.",
        labels=(POOL,),
    ),
    Family(
        "process_start_time_seconds",
        GAUGE,
        "When the supervisor started, in seconds since 1970.",
        unit="seconds",
    ),
    Family("portico_build_info", INFO, "Always 1: what serves.", labels=("version", "python")),
)
