"""What the supervisor tells of itself and its workers, in plain values, by the names of the metrics.

Looked at when somebody asks: to read a worker's slot of the scoreboard, its CPU clock and the size of its
memory takes some 50 us, and nothing is waited for.
"""

from __future__ import annotations

from portico.config.values import THREADS
from portico.process.resident import rss_bytes
from portico.process.saturation import Saturation, count_waiting
from portico.process.totals import COUNTED
from portico.process.worker_handle import BOOTING, KILLED, LEAVING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.admin import Samples
    from portico.process.generations import Generations
    from portico.process.totals import Totals
    from portico.process.worker_set import WorkerSet

POOL_PREFIX = "pool "
"""What the names of pools begin with, as the router counts what it passes on to them."""

_STATES = (BOOTING, READY, LEAVING, KILLED)
COUNTERS = {
    "requests": "portico_requests_total",
    "errors": "portico_request_errors_total",
    "bytes_sent": "portico_response_bytes_total",
    "connections_total": "portico_accepted_connections_total",
}
"""What the counts of the scoreboard are called."""


class Figures:
    """Looks at the parts of one supervisor."""

    __slots__ = ("_generations", "_saturation", "_scoreboard", "_totals", "_worker_set")

    def __init__(
        self, generations: Generations, worker_set: WorkerSet, scoreboard: _core.Scoreboard, totals: Totals
    ) -> None:
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._totals = totals
        self._saturation = Saturation(generations, worker_set, scoreboard)

    def now(self, now_s: float) -> Samples:
        """Return all that is known now."""
        samples = self._durations()
        samples.update((name, [*values]) for name, values in self.numbers(now_s).items())
        return samples

    def numbers(self, now_s: float) -> dict[str, list[tuple[tuple[str, ...], float]]]:
        """Return all of it but durations."""
        workers = list(self._worker_set.workers.values())
        statuses = [(worker, self._scoreboard.read(worker.slot)) for worker in workers]
        serving = [(worker, status) for worker, status in statuses if worker.ready_at_s]
        busy = sum(min(len(status.calls), worker.settings.most_calls) for worker, status in serving)
        threads = sum(worker.settings.most_calls for worker, _ in serving)
        counts = {
            name: self._totals.counts[name] + sum(getattr(status, name) for _, status in statuses)
            for name in COUNTED
        }
        samples: dict[str, list[tuple[tuple[str, ...], float]]] = {
            "portico_workers": [((state,), len(self._worker_set.in_state(state))) for state in _STATES],
            "portico_worker_threads": [(("busy",), busy), (("idle",), threads - busy)],
            "portico_accept_backlog": [((), count_waiting(self._generations.listeners))],
            "portico_connections": [((), sum(status.connections for _, status in statuses))],
            **{name: [((), counts[counted])] for counted, name in COUNTERS.items()},
            "http_server_active_requests": [((), sum(status.active_requests for _, status in statuses))],
            "portico_worker_restarts_total": [
                ((reason,), count) for reason, count in self._totals.restarts.items()
            ],
            # People count from one.
            "portico_worker_rss_bytes": [
                ((str(worker.slot + 1),), rss_bytes(worker.pid))
                for worker in sorted(workers, key=lambda worker: worker.slot)
            ],
        }
        if self._generations.current.settings.pools is None:
            # With pools these workers pass requests on to others, who may be busy while they are not.
            samples["portico_saturation"] = [((), self._saturation.share(now_s))]
        return samples

    def request_counts(self) -> list[int]:
        """Return how many requests have taken how long, as `counts_of_requests`: of all workers ever."""
        from portico.process.durations import counts_of_requests

        return counts_of_requests(self._totals.durations.with_rows(self._duration_rows()).items())

    def _duration_rows(self) -> list[tuple[tuple[str, ...], list[int]]]:
        workers = self._worker_set.workers.values()
        return [row for worker in workers for row in self._scoreboard.durations(worker.slot)]

    def _durations(self) -> Samples:
        rows = self._duration_rows()
        # Here, because few servers count that, while all of them tell the rest.
        from portico.process.durations import METRICS, PART_NAMES, PARTS

        samples: Samples = {name: [] for name in (*METRICS.values(), "portico_request_part_seconds_total")}
        passed_on: list[tuple[tuple[str, ...], list[int]]] = []
        for (of, *labels), figures in self._totals.durations.with_rows(rows).items():
            is_passed_on = labels[:1] != [] and labels[0].startswith(POOL_PREFIX)
            if is_passed_on and of == PARTS:
                continue  # of a call, which is the pool's
            if of == PARTS:
                samples["portico_request_part_seconds_total"] += [
                    ((*labels, part), ns / 1e9)
                    for part, ns in zip(PART_NAMES, figures, strict=True)
                    # Of calls that share a thread nobody knows which has computed.
                    if ns or part != "cpu" or self._generations.current.settings.worker == THREADS
                ]
            elif is_passed_on:
                # In the pool it is counted by application and route.
                application, method, _, status_class = labels
                passed_on.append(((application.removeprefix(POOL_PREFIX), method, status_class), figures))
            else:
                samples[METRICS[of]].append((tuple(labels), figures))
        if passed_on:
            samples["portico_router_request_duration_seconds"] = [*passed_on]
        return samples
