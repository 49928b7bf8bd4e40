"""The agent of HAProxy's agent-check: whoever connects gets a line, and nothing is asked of them.

    up 85%                        serving, by saturation
    ready up 85%                  the same, and no longer drain or maint
    drain                         the last requests come
    maint                         resting, or about to end
    down #no worker is ready

`ready` ends what the agent has said before, but also a drain that a person has asked HAProxy for. So each
HAProxy hears it for some time after a start or a rest, and then no longer. Of an agent that cannot be reached
HAProxy takes no notice (HAProxy's Configuration Manual, agent-check).
"""

from __future__ import annotations

import _socket
import os
import time

from portico import log
from portico.process.back_off import BackOff
from portico.process.cluster.places import family_of, read_place
from portico.process.cluster.standing import CLOSED, DOWN, DRAINING, GONE, RESTING, UP
from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.cluster.standing import Standing
    from portico.process.loop import Loop
    from portico.process.saturation import Saturation

_MOST_CLIENTS = 64
_MOST_WAITING = 64
# For a client to take a line, and leave.
_PATIENCE_S = 2.0
# How long each HAProxy hears `ready`, from its first question on: longer than between two of its questions.
_READY_S = 30.0
# Of that many it is known since when; who is not known hears it.
_MOST_KNOWN = 256
LINES = {
    DOWN: "down #no worker is ready",
    DRAINING: "drain",
    RESTING: "maint",
    CLOSED: "maint",
    GONE: "maint",
}


class Agent(Duty):
    """Listens at `address`, as soon as that can be had, and tells how this host stands."""

    __slots__ = (
        *("_back_off", "_clients", "_failure", "_listening", "_loop"),
        *("_ready_until_s", "_saturation", "_standing", "address"),
    )

    def __init__(self, loop: Loop, address: str, standing: Standing, saturation: Saturation) -> None:
        self._loop = loop
        self.address = address
        self._standing = standing
        self._saturation = saturation
        self._listening: _socket.socket | None = None
        self._back_off = BackOff()
        self._failure = ""
        # By descriptor: until when a client has time to leave.
        self._clients: dict[int, float] = {}
        # By the address of an HAProxy: until when it hears `ready`.
        self._ready_until_s: dict[str, float] = {}

    def look(self, now_s: float) -> None:
        if self._standing.now in (DRAINING, RESTING, CLOSED):
            self._ready_until_s.clear()
        if self._listening is None and now_s >= self._back_off.not_before_s:
            self._listen(now_s)
        for fd in [fd for fd, until_s in self._clients.items() if now_s >= until_s]:
            self._forget(fd)

    def due_s(self) -> float | None:
        dues = list(self._clients.values())
        if self._listening is None:
            dues.append(self._back_off.not_before_s)
        return min(dues, default=None)

    def close(self, *, is_forked: bool = False) -> None:
        """Let go of all; in a forked process nothing of it is the loop's."""
        if self._listening is not None:
            if not is_forked:
                self._loop.forget(self._listening.fileno())
            self._listening.close()
            self._listening = None
        for fd in list(self._clients):
            if is_forked:
                os.close(fd)
            else:
                self._forget(fd)

    def line(self, peer: str, now_s: float) -> str:
        """Return what the HAProxy at `peer` is told."""
        standing = self._standing.now
        if standing != UP:
            return LINES[standing]
        if len(self._ready_until_s) >= _MOST_KNOWN:
            self._ready_until_s.clear()
        is_new = now_s < self._ready_until_s.setdefault(peer, now_s + _READY_S)
        return f"{'ready ' if is_new else ''}up {self._saturation.weight_percent(now_s)}%"

    def report(self) -> dict[str, str]:
        """Return what `portico ctl status` tells of it: what an HAProxy hears that has heard it before."""
        state = LINES.get(self._standing.now) or f"up {self._saturation.weight_percent(time.monotonic())}%"
        return {"is": "agent", "at": self.address, "name": "", "state": state, "why": self._failure}

    def _listen(self, now_s: float) -> None:
        place = read_place(self.address)
        listening: _socket.socket | None = None
        try:
            listening = _socket.socket(family_of(place), _socket.SOCK_STREAM)
            listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            listening.bind(place)
            listening.listen(_MOST_WAITING)
        except OSError as error:
            if listening is not None:
                listening.close()
            self._back_off.failed(now_s)
            why = str(error.strerror)
            if self._failure != why:
                self._failure = why
                log.error(f"cluster: no agent for HAProxy: cannot listen on {self.address}: {why}")
            return
        listening.setblocking(False)
        self._back_off.succeeded()
        self._failure = ""
        self._listening = listening
        self._loop.watch(listening.fileno(), self._accept)
        log.info(f"cluster: the agent for HAProxy listens on {self.address}")

    def _accept(self, now_s: float) -> None:
        assert self._listening is not None, "watched only while it listens"
        while True:
            try:
                fd, peer = self._listening._accept()  # type: ignore[attr-defined]
            except OSError:
                return  # nobody, one that has left, or no descriptors: the next one asks again
            if len(self._clients) >= _MOST_CLIENTS:
                # Who has waited longest has had its line.
                self._forget(next(iter(self._clients)))
            os.set_blocking(fd, False)
            self._clients[fd] = now_s + _PATIENCE_S
            self._loop.watch(fd, lambda now_s, fd=fd: self._read(fd))  # type: ignore[misc]
            client = _socket.socket(fileno=fd)
            try:
                # So short a line always has room.
                client.send(f"{self.line(peer[0], now_s)}\n".encode())
                client.shutdown(_socket.SHUT_WR)
            except OSError:
                self._forget(fd)
            finally:
                client.detach()

    def _read(self, fd: int) -> None:
        """Read past what a client says (agent-send), until it leaves: unread, it would cost it the line."""
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b""
        if not data:
            self._forget(fd)

    def _forget(self, fd: int) -> None:
        del self._clients[fd]
        self._loop.forget(fd)
        os.close(fd)
