"""The sockets of a plan and of the one before: which are new, which are given up. Runs in the supervisor."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.process.plan import Listener, Plan


def all_listeners(plans: Iterable[Plan]) -> list[Listener]:
    """Return the listeners of `plans`, each socket once."""
    found: dict[int, Listener] = {}
    for plan in plans:
        for listener in plan.listeners:
            found.setdefault(listener.fd, listener)
    return list(found.values())


def close_all_but(given_up: Plan, kept: Iterable[Plan]) -> list[Listener]:
    """Close the listeners of `given_up` that none of `kept` has, and return them."""
    fds = {listener.fd for listener in all_listeners(kept)}
    closed = [listener for listener in given_up.listeners if listener.fd not in fds]
    for listener in closed:
        listener.close()
    return closed
