"""The sockets of several plans, each once: what stays has the same number in all. Runs in the supervisor."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.process.plan import Listener


def each_once(listeners: Iterable[Listener]) -> list[Listener]:
    """Return `listeners`, each socket once: as the first of them has it."""
    found: dict[int, Listener] = {}
    for listener in listeners:
        found.setdefault(listener.fd, listener)
    return list(found.values())


def close_all_but(given_up: Iterable[Listener], kept: Iterable[Listener]) -> list[Listener]:
    """Close those `given_up` that are not `kept`, and return them."""
    fds = {listener.fd for listener in kept}
    closed = [listener for listener in given_up if listener.fd not in fds]
    for listener in closed:
        listener.close()
    return closed
