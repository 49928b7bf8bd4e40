"""Sends spans and metrics to the collector, each on a thread of its own; whoever brings them never waits.

Spans wait in a queue of a bounded length; where there is no room, the oldest are lost and counted. A batch
that is not taken is tried again, some times; then it is lost, too. Metrics are cumulative: one that is not
taken is no loss. Of a collector that is away the log is told once, and once when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_FIRST_PAUSE_S = 1.0
_MOST_TRIES = 6
"""With pauses that double: half a minute, and what the SDK has waited for in each."""


class Outage:
    """What the log is told of a collector that is away; `warn` and `inform` write there."""

    def __init__(self, place: str, warn: Callable[[str], None], inform: Callable[[str], None]) -> None:
        self._place = place
        self._warn = warn
        self._inform = inform
        self._lock = threading.Lock()
        self._takes_no: set[str] = set()
        self.reason = ""

    @property
    def is_away(self) -> bool:
        """Whether the latest of spans, or of metrics, were not taken."""
        return bool(self._takes_no)

    def failed(self, what: str) -> None:
        """Spans, or metrics, were not taken."""
        with self._lock:
            is_new = not self._takes_no
            self._takes_no.add(what)
            if is_new:
                why = f" ({self.reason})" if self.reason else ""
                self._warn(
                    f"the collector at {self._place} takes no {what}{why}; "
                    "requests are served, and it is tried again"
                )

    def succeeded(self, what: str, lost: int) -> None:
        """Spans, or metrics, were taken; `lost` spans were not by now."""
        with self._lock:
            if what in self._takes_no:
                self._takes_no.discard(what)
                if not self._takes_no:
                    self._inform(f"the collector at {self._place} takes {what} again; {lost} spans are lost")


class KeepReason(logging.Handler):
    """Keeps what the SDK says of a failure, which is told once, in portico's own words."""

    def __init__(self, outage: Outage) -> None:
        super().__init__()
        self._outage = outage

    def emit(self, record: logging.LogRecord) -> None:
        self._outage.reason = " ".join(record.getMessage().split())[:300]


class SpanDelivery:
    """The queue of spans, and the thread that sends them by `export`, which says whether they were taken.

    `make` makes a span of a message, and says how many were lost before it; it raises ValueError or KeyError.
    """

    def __init__(
        self,
        make: Callable[[bytes], tuple[ReadableSpan, int]],
        export: Callable[[Sequence[ReadableSpan]], bool],
        outage: Outage,
        *,
        queue: int,
        batch: int,
        delay_s: float,
    ) -> None:
        self._make = make
        self._export = export
        self._outage = outage
        self._most = queue
        self._batch = batch
        self._delay_s = delay_s
        self._waiting: deque[bytes] = deque()
        self._is_due = threading.Event()
        self._is_ending = threading.Event()
        # Spans of the batch that is being sent.
        self._in_hand = 0
        self.exported = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def add(self, message: bytes) -> None:
        """Have the span of `message` sent."""
        self._waiting.append(message)
        if len(self._waiting) > self._most:
            try:
                oldest = self._waiting.popleft()
            except IndexError:
                return  # they have just been taken
            self.lost += 1 + _lost_before(oldest)
        if len(self._waiting) >= self._batch:
            self._is_due.set()

    @property
    def counts(self) -> tuple[int, int]:
        """How many spans were taken, and how many lost."""
        return self.exported, self.lost

    def end(self, until_s: float) -> int:
        """Send what is there, at most until then; return how many were not."""
        self._is_ending.set()
        self._is_due.set()
        self._thread.join(max(0.0, until_s - time.monotonic()))
        return len(self._waiting) + self._in_hand

    def _run(self) -> None:
        while True:
            self._is_due.wait(self._delay_s)
            self._is_due.clear()
            while self._waiting:
                if not self._send() and self._is_ending.is_set():
                    return
            if self._is_ending.is_set():
                return

    def _send(self) -> bool:
        spans = self._next()
        self._in_hand = len(spans)
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, _MOST_TRIES + 1):
            if not spans or self._export(spans):
                self.exported += len(spans)
                self._in_hand = 0
                self._outage.succeeded("spans", self.lost)
                return True
            self._outage.failed("spans")
            if self._is_ending.is_set():
                return False
            if attempt < _MOST_TRIES:
                self._is_ending.wait(pause_s)
                pause_s *= 2
        self.lost += len(spans)
        self._in_hand = 0
        return False

    def _next(self) -> list[ReadableSpan]:
        spans: list[ReadableSpan] = []
        while self._waiting and len(spans) < self._batch:
            try:
                message = self._waiting.popleft()
                span, lost = self._make(message)
            except (IndexError, KeyError, ValueError, TypeError):
                self.lost += 1
            else:
                self.lost += lost
                spans.append(span)
        return spans


def _lost_before(message: bytes) -> int:
    """Return how many a worker has lost before `message`, which nobody makes a span of."""
    # At the end; within a text the quotes would be escaped.
    _, is_there, count = message.removesuffix(b"}").rpartition(b',"lost":')
    return int(count) if is_there and count.isdigit() else 0


class MetricDelivery:
    """The thread that calls `send` each `interval_s`, and once at the end; that says whether it was taken."""

    def __init__(self, send: Callable[[], bool], outage: Outage, *, interval_s: float) -> None:
        self._send = send
        self._outage = outage
        self._interval_s = interval_s
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def end(self, until_s: float) -> None:
        """Send once more, at most until then."""
        self._is_ending.set()
        self._thread.join(max(0.0, until_s - time.monotonic()))

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._is_ending.wait(self._interval_s)
            if self._send():
                self._outage.succeeded("metrics", 0)
            else:
                self._outage.failed("metrics")
