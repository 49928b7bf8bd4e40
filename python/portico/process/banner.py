"""What a start says once all are ready: address, application, workers and what has their calls, time, pid."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan


def banner(plan: Plan, application: str, *, workers: int, version: str, pid: int, startup_s: float) -> str:
    """Return the lines of the banner for the first generation of workers."""
    return "\n".join(
        (
            f"portico {version} serves {application}",
            on_addresses(plan),
            f"  with {counted(workers, 'worker')} x {_calls(plan)} ({plan.worker_reason}{_between(plan)})",
            f"  ready in {startup_s:.2f} s, pid {pid}",
        )
    )


def _calls(plan: Plan) -> str:
    """Return what the calls of a worker have, and how many of them."""
    worker, most = plan.settings.worker, plan.settings.most_calls
    if worker in ("asyncio", "tornado"):
        return f"a loop of {worker}"
    return counted(most, "greenlet" if worker == "gevent" else "thread")


def _between(plan: Plan) -> str:
    """Return the end of the reason where the number of workers changes with the load."""
    return f"; from {plan.fewest_workers} to {plan.most_workers} by load" if plan.is_scaled else ""


def on_addresses(plan: Plan) -> str:
    """Return the line that says where it listens."""
    return f"  on {', '.join(listener.display for listener in plan.listeners)}"


def counted(number: int, noun: str) -> str:
    """Return `1 thread`, or `2 threads`."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
