"""What metrics are called in StatsD: as in gunicorn where that has the same, so that dashboards go on.

A name has its parts between dots, and its prefix is the receiver's business. With DogStatsD, labels that have
no place in the name are tags; without, those of the server are summed over, and the values of an
application's own follow its name.
"""

from __future__ import annotations

import re

from portico.admin.families import COUNTER, FAMILIES, HISTOGRAM, INFO, POOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.admin.families import Family

COUNT, GAUGE, TIMING, DISTRIBUTION = "c", "g", "ms", "h"
"""The types of a line."""

OF_POOL = "pool.{pool}."
"""What stands before the names of what a pool has counted."""

NAMES = {
    "portico_saturation": "saturation",
    "portico_workers": "workers.{state}",
    "portico_worker_threads": "threads.{state}",
    "portico_accept_backlog": "backlog",
    "portico_connections": "connections",
    "portico_accepted_connections_total": "connections.accepted",
    "portico_requests_total": "requests",
    "portico_request_errors_total": "request.errors",
    "http_server_request_duration_seconds": "request.duration",
    "portico_request_part_seconds_total": "request.time.{part}",
    "http_server_active_requests": "requests.active",
    "portico_request_queue_seconds": "request.queue",
    "portico_gil_wait_seconds": "request.lock",
    "portico_response_bytes_total": "response.bytes",
    "portico_worker_restarts_total": "worker.restarts.{reason}",
    "portico_worker_rss_bytes": "worker.{worker}.rss",
    "process_start_time_seconds": "start_time",
    "portico_router_request_duration_seconds": OF_POOL + "router.duration",
    "portico_pool_state": OF_POOL + "state.{state}",
    "portico_pool_info_age_seconds": OF_POOL + "info_age",
    "portico_pool_requests_total": OF_POOL + "requests",
    "portico_pool_request_errors_total": OF_POOL + "request.errors",
    "portico_pool_active_requests": OF_POOL + "requests.active",
}
"""Of the server's own families; what stands in braces is the value of a label."""

STATUS = "request.status.{http_response_status_class}"
"""How many requests a duration was counted of: gunicorn has the status itself there."""

SUMS = {"portico_workers": "workers"}
"""Of families whose sum is one more gauge, the name of that."""

OF_REQUESTS = "http_server_request_duration_seconds"
"""The family that requests are counted in by status, and whose quantiles are gauges, too: there are receivers
that take a line with a rate for one observation."""

OF_APPLICATION = "app."
"""What stands before the name of an application's own metric."""

ERRORS = "statsd.errors"
"""How often a receiver could not be reached."""

_TAGS = {
    "http_request_method": "method",
    "http_route": "route",
    "http_response_status_class": "status_class",
}
_OWN = {family.name for family in FAMILIES}
_SECONDS = "_seconds"
_MS_PER_S = 1000.0
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
# What ends a line, a field of one, or a tag.
_NOT_IN_TAGS = re.compile(r"[\s,|#\x00-\x1f]+")
_NONE = "none"


class Naming:
    """How series are called: with tags, or without."""

    __slots__ = ("_has_tags",)

    def __init__(self, *, has_tags: bool) -> None:
        self._has_tags = has_tags

    def of(self, family: Family, labels: Sequence[str], pattern: str = "") -> tuple[str, str]:
        """Return the name of a series and its tags, by `pattern` or else as the table says."""
        given = dict(zip(family.names_for(labels), labels, strict=True))
        if family.name in _OWN:
            name = pattern or NAMES[family.name]
            if POOL in given and POOL not in family.labels and not self._has_tags:
                name = f"{OF_POOL}{name}"
            of_name = {label for label in given if f"{{{label}}}" in name}
            name = name.format(**{label: part_of_name(given[label]) for label in of_name})
            rest = [(label, value) for label, value in given.items() if label not in of_name and value]
        else:
            name = OF_APPLICATION + base_of(family)
            rest = [*given.items()]
            if not self._has_tags and POOL not in family.labels and (pool := given.pop(POOL, None)):
                name = OF_POOL.format(pool=part_of_name(pool)) + name
                rest = [*given.items()]
            if not self._has_tags:
                name = ".".join([name, *(part_of_name(value) for _, value in rest)])
        return name, ",".join(_tag(label, value) for label, value in rest) if self._has_tags else ""

    def type_of(self, family: Family) -> str:
        """Return the type of the lines of a family; empty if it has none."""
        if family.kind == INFO:
            return ""
        if family.kind == COUNTER:
            return COUNT
        if family.kind != HISTOGRAM:
            return GAUGE
        # Not all who receive know the other one.
        return DISTRIBUTION if self._has_tags and not is_of_seconds(family) else TIMING


def is_of_seconds(family: Family) -> bool:
    """Say whether a family counts seconds, which are milliseconds in lines."""
    return base_of(family, keeps_unit=True).endswith(_SECONDS)


def scale_of(family: Family) -> float:
    """Return by what a number of the family is multiplied."""
    return _MS_PER_S if family.kind in (COUNTER, HISTOGRAM) and is_of_seconds(family) else 1.0


def base_of(family: Family, *, keeps_unit: bool = False) -> str:
    """Return the name of a family without what says its kind, and without a unit that is another in lines."""
    name = family.name.removesuffix("_total") if family.kind == COUNTER else family.name
    if keeps_unit or family.kind not in (COUNTER, HISTOGRAM):
        return name
    return name.removesuffix(_SECONDS) or name


def part_of_name(value: str) -> str:
    """Return a value as a part of a name, without what has a meaning there."""
    return _NOT_IN_NAMES.sub("_", value) or _NONE


def _tag(label: str, value: str) -> str:
    return f"{_TAGS.get(label, label)}:{_NOT_IN_TAGS.sub('_', value) or _NONE}"
