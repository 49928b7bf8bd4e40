"""What a start says once all are ready: address, application, workers x threads and why, time, pid."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan


def banner(plan: Plan, application: str, *, version: str, pid: int, startup_s: float) -> str:
    """Return the lines of the banner for the first generation of workers."""
    workers = "1 worker" if plan.worker_count == 1 else f"{plan.worker_count} workers"
    threads = "1 thread" if plan.settings.threads == 1 else f"{plan.settings.threads} threads"
    addresses = ", ".join(listener.display for listener in plan.listeners)
    return "\n".join(
        (
            f"portico {version} serves {application}",
            f"  on {addresses}",
            f"  with {workers} x {threads} ({plan.worker_reason})",
            f"  ready in {startup_s:.2f} s, pid {pid}",
        )
    )
