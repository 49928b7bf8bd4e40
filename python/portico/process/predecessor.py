"""What the supervisor before an upgrade has left, as the one in its place reads it (`take_over.py`).

Workers of another version go on by what both versions know: the frames of `messages.py`, and the settings
that have kept their name and type.
"""

from __future__ import annotations

from portico import _core, log
from portico.process.dry_run import versions
from portico.process.plan import Plan, handed_settings, load_listeners, load_plan
from portico.process.worker_handle import WorkerHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.config.settings import Settings
    from portico.process.worker_set import WorkerSet


class Predecessor:
    """What the supervisor before has left.

    `plan` is what to go back to, `generation` the number of its last one; `worker_count` is how many workers
    its configuration wanted, `wanted` how many it wanted at last. `signals` are those that it has not looked
    at, `blocked` those that waited before the upgrade; `added` the servers that it has added to HAProxies;
    `members` is what it has changed, and found, of the members of upstreams; `totals` are of workers that
    were no more; `admin_process` is the one that serves at the admin address, `statsd` has the one that
    pushes metrics, `exporter` the one that sends metrics and spans, with the socket that it reads.
    """

    def __init__(self, record: dict[str, Any], plan: Plan) -> None:
        self.fds: list[int] = record["fds"]
        self.generation: int = record["generation"]
        self.worker_count: int = record["worker_count"]
        self.wanted: int = record["wanted"]
        self.is_announced: bool = record["is_announced"]
        self.signals: list[int] = record["signals"]
        self.blocked = set(record["blocked"])
        self.added = [(address, name) for address, name in record.get("added", ())]
        self.settings = _known(record["settings"], plan.settings)
        self._versions = {what: record[what] for what in versions()}
        self._scoreboard_fds: tuple[int, int] | None = record["scoreboard"]
        self._slots: int = record["slots"]
        # Of another version, which may have had none.
        self.pools: dict[str, Any] | None = record.get("pools")
        self.members: list[Any] = record.get("members", [])
        # All that were open, also those that neither plan has.
        self.listeners = load_listeners(record["listeners"])
        self.admin = load_listeners(record.get("admin", []))
        self.admin_process: dict[str, Any] | None = record.get("admin_process")
        self.statsd: dict[str, Any] | None = record.get("statsd")
        self.exporter: dict[str, Any] | None = record.get("exporter")
        self.totals: dict[str, Any] = record.get("totals", {})
        self.plan = self._plan(record, plan)
        self.workers = [
            WorkerHandle.take_over(worker, _known(worker["settings"], plan.settings))
            for worker in record["workers"]
        ]

    def __str__(self) -> str:
        return f"portico {self._versions['portico']} under Python {self._versions['Python']}"

    def _plan(self, record: dict[str, Any], plan: Plan) -> Plan:
        """Return the plan to go back to if `plan` does not serve: that of before, if it is understood here.

        If not, it is `plan` at the addresses of before: workers that are missing are still tried.
        """
        if self._versions == versions():
            return load_plan(record["confirmed"])
        others = {
            name: getattr(plan, name) for name in Plan.__slots__ if name not in ("settings", "listeners")
        }
        return Plan(plan.settings, load_listeners(record["listeners"]), **others)

    def scoreboard(self, worker_set: WorkerSet) -> _core.Scoreboard:
        """Return the scoreboard, that of before if it is understood here; `worker_set` gets its slots."""
        why = "the supervisor before had none that can be handed over"
        if self._scoreboard_fds is not None:
            try:
                scoreboard = _core.Scoreboard.taken_over(*self._scoreboard_fds)
            except OSError as error:
                why = str(error)
            else:
                worker_set.use_slots(scoreboard.slots)
                return scoreboard
        log.warning(
            f"the scoreboard is a new one ({why}): of the workers of before it is not known what they do, so "
            "their calls have no timeout and are not named in the log"
        )
        worker_set.use_slots(max(self._slots, worker_set.slots))
        return _core.Scoreboard(worker_set.slots)


def _known(values: dict[str, Any], settings: Settings) -> Settings:
    """Return `settings` with those `values` of another version that have kept name and type."""
    known = {name: value for name, value in values.items() if type(settings.values.get(name)) is type(value)}
    return handed_settings({**settings.values, **known}, settings.origins)
