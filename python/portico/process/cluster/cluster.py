"""The supervisor's duty towards load balancers: the agent, and this host in each HAProxy and Envoy.

    serving            ready in each HAProxy
    told to stop       draining there; health checks fail, and the agent says so
    drain_delay over   in maintenance there, and only then the sockets are closed
    last worker gone   gone there, and only then this process ends

What HAProxy does is waited for while it takes no more than a moment: who is away holds up nothing.
"""

from __future__ import annotations

from portico.process.cluster.agent import Agent
from portico.process.cluster.entry import entries
from portico.process.cluster.member import UNKNOWN, Member
from portico.process.cluster.servers import IN_MAINTENANCE, READY
from portico.process.cluster.standing import CLOSED, DOWN, DRAINING, GONE, RESTING, UP, Standing
from portico.process.life import KILLING
from portico.process.loop import Duty
from portico.process.saturation import Saturation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico import _core
    from portico.process.cluster.eds_file import EdsFile
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.worker_set import WorkerSet

# For all HAProxies to do what they are told before this process goes on.
_PATIENCE_S = 3.0
_WANTED = {
    UP: READY,
    DOWN: READY,
    DRAINING: DRAINING,
    RESTING: IN_MAINTENANCE,
    CLOSED: IN_MAINTENANCE,
    GONE: GONE,
}


class Cluster(Duty):
    """What there is of `[cluster]` in the current plan; `is_asleep` as in `Standing`.

    `added_before` are the servers that the supervisor before an upgrade has added, as `added` has them.
    """

    __slots__ = (
        *(
            "_added_before",
            "_agent",
            "_generations",
            "_leaving",
            "_life",
            "_loop",
            "_members",
            "_saturation",
            "_seen",
        ),
        *("_standing", "_is_waited_for", "_wait_until_s", "_waits_for"),
    )

    def __init__(
        self,
        life: Life,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        *,
        is_asleep: Callable[[], bool],
        added_before: list[tuple[str, str]],
    ) -> None:
        self._added_before = added_before
        self._life = life
        self._loop = loop
        self._generations = generations
        self._standing = Standing(life, worker_set, is_asleep)
        self._saturation = Saturation(generations, worker_set, scoreboard)
        self._agent: Agent | None = None
        self._members: dict[tuple[str, str], Member | EdsFile] = {}
        # Those that a reload has no longer.
        self._leaving: list[Member | EdsFile] = []
        self._seen: tuple[Any, ...] = ()
        # What was waited for last, until when, and whether that still is.
        self._waits_for = UNKNOWN
        self._wait_until_s = 0.0
        self._is_waited_for = False

    @property
    def added(self) -> list[tuple[str, str]]:
        """The servers that HAProxies have because they were added here, by their identities."""
        return [identity for identity, member in self._members.items() if member.has_added]

    def look(self, now_s: float) -> None:
        if self._life.is_serving:
            self._take_plan(now_s)
        if self._agent is not None:
            self._agent.look(now_s)
        wanted = _WANTED[self._standing.now]
        for member in self._members.values():
            member.want(wanted, now_s)
        for duty in (*self._members.values(), *self._leaving):
            duty.look(now_s)
        self._leaving = [member for member in self._leaving if not member.has_left]
        if now_s >= self._wait_until_s:
            self._is_waited_for = False

    def due_s(self) -> float | None:
        duties: list[Duty] = [*self._members.values(), *self._leaving]
        if self._agent is not None:
            duties.append(self._agent)
        dues = [due_s for duty in duties if (due_s := duty.due_s()) is not None]
        if self._is_waited_for:
            dues.append(self._wait_until_s)
        return min(dues, default=None)

    def may_close(self, now_s: float) -> bool:
        """Say whether the sockets may be closed: no HAProxy sends anything more, or it cannot be told."""
        if not self._standing.is_closing:
            if not self._has_settled(now_s):
                return False
            self._standing.is_closing = True
        return self._has_settled(now_s)

    def may_end(self, now_s: float) -> bool:
        """Say whether this process may end, once its workers have."""
        return self._life.stage == KILLING or self._has_settled(now_s)

    def report(self) -> list[dict[str, str]]:
        """Return what `portico ctl status` tells of each HAProxy, and of the agent."""
        members = [member.report() for member in (*self._members.values(), *self._leaving)]
        return members if self._agent is None else [*members, self._agent.report()]

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        if self._agent is not None:
            self._agent.close(is_forked=True)
        for member in (*self._members.values(), *self._leaving):
            member.close()

    def _has_settled(self, now_s: float) -> bool:
        """Say whether all HAProxies do as this host stands; patience begins with the first question."""
        wanted = _WANTED[self._standing.now]
        if self._waits_for != wanted:
            self._waits_for, self._wait_until_s = wanted, now_s + _PATIENCE_S
            for member in self._members.values():
                member.want(wanted, now_s)
                member.look(now_s)
        are_settled = all(member.is_settled for member in self._members.values())
        self._is_waited_for = not are_settled and now_s < self._wait_until_s
        return not self._is_waited_for

    def _take_plan(self, now_s: float) -> None:
        """Have what the current plan asks for: an agent, and members."""
        plan = self._generations.current
        settings = plan.settings
        seen = (
            *(value for name, value in settings.values.items() if name.startswith("cluster_")),
            *(listener.fd for listener in plan.listeners),
        )
        if seen == self._seen:
            return
        self._seen = seen
        if self._agent is not None and self._agent.address != settings.cluster_agent:
            self._agent.close()
            self._agent = None
        if self._agent is None and settings.cluster_agent != "off":
            self._agent = Agent(self._loop, settings.cluster_agent, self._standing, self._saturation)
        before, self._members = self._members, {}
        for entry in entries(plan):
            member = before.pop(entry.identity, None)
            if not isinstance(member, Member):
                member = Member(self._loop, entry, has_added=entry.identity in self._added_before)
            member.renew(entry, now_s)
            self._members[entry.identity] = member
        if settings.cluster_eds_file != "off":
            # Here, because few have one.
            from portico.process.cluster.eds_file import EdsFile, endpoint_of

            if (endpoint := endpoint_of(plan)) is not None:
                there = before.pop(endpoint.identity, None) or EdsFile(endpoint)
                self._members[endpoint.identity] = there
        for member in before.values():
            member.want(GONE, now_s)
            self._leaving.append(member)
