"""A worker as its supervisor sees it: pid, scoreboard slot, generation, message pipe, state of life.

    BOOTING --Ready--> READY --told to stop--> LEAVING --out of patience--> KILLED
       \\----------------told to stop-------------^

It may die in any state; only in BOOTING and READY is that unexpected. Runs in the supervisor only.
"""

from __future__ import annotations

import os

from portico.process.messages import Decoder, Failed, Ready
from portico.process.signals import signal

BOOTING = "booting"
READY = "ready"
LEAVING = "leaving"
KILLED = "killed"

_READ_BYTES = 65536


class WorkerHandle:
    """One child process. Times are on the monotonic clock."""

    __slots__ = (
        "_decoder",
        "failure",
        "forked_at_s",
        "generation",
        "kill_at_s",
        "message_fd",
        "patience",
        "pid",
        "ready_at_s",
        "slot",
        "state",
    )

    def __init__(self, *, pid: int, slot: int, generation: int, message_fd: int, now_s: float) -> None:
        self.pid = pid
        self.slot = slot
        self.generation = generation
        self.message_fd = message_fd
        self.state = BOOTING
        self.forked_at_s = now_s
        self.ready_at_s = 0.0
        # When to stop being patient, and with what: both set when the worker is told to leave.
        self.kill_at_s: float | None = None
        self.patience = ""
        self.failure = ""
        self._decoder = Decoder()

    @property
    def is_active(self) -> bool:
        """Whether it serves, or is about to: it counts towards the number of workers that is wanted."""
        return self.state in (BOOTING, READY)

    def read_messages(self) -> list[Ready | Failed]:
        """Return what the worker has said since the last call; closes the pipe at its end."""
        messages: list[Ready | Failed] = []
        while self.message_fd >= 0:
            try:
                data = os.read(self.message_fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self.close()
            messages += self._decoder.feed(data)
        return messages

    def leave(self, signal_number: int, *, kill_at_s: float, patience: str) -> None:
        """Send `signal_number` and expect it to be gone by `kill_at_s`; `patience` words that for the log.

        Telling it again may only shorten its time.
        """
        if self.state == KILLED:
            return
        self.state = LEAVING
        if self.kill_at_s is None or kill_at_s < self.kill_at_s:
            self.kill_at_s = kill_at_s
            self.patience = patience
        self._send(signal_number)

    def kill(self) -> None:
        """End it at once."""
        self.state = KILLED
        self.kill_at_s = None
        self._send(signal.SIGKILL)

    def close(self) -> None:
        """Close the supervisor's end of the message pipe."""
        if self.message_fd >= 0:
            os.close(self.message_fd)
            self.message_fd = -1

    def _send(self, signal_number: int) -> None:
        # The pid cannot belong to another process: the supervisor has not reaped this one yet.
        os.kill(self.pid, signal_number)
