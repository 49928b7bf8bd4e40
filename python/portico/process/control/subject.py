"""What verbs see of the supervisor, and may have it do."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.process.back_off import BackOff
    from portico.process.cluster.cluster import Cluster
    from portico.process.control.lasting import Lasting
    from portico.process.figures import Figures
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.pools.pools import Pools
    from portico.process.totals import Totals
    from portico.process.upstreams.members import UpstreamMembers
    from portico.process.worker_set import WorkerSet


class Subject:
    """The parts of one supervisor.

    `bounds` returns the fewest and the most workers that it may want. `reload`, `upgrade`, `stop` (whether at
    once, when), `resize_to` (so many workers), `rest`, `reopen_logs` and `set_log_level` are done at once;
    what comes of them shows in the others. `pools` returns the pools, and `cluster` what there is of load
    balancers, if there have been any; `members` returns those of upstreams, `figures` what metrics are
    made of.
    """

    __slots__ = (
        *("back_off", "generations", "life", "scoreboard", "totals", "worker_set"),
        *("reload", "reopen_logs", "resize_to", "rest", "set_log_level", "stop", "upgrade"),
        *("bounds", "cluster", "figures", "loop", "members", "pools", "profile", "started_at_s"),
    )

    def __init__(
        self,
        *,
        loop: Loop,
        life: Life,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        generations: Generations,
        back_off: BackOff,
        totals: Totals,
        reload: Callable[[], None],
        upgrade: Callable[[], None],
        stop: Callable[[bool, float], None],
        bounds: Callable[[], tuple[int, int]],
        resize_to: Callable[[int], None],
        rest: Callable[[], None],
        reopen_logs: Callable[[], None],
        set_log_level: Callable[[str], None],
        pools: Callable[[], Pools | None],
        cluster: Callable[[], Cluster | None],
        members: Callable[[], UpstreamMembers],
        figures: Callable[[], Figures],
    ) -> None:
        self.loop = loop
        # The one that is being made.
        self.profile: Lasting | None = None
        self.life = life
        self.worker_set = worker_set
        self.scoreboard = scoreboard
        self.generations = generations
        self.back_off = back_off
        self.totals = totals
        self.reload = reload
        self.upgrade = upgrade
        self.stop = stop
        self.bounds = bounds
        self.resize_to = resize_to
        self.rest = rest
        self.reopen_logs = reopen_logs
        self.set_log_level = set_log_level
        self.pools = pools
        self.cluster = cluster
        self.members = members
        self.figures = figures
        self.started_at_s = generations.current.started_at_s
