"""What `portico dev` says once it serves for the first time."""

from __future__ import annotations

from portico.process.banner import counted, on_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan

NOTIFIED = "when a file that it has read changes"
POLLING = "when a file that it has read changes, by looking (at once with portico-server[dev])"
NEVER = "never"


def banner(plan: Plan, application: str, *, reloads: str, version: str, pid: int, startup_s: float) -> str:
    """Return the lines of the banner; `reloads` is one of the texts above."""
    return "\n".join(
        (
            f"portico {version} serves {application} for development",
            on_addresses(plan),
            f"  with {counted(plan.settings.threads, 'thread')}, reloading {reloads}",
            f"  ready in {startup_s:.2f} s, pid {pid}; Ctrl-C ends it",
        )
    )
