"""Calls in flight, from the scoreboard, in words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico._core import RunningCall, WorkerStatus

_SHOWN = 5
# A wait for the interpreter that is shorter may have been for another call's turn.
_WORTH_A_WORD_S = 0.5


# Clocks of two kinds, read at two moments.
_SAME_S = 0.1


def overdue_calls(status: WorkerStatus, limit_s: float) -> list[RunningCall]:
    """Return the calls that have kept their clients waiting for more than `limit_s` seconds."""
    return [call for call in status.calls if call.silent_s > limit_s]


def is_stuck(status: WorkerStatus, limit_s: float) -> bool:
    """Say whether a thread with a request has waited for the interpreter for more than `limit_s` seconds."""
    return status.waiting_s > limit_s


def describe_overdue(status: WorkerStatus, limit_s: float) -> str:
    """Return what has taken longer than `limit_s` seconds, the longest of it, or nothing."""
    longest = max(overdue_calls(status, limit_s), key=lambda call: call.silent_s, default=None)
    if longest is None:
        if not is_stuck(status, limit_s):
            return ""
        return f"a thread has waited for the interpreter for {status.waiting_s:.1f} s"
    if longest.elapsed_s - longest.silent_s < _SAME_S:
        return f"{longest.what} has been in the application for {longest.elapsed_s:.1f} s"
    return f"{longest.what} has kept its client waiting for {longest.silent_s:.1f} s"


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
