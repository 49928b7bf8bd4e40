"""Listening sockets that the service manager keeps through a restart (FDSTORE=1, FileDescriptorStoreMax=).

Between the end of this process and the next start connections wait in them; the next start finds them among
what it is passed (`stored_sockets.py`). Not kept: sockets that somebody has passed on, who has them anyway,
and those at a port that was free.
"""

from __future__ import annotations

from portico import log
from portico.process.loop import Duty
from portico.process.service_manager.stored_name import stored_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Listener
    from portico.process.service_manager.notify_socket import NotifySocket
    from portico.process.service_manager.service import Service


class DescriptorStore(Duty):
    """Gives away what listens, and takes back what no longer does; `most` is how many may be kept."""

    __slots__ = ("_most", "_names", "_seen", "_service", "_socket")

    def __init__(self, service: Service, socket: NotifySocket, *, most: int) -> None:
        self._service = service
        self._socket = socket
        self._most = most
        self._seen: list[Listener] = []
        self._names: set[str] = set()

    def look(self, now_s: float) -> None:
        if self._service.is_stopping:
            return  # what is closed now is to be kept
        listeners = self._service.generations.listeners
        if listeners == self._seen:
            return
        self._seen = listeners
        stored = {stored_name(each): each for each in listeners if _is_own(each)}
        if len(stored) > self._most:
            log.warning(
                f"the service manager keeps {self._most} sockets through a restart, and there are "
                f"{len(stored)}: raise FileDescriptorStoreMax="
            )
        # First, to make room.
        for name in sorted(self._names - stored.keys()):
            self._socket.send("FDSTOREREMOVE=1", f"FDNAME={name}")
        kept = dict(list(stored.items())[: self._most])
        for name, listener in kept.items():
            listener.is_stored = True
            if name not in self._names:
                self._socket.send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", fds=(listener.fd,))
        self._names = set(kept)


def _is_own(listener: Listener) -> bool:
    address = listener.address
    is_any_port = not address.path and listener.asked.endswith(":0")
    return not address.is_inherited and not is_any_port
