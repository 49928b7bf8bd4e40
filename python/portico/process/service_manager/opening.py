"""Makes what tells the service manager, out of the variables that it has set."""

from __future__ import annotations

import os

from portico import log
from portico.errors import quoted
from portico.process.service_manager.notify_socket import NotifySocket
from portico.process.service_manager.states import States

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from portico.process.loop import Duty
    from portico.process.service_manager.service import Service

# For this process alone; the next one in its place has them from the invocation. Programs that the
# application starts would take themselves for the service.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE")


def duties_of(service: Service, environment: MutableMapping[str, str]) -> list[Duty]:
    """Return the duties that tell the service manager named in `environment`, and take its variables out."""
    address, watchdog_pid, watchdog_usec, most_stored = (environment.pop(name, "") for name in VARIABLES)
    if not address.startswith(("/", "@")):
        log.warning(f"NOTIFY_SOCKET: expected a path, or @ and a name, got {quoted(address)}: nobody is told")
        return []
    socket = NotifySocket(address)
    duties: list[Duty] = [socket]
    if _number(most_stored):
        # First: what is kept is kept before the start counts as done.
        from portico.process.service_manager.descriptor_store import DescriptorStore

        duties.append(DescriptorStore(service, socket, most=_number(most_stored)))
    duties.append(States(service, socket))
    if _number(watchdog_usec) and watchdog_pid in ("", str(os.getpid())):
        from portico.process.service_manager.watchdog import Watchdog

        duties.append(Watchdog(service, socket, limit_s=_number(watchdog_usec) / 1e6))
    return duties


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
