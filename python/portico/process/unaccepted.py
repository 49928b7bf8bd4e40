"""Connections that nobody has accepted yet. Runs in the supervisor."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.process.plan import Listener


def count_unaccepted(listeners: Iterable[Listener]) -> int:
    """Return on how many sockets a connection waits to be accepted."""
    poll = select.poll()
    for listener in listeners:
        poll.register(listener.fd, select.POLLIN)
    return len(poll.poll(0))
