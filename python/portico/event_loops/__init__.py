"""Other ways than threads to have many calls of the application at a time: one file for each event loop.

Each has a class with the same three methods (`portico.types.EventLoop`). `prepare` is called in a worker
before the application is imported, so never in the supervisor; then the engine calls `run` with what it has
for the loop, and `park` for each call that waits for its client.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.settings import Settings
    from portico.types import EventLoop


def event_loop_of(settings: Settings) -> EventLoop:
    """Return the event loop that the calls of a worker with these settings are on, if not on threads."""
    # Here, because each needs what only those have who want it.
    from portico.event_loops.gevent import GeventLoop

    return GeventLoop(settings.most_calls)
