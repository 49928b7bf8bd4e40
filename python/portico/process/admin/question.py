"""How the admin process asks the supervisor, and how that replies.

A reply that comes too late is passed over: it has the number of another question.
"""

from __future__ import annotations

import marshal
import os
import select
import time
from _thread import allocate_lock

from portico.admin import SilentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.admin import Samples

NUMBER_BYTES = 4
_HEAD_BYTES = 2 * NUMBER_BYTES
_READ_BYTES = 65536
# How long figures are given to whoever asks.
_KEPT_S = 1.0
# For a supervisor that has something else to do; Prometheus waits 10 s by default.
_PATIENCE_S = 2.0


def reply_to(number: int, samples: Samples) -> bytes:
    """Return what the supervisor sends to the question with that number."""
    data = marshal.dumps(samples)
    return number.to_bytes(NUMBER_BYTES, "little") + len(data).to_bytes(NUMBER_BYTES, "little") + data


class Question:
    """Asks over the socket `fd`, one thread at a time; `own` is what is known here."""

    __slots__ = ("_asked_at_s", "_buffer", "_fd", "_latest", "_lock", "_number", "_own", "_poll")

    def __init__(self, fd: int, own: Samples) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._own = own
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._lock = allocate_lock()
        self._number = 0
        self._buffer = b""
        self._latest: Samples | None = None
        self._asked_at_s = 0.0

    def ask(self) -> Samples:
        """Return the figures, no older than a second. Raises SilentError if there is no reply."""
        with self._lock:
            now_s = time.monotonic()
            if self._latest is None or now_s >= self._asked_at_s + _KEPT_S:
                self._latest = None
                self._latest = {**self._own, **self._ask(now_s + _PATIENCE_S)}
                self._asked_at_s = now_s
            return self._latest

    def _ask(self, until_s: float) -> Samples:
        self._number += 1
        try:
            os.write(self._fd, self._number.to_bytes(NUMBER_BYTES, "little"))
            while True:
                number, data = self._read_reply(until_s)
                if number == self._number:
                    samples: Samples = marshal.loads(data)
                    return samples
        except OSError as error:
            raise SilentError from error

    def _read_reply(self, until_s: float) -> tuple[int, bytes]:
        while True:
            head = self._buffer[:_HEAD_BYTES]
            end = _HEAD_BYTES + int.from_bytes(head[NUMBER_BYTES:], "little")
            if len(head) == _HEAD_BYTES and len(self._buffer) >= end:
                data, self._buffer = self._buffer[_HEAD_BYTES:end], self._buffer[end:]
                return int.from_bytes(head[:NUMBER_BYTES], "little"), data
            if not self._poll.poll(max(0.0, until_s - time.monotonic()) * 1000):
                raise SilentError
            more = os.read(self._fd, _READ_BYTES)
            if not more:
                raise SilentError
            self._buffer += more
