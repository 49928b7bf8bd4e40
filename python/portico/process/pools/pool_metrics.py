"""The metrics of all pools, as the supervisor keeps them that has the pools.

Receives what their supervisors tell over their lines when somebody asks at the admin address, and hands on
samples, each with the name of its pool as its last label. What processes have counted that are no more is
kept, by the name of the pool, also of one that sleeps, or that the configuration has no longer: so counters
never go back. Whoever does not reply is not waited for a second time. Imported when somebody asks first.
"""

from __future__ import annotations

from portico.admin.of_pools import POOL_DIRECTORIES, POOL_FAMILIES
from portico.process.pools.metric_lines import add, kept_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from portico.admin import Samples
    from portico.process.pools.metric_lines import FamilyRow, PoolReply, Value
    from portico.process.pools.pool import Pool
    from portico.process.pools.pool_process import PoolProcess

_RENAMED = {
    "portico_requests_total": "portico_pool_requests_total",
    "portico_request_errors_total": "portico_pool_request_errors_total",
    "http_server_active_requests": "portico_pool_active_requests",
}
"""What the router counts too, of the same requests."""
_OF_ROUTER = ("portico_connections", "portico_accepted_connections_total", "portico_response_bytes_total")
"""What means something of clients alone, who are the router's."""
_SATURATION = "portico_saturation"
_MOST_NAMES = 1024
_MOST_FAMILIES = 2048


class PoolMetrics:
    """What is known of each pool, by its name."""

    __slots__ = ("_asked", "_ended", "_families", "_number")

    def __init__(self) -> None:
        self._number = 0
        self._asked: list[PoolProcess] = []
        # Of processes that have ended: what counts for ever.
        self._ended: dict[str, dict[tuple[str, ...], Value]] = {}
        self._families: dict[str, list[FamilyRow]] = {}

    def ask(self, pools: Iterable[Pool], what: str, now_s: float) -> None:
        """Ask all processes that there are."""
        self._number += 1
        processes = [process for pool in pools for process in pool.processes if process.has_served]
        self._asked = [process for process in processes if process.ask(self._number, what, now_s)]

    def have_all_replied(self) -> bool:
        """Say whether nobody is waited for: all have replied, or have gone."""
        return not any(process.is_silent for process in self._asked)

    def ended(self, name: str, reply: PoolReply | None) -> None:
        """Keep what a process of the pool `name` has counted, which has ended."""
        if reply is None or (name not in self._ended and len(self._ended) >= _MOST_NAMES):
            return
        sums = self._ended.setdefault(name, {})
        for key, value in kept_of(reply.samples):
            add(sums, key, value)
        if reply.families:
            self._families[name] = reply.families

    def samples(self, pools: Iterable[Pool], now_s: float) -> dict[str, Any]:
        """Return all samples, by metric; families of applications and directories are beside them."""
        found: Samples = {"portico_pool_state": [], "portico_pool_info_age_seconds": []}
        families: dict[str, FamilyRow] = {}
        directories: list[tuple[str, str]] = []
        # One that leaves may have the name of another.
        by_name: dict[str, list[Pool]] = {}
        for pool in pools:
            by_name.setdefault(pool.record["name"], []).append(pool)
        for name in dict.fromkeys([*by_name, *self._ended]):
            sums = dict(self._ended.get(name, ()))
            rows = list(self._families.get(name, ()))
            for pool in by_name.get(name, ()):
                if pool is by_name[name][0]:
                    found["portico_pool_state"].append(((name, pool.state), 1))
                self._add_processes(name, pool, sums, rows, found, directories, now_s)
            for row in rows:
                if len(families) < _MOST_FAMILIES:
                    families.setdefault(row[0], row)
            for (metric, *labels), value in sums.items():
                if metric not in _OF_ROUTER:
                    metric = _RENAMED.get(metric, metric)
                    found.setdefault(metric, []).append(((*labels, name), value))
        return {**found, POOL_FAMILIES: list(families.values()), POOL_DIRECTORIES: directories}

    def _add_processes(
        self,
        name: str,
        pool: Pool,
        sums: dict[tuple[str, ...], Value],
        rows: list[FamilyRow],
        found: Samples,
        directories: list[tuple[str, str]],
        now_s: float,
    ) -> None:
        """Add what the processes of `pool` have told last."""
        for process in pool.processes:
            reply = process.reply
            if reply is None:
                continue
            for key, value in reply.samples.items():
                if key[0] != _SATURATION or process is pool.current:
                    add(sums, key, value)
            rows[:0] = reply.families
            if process is pool.current and pool.is_wanted:
                age_s = round(max(0.0, now_s - process.replied_at_s), 3)
                found["portico_pool_info_age_seconds"].append(((name,), age_s))
            if reply.directory and (name, reply.directory) not in directories:
                directories.append((name, reply.directory))

    def overviews(self, pools: Iterable[Pool], now_s: float) -> list[tuple[str, str, str, float]]:
        """Return of each pool its name, state, what it has told last, as JSON, and how old that is."""
        found = []
        for pool in pools:
            process = pool.current
            text = process.overview if process is not None else ""
            age_s = now_s - process.overview_at_s if process is not None and text else 0.0
            found.append((pool.record["name"], pool.state, text, round(max(0.0, age_s), 3)))
        return found

    def hand_over(self) -> list[Any]:
        """Return what the supervisor after an upgrade needs to know."""
        return [(name, list(sums.items())) for name, sums in self._ended.items()]

    def take_over(self, record: list[Any]) -> None:
        """Go on with what `hand_over` has told of."""
        for name, rows in record:
            self._ended[name] = {tuple(key): value for key, value in rows}
