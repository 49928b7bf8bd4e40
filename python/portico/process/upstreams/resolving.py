"""The process that looks up names, as itself: each again when what the DNS has said is no longer valid.

    to the supervisor   M Members  text: place, resolver, addresses (`orders.rs`), and why some are lacking or
                                   nothing, each ended by a NUL
                        F Failed   text: place, resolver and why, likewise

It is forked, since what it imports would be in every worker's memory, and a DNS server that does not respond
would stop the supervision. It ends with the supervisor, by the end of file of its socket.
"""

from __future__ import annotations

import heapq
import os
import threading
import time

from portico.process.messages import Failed, Members, encode
from portico.process.upstreams.lookups import look_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn


# However short what is said is valid: Consul says 0 s.
_LEAST_S = 1.0
# However long: a TTL that was a mistake is none for ever (RFC 8767 4).
_MOST_S = 604_800.0
# After the first failure; after each further one twice as long, up to `resolve`.
_FIRST_RETRY_S = 1.0
_MOST_THREADS = 8


class Name:
    """One name: how it is looked up, and what has come of it. `resolve_s` is the longest until a retry."""

    __slots__ = ("failures", "known", "place", "resolve_s", "resolver", "said")

    def __init__(self, place: str, resolver: str, resolve_s: float) -> None:
        self.place = place
        self.resolver = resolver
        self.resolve_s = resolve_s
        self.failures = 0
        # Of targets of its SRV records.
        self.known: dict[str, set[str]] = {}
        # The message that the supervisor has had last.
        self.said = b""

    def look_up(self) -> tuple[bytes, float]:
        """Return the message about it, and in how many seconds to look again."""
        try:
            found = look_up(self.place, self.resolver, self.known)
        except Exception as error:
            # Whatever a server sends, the next look-up is made.
            why = " ".join(str(error).split()) or type(error).__name__
            return encode(Failed(f"{self.place}\0{self.resolver}\0{why}\0")), self._retry_s()
        lacking = " ".join(found.lacking.split())
        said = encode(Members(f"{self.place}\0{self.resolver}\0{found.addresses}\0{lacking}\0"))
        valid_s = self.resolve_s if found.valid_s is None else max(found.valid_s, _LEAST_S)
        if not found.is_whole:
            return said, min(valid_s, self._retry_s())
        self.failures = 0
        return said, min(valid_s, _MOST_S)

    def _retry_s(self) -> float:
        """Return in how many seconds to look again, after one more failure."""
        self.failures += 1
        wait_s: float = _FIRST_RETRY_S * 2 ** min(self.failures - 1, 20)
        return min(self.resolve_s, wait_s)


class Names:
    """All of them, by when they are due; several threads look up, so that none waits for another's server."""

    def __init__(self, fd: int, names: Iterable[Name]) -> None:
        self._fd = fd
        self._due = [(0.0, number, name) for number, name in enumerate(names)]
        self._condition = threading.Condition()

    def start(self) -> None:
        for _ in range(min(len(self._due), _MOST_THREADS)):
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            number, name = self._take()
            message, wait_s = name.look_up()
            with self._condition:
                if message != name.said:
                    name.said = message
                    _send(self._fd, message)
                heapq.heappush(self._due, (time.monotonic() + wait_s, number, name))
                self._condition.notify()

    def _take(self) -> tuple[int, Name]:
        with self._condition:
            while True:
                now_s = time.monotonic()
                if self._due and self._due[0][0] <= now_s:
                    _, number, name = heapq.heappop(self._due)
                    # For the one after it.
                    self._condition.notify()
                    return number, name
                self._condition.wait(self._due[0][0] - now_s if self._due else None)


def resolve(fd: int, names: Iterable[Name]) -> NoReturn:
    """Look up `names` for the supervisor at the other end of `fd`; ends the process with that."""
    Names(fd, names).start()
    # Nothing ever comes but the end.
    os.read(fd, 1)
    os._exit(0)


def _send(fd: int, message: bytes) -> None:
    while message:
        try:
            message = message[os.write(fd, message) :]
        except OSError:
            # The supervisor is gone, and so is this process in a moment.
            return
