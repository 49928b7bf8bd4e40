"""Calls that take too long: a ladder of measures, each only for a call that the one before has not ended.

    silent for   slow_after, twice that, four times that   its stack is logged
                 timeout                                   RequestTimeout is raised in it
                 timeout and timeout_grace                 its client gets a 504, its worker is replaced
                                                           (on an event loop, if that does not turn)

The first two may be others for its path (`limits.py`). Silent is a call that keeps its client waiting; the
scoreboard says for how long, but what passed before this process was stopped, and perhaps all with it, does
not count. A call may have a longer time than `timeout` by its own word. A worker that is replaced goes when
its other calls have ended, each within its own time.
"""

from __future__ import annotations

from portico import log
from portico.config.values import THREADS
from portico.process.calls import describe_call, describe_calls, have_waiting, is_stuck, name_of
from portico.process.kernel_word import describe_thread
from portico.process.limits import shortest_s, slow_after_s, timeout_s
from portico.process.loop import NEVER_S, Duty
from portico.process.messages import Clear, Drain, Interrupt, Respond, Stack
from portico.process.worker_handle import LEAVING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.process.calls import CallName
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# Within what a worker ends whose interpreter does not come free: no call can go on there.
STUCK_PATIENCE_S = 1.0
# The same for one that is replaced anyway: so long may another call compute without giving the interpreter
# back, or a connection be kept that brings a request.
PATIENCE_S = 3.0
# As long as it may take to write the stacks, and those of greenlets, which take an interpreter
# (`crates/engine/src/stacks.rs`).
STACKS_PATIENCE_S = 0.5
GREENLETS_PATIENCE_S = 2.0
# Between two looks at a worker with a call that has had its time.
SPARING_TICK_S = 0.1
_LONGEST_TICK_S = 1.0
_SHORTEST_TICK_S = 0.05
# A stack is logged at these multiples of `slow_after`, and no more.
_SLOW_MULTIPLES = (1, 2, 4)
# Of the calls that are late at one time, as they all are where a loop stands still, so many are named.
_MOST_SAID = 8
# What the other calls of a worker get that is replaced, where one of them has no limit.
_LONGEST_S = 86400.0


class _Climb:
    """How far a call has come."""

    __slots__ = ("interrupted_at_s", "stacks")

    def __init__(self) -> None:
        self.stacks = 0
        # None unless RequestTimeout was raised in it since it last sent something.
        self.interrupted_at_s: float | None = None


class OverdueCalls(Duty):
    """Takes these measures when they are due."""

    __slots__ = ("_climbs", "_next_s", "_scoreboard", "_tell", "_worker_set")

    def __init__(
        self,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        tell: Callable[[WorkerHandle, _core.RunningCall], None],
    ) -> None:
        """`tell` is called with each call in which RequestTimeout is raised."""
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._tell = tell
        self._next_s = 0.0
        # By the worker's pid.
        self._climbs: dict[int, dict[CallName, _Climb]] = {}

    def look(self, now_s: float) -> None:
        judged = self._judged()
        if now_s >= self._next_s and judged:
            # Those of workers and calls that are no more are forgotten.
            before, self._climbs = self._climbs, {}
            self._next_s = now_s + min(
                [self._judge(worker, before.get(worker.pid, {}), now_s) for worker in judged]
            )

    def due_s(self) -> float | None:
        return self._next_s if self._judged() else None

    def _judged(self) -> list[WorkerHandle]:
        ready = self._worker_set.in_state(READY)
        serving = [each for each in ready if shortest_s(each.settings) < NEVER_S]
        return serving + _replaced(self._worker_set)

    def _judge(self, worker: WorkerHandle, before: dict[CallName, _Climb], now_s: float) -> float:
        """Return in how many seconds something may be due for the worker at the soonest."""
        status = self._scoreboard.read(worker.slot)
        limit_s = _stuck_after_s(worker, status)
        # The call that holds a loop began a moment after that has turned: its own rungs come first.
        grace_s = 0.0 if worker.settings.worker == THREADS else worker.settings.timeout_grace_s
        # Whoever was stopped with this process has its time again.
        awake_s = now_s - self._worker_set.resumed_at_s
        climbs = {name_of(call): before.get(name_of(call)) or _Climb() for call in status.calls}
        self._climbs[worker.pid] = climbs
        next_s = shortest_s(worker.settings)
        tick_s = min(_LONGEST_TICK_S, max(_SHORTEST_TICK_S, next_s / 4))
        if status.calls:
            # That this process was stopped shows only by a look that comes late.
            next_s = max(tick_s, next_s / 4)
        if limit_s:
            next_s = min(next_s, max(tick_s, limit_s + grace_s - status.waiting_s))
        overdue: list[_core.RunningCall] = []
        for call in status.calls:
            if name_of(call) in worker.given_up:
                continue
            climb = climbs[name_of(call)]
            silent_s = min(call.silent_s, awake_s)
            _log_stack(worker, call, climb, silent_s)
            if self._is_over(worker, call, climb, silent_s, now_s):
                overdue.append(call)
            # A call that waits for its client is not overdue when its time would be over.
            next_s = min(next_s, max(tick_s, _next_rung_s(worker, call, climb, silent_s)))
            if climb.interrupted_at_s is not None:
                next_s = min(next_s, SPARING_TICK_S)
        if overdue:
            _give_up(worker, overdue, status, now_s)
        elif (
            worker.state == READY
            and 0 < limit_s < awake_s
            and is_stuck(status, limit_s + grace_s)
            and not _is_grace(climbs)
        ):
            _replace_stuck(worker, status, limit_s, now_s)
        return next_s

    def _is_over(
        self,
        worker: WorkerHandle,
        call: _core.RunningCall,
        climb: _Climb,
        silent_s: float,
        now_s: float,
    ) -> bool:
        """Interrupt the call if its time is over; say whether that has not helped."""
        if silent_s <= _allowed_s(worker, call):
            # It has sent something since, or asked for more time.
            climb.interrupted_at_s = None
            return False
        if climb.interrupted_at_s is None:
            climb.interrupted_at_s = now_s
            log.error(
                f"{worker}: {describe_call(call)}, longer than {_limit(worker, call)}; "
                "raising RequestTimeout in it"
            )
            worker.order_about(Interrupt, name_of(call))
            self._tell(worker, call)
        return now_s - climb.interrupted_at_s >= worker.settings.timeout_grace_s


class OverdueWorkers(Duty):
    """Lets a worker that leaves, for whatever reason, end as soon as it has nothing but such calls."""

    __slots__ = ("_next_s", "_scoreboard", "_worker_set")

    def __init__(self, worker_set: WorkerSet, scoreboard: _core.Scoreboard) -> None:
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._next_s = 0.0

    def look(self, now_s: float) -> None:
        self._next_s = now_s + SPARING_TICK_S
        for worker in self._leaving():
            status = self._scoreboard.read(worker.slot)
            has_others = any(name_of(call) not in worker.given_up for call in status.calls)
            if not has_others and _may_clear(worker, status):
                # No thread will come free for those that wait: they need not wait for the end to hear that.
                worker.tell(Clear)
            patience_s = STACKS_PATIENCE_S if worker.settings.worker == THREADS else GREENLETS_PATIENCE_S
            if now_s < worker.left_at_s + patience_s:
                continue
            if status.calls and not has_others and _are_gone(status, worker, now_s):
                worker.end_patience(now_s, "has finished all other calls")
            elif (
                worker.is_overdue
                and now_s > self._worker_set.resumed_at_s + PATIENCE_S
                and is_stuck(status, PATIENCE_S)
            ):
                worker.end_patience(now_s, "has an interpreter that does not come free")

    def due_s(self) -> float | None:
        return self._next_s if self._leaving() else None

    def _leaving(self) -> list[WorkerHandle]:
        return [
            worker
            for worker in self._worker_set.in_state(LEAVING)
            if worker.given_up and not worker.is_cleared
        ]


def _replaced(worker_set: WorkerSet) -> list[WorkerHandle]:
    return [worker for worker in worker_set.in_state(LEAVING) if worker.is_overdue]


def _may_clear(worker: WorkerHandle, status: _core.WorkerStatus) -> bool:
    """Say whether requests wait for threads which all have calls that nobody waits for."""
    settings = worker.settings
    has_no_thread = settings.worker == THREADS and len(status.calls) >= settings.threads
    return has_no_thread and worker.has_taken_orders and have_waiting(status, worker.given_up)


def _are_gone(status: _core.WorkerStatus, worker: WorkerHandle, now_s: float) -> bool:
    """Say whether no connection is left, or only such as bring nothing for a while."""
    return not status.connections or now_s > max(worker.given_up.values()) + PATIENCE_S


def _allowed_s(worker: WorkerHandle, call: _core.RunningCall) -> float:
    return max(timeout_s(worker.settings, call), call.allowed_s)


def _next_rung_s(worker: WorkerHandle, call: _core.RunningCall, climb: _Climb, silent_s: float) -> float:
    """Return in how many seconds the call gets to the next rung, if it goes on like that."""
    return min(_slow_s(worker, call, climb), _allowed_s(worker, call)) - silent_s


def _slow_s(worker: WorkerHandle, call: _core.RunningCall, climb: _Climb) -> float:
    if climb.stacks == len(_SLOW_MULTIPLES):
        return NEVER_S
    return slow_after_s(worker.settings, call) * _SLOW_MULTIPLES[climb.stacks]


def _log_stack(worker: WorkerHandle, call: _core.RunningCall, climb: _Climb, silent_s: float) -> None:
    if silent_s < _slow_s(worker, call, climb):
        return
    while silent_s >= _slow_s(worker, call, climb):
        climb.stacks += 1
    worker.order_about(Stack, name_of(call), f"{describe_call(call)}; it stands at")


def _limit(worker: WorkerHandle, call: _core.RunningCall) -> str:
    limit_s = timeout_s(worker.settings, call)
    if call.allowed_s > limit_s:
        return f"the {call.allowed_s:.1f} s that it has asked for"
    return f"the timeout of {limit_s:g} s"


def _is_grace(climbs: dict[CallName, _Climb]) -> bool:
    return any(climb.interrupted_at_s is not None for climb in climbs.values())


def _stuck_after_s(worker: WorkerHandle, status: _core.WorkerStatus) -> float:
    """Return for how long nothing may go on in a worker; 0 if that has no limit.

    One of the calls on an event loop may hold it for as long as it has. If another holds it meanwhile, those
    that wait are late before that, each by its own time.
    """
    limit_s = worker.settings.timeout_s
    if not limit_s or worker.settings.worker == THREADS:
        return limit_s
    return max([limit_s, *(_allowed_s(worker, call) for call in status.calls)])


def _replace_stuck(worker: WorkerHandle, status: _core.WorkerStatus, limit_s: float, now_s: float) -> None:
    log.error(
        f"{worker}: {_who_waits(worker)} {status.waiting_s:.1f} s, longer than the timeout of "
        f"{limit_s:g} s; replacing the worker{describe_calls(status)}"
    )
    worker.is_overdue = True
    worker.write_stacks()
    worker.leave(Drain, now_s=now_s, within_s=STUCK_PATIENCE_S)


def _who_waits(worker: WorkerHandle) -> str:
    if worker.settings.worker == THREADS:
        return "a thread has waited for the interpreter for"
    return "the event loop has not turned for"


def _give_up(
    worker: WorkerHandle, overdue: list[_core.RunningCall], status: _core.WorkerStatus, now_s: float
) -> None:
    """Respond in the place of these calls, and replace their worker unless that was begun already.

    Or unless they hold up nobody, as greenlets may that wait for something that never comes.
    """
    grace_s = worker.settings.timeout_grace_s
    # On an event loop one call holds up others only while the loop does not turn, since RequestTimeout.
    is_alone = worker.settings.worker != THREADS and not is_stuck(status, grace_s / 2)
    if is_alone:
        then = "the others go on beside it"
    else:
        then = "replacing the worker" if worker.state == READY else "the worker is being replaced"
    for call in overdue:
        worker.given_up[name_of(call)] = now_s
        worker.order_about(Respond, name_of(call))
    if more := len(overdue[_MOST_SAID:]):
        log.error(
            f"{worker}: {more} more calls have not ended within {grace_s:g} s of RequestTimeout; {then}"
        )
    for call in overdue[:_MOST_SAID]:
        log.error(
            f"{worker}: {describe_call(call)} and has not ended within {grace_s:g} s of RequestTimeout; "
            f"{then}{describe_thread(worker.pid, call.thread_id)}{describe_calls(status)}"
        )
    if worker.state == READY and not is_alone:
        worker.is_overdue = True
        worker.write_stacks()
        others = [call for call in status.calls if call not in overdue]
        within_s = max([_allowed_s(worker, call) for call in others], default=worker.settings.timeout_s)
        worker.leave_after(min(within_s, _LONGEST_S) + grace_s, now_s=now_s)
