"""Calls in flight, from the scoreboard, in words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico._core import RunningCall, WorkerStatus

_SHOWN = 5


def overdue_call(status: WorkerStatus, limit_s: float) -> RunningCall | None:
    """Return the call that has taken longest if that is more than `limit_s` seconds."""
    slowest = max(status.calls, key=lambda call: call.elapsed_s, default=None)
    return slowest if slowest is not None and slowest.elapsed_s > limit_s else None


def describe_calls(status: WorkerStatus) -> str:
    """Return the end of a sentence that names the calls in flight, the longest first, or nothing."""
    calls = sorted(status.calls, key=lambda call: -call.elapsed_s)
    if not calls:
        return ""
    shown = ", ".join(f"{call.what} ({call.elapsed_s:.1f} s)" for call in calls[:_SHOWN])
    more = f" and {len(calls) - _SHOWN} more" if len(calls) > _SHOWN else ""
    return f", in flight: {shown}{more}"
