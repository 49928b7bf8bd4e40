"""How the admin process asks the supervisor, and how that replies.

A reply that comes too late is passed over: it has the number of another question. What a question is about
stands in the highest byte of its number; behind one about a profile stands a line, as the control socket has
it (`control/json_lines.py`): the process that asks may be less trusted than the one that reads.
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
    from collections.abc import Iterator
    from typing import Any

    from portico.admin import Samples

NUMBER_BYTES = 4
FIGURES, OVERVIEW, BEGIN, OUTCOME = 0, 1, 2, 3
"""What a question is about: figures; what the dashboard shows; a profile, to begin; what that has come to."""
MOST_LINE_BYTES = 1024
_ABOUT = NUMBER_BYTES - 1
_MOST_NUMBER = (1 << 8 * _ABOUT) - 1
_HEAD_BYTES = 2 * NUMBER_BYTES
_READ_BYTES = 65536
# How long figures are given to whoever asks.
_KEPT_S = 1.0
# For a supervisor that has something else to do; Prometheus waits 10 s by default.
_PATIENCE_S = 2.0


class BadQuestionError(Exception):
    """What has come is no question."""


def read_questions(received: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Take all whole questions out of `received`: the number of each, what it is about, and its line.

    Raises BadQuestionError.
    """
    while len(received) >= NUMBER_BYTES:
        number, about = int.from_bytes(received[:NUMBER_BYTES], "little"), received[_ABOUT]
        end = NUMBER_BYTES
        if about > OUTCOME:
            raise BadQuestionError
        if about == BEGIN:
            end = received.find(b"\n", NUMBER_BYTES) + 1
            if max(end, len(received) if not end else 0) > NUMBER_BYTES + MOST_LINE_BYTES:
                raise BadQuestionError
            if not end:
                return
        line = bytes(received[NUMBER_BYTES:end])
        del received[:end]
        yield number, about, line


def reply_to(number: int, reply: Any) -> bytes:
    """Return what the supervisor sends to the question with that number."""
    data = marshal.dumps(reply)
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

    def ask(self, *, kept_s: float = _KEPT_S) -> Samples:
        """Return the figures, no older than that. Raises SilentError if there is no reply."""
        with self._lock:
            now_s = time.monotonic()
            if self._latest is None or now_s >= self._asked_at_s + kept_s:
                self._latest = None
                self._latest = {**self._own, **self._ask(FIGURES, now_s + _PATIENCE_S)}
                self._asked_at_s = now_s
            return self._latest

    def overview(self) -> dict[str, Any]:
        """Return what the dashboard shows beside figures (`overview.py`). Raises SilentError."""
        return self._report(OVERVIEW)

    def begin_profile(self, line: bytes) -> dict[str, Any]:
        """Have a profile begun; `line` is the request. Return how it stands. Raises SilentError."""
        return self._report(BEGIN, line)

    def profile(self) -> dict[str, Any]:
        """Return how the profile stands. Raises SilentError."""
        return self._report(OUTCOME)

    def _report(self, about: int, line: bytes = b"") -> dict[str, Any]:
        with self._lock:
            reply: dict[str, Any] = self._ask(about, time.monotonic() + _PATIENCE_S, line)
            return reply

    def _ask(self, about: int, until_s: float, line: bytes = b"") -> Any:
        self._number = self._number + 1 & _MOST_NUMBER
        asked = self._number | about << 8 * _ABOUT
        try:
            os.write(self._fd, asked.to_bytes(NUMBER_BYTES, "little") + line)
            while True:
                number, data = self._read_reply(until_s)
                if number == asked:
                    return marshal.loads(data)
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
