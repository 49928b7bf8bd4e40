"""Calls in flight, from the scoreboard, in words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import TypeAlias

    from portico._core import RunningCall, WorkerStatus

    # Its cell of the scoreboard and its start: no other call of the worker has both.
    CallName: TypeAlias = tuple[int, int]

_SHOWN = 5
# A wait for the interpreter that is shorter may have been for another call's turn.
_WORTH_A_WORD_S = 0.5


# Clocks of two kinds, read at two moments.
_SAME_S = 0.1


def name_of(call: RunningCall) -> CallName:
    """Return what tells a call from all others of its worker."""
    return (call.cell, call.started_ns)


def is_stuck(status: WorkerStatus, limit_s: float) -> bool:
    """Say whether a thread with a request has waited for the interpreter for more than `limit_s` seconds."""
    return status.waiting_s > limit_s


def have_waiting(status: WorkerStatus, given_up: Container[CallName]) -> bool:
    """Say whether requests may wait for a thread: those in flight are more than the calls with a client."""
    return status.active_requests > sum(name_of(call) not in given_up for call in status.calls)


def describe_call(call: RunningCall) -> str:
    """Return a sentence on how long a call has taken."""
    if call.elapsed_s - call.silent_s < _SAME_S:
        return f"{call.what} has been in the application for {call.elapsed_s:.1f} s"
    return f"{call.what} has kept its client waiting for {call.silent_s:.1f} s"


def describe_calls(status: WorkerStatus) -> str:
    """Return the end of a sentence that names the calls in flight, the longest first, or nothing."""
    waiting = ""
    if status.waiting_s > _WORTH_A_WORD_S:
        waiting = f", waiting for the interpreter for {status.waiting_s:.1f} s"
    calls = sorted(status.calls, key=lambda call: -call.elapsed_s)
    if not calls:
        return waiting
    shown = ", ".join(f"{call.what} ({call.elapsed_s:.1f} s)" for call in calls[:_SHOWN])
    more = f" and {len(calls) - _SHOWN} more" if len(calls) > _SHOWN else ""
    return f"{waiting}, in flight: {shown}{more}"
