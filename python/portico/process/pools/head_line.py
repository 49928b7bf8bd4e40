"""The line of a pool's supervisor to the one that keeps all pools: takes its orders, tells it how things are.

Runs in the supervisor of a pool, in its loop; imported where there is such a line.
"""

from __future__ import annotations

import os
import select
import time

from portico import log
from portico.process.loop import Duty
from portico.process.pools.line import AT_THE_END, METRICS, OVERVIEW, LineReader, line_of
from portico.process.worker_handle import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.admin.families import Family
    from portico.process.control.subject import Subject
    from portico.process.loop import Loop

_MOST_BYTES = 65536
# For the other to take what this one has to say before it is another, or none.
_PATIENCE_S = 1.0


class HeadLine(Duty):
    """The line behind `fd`; `subject` is what orders are for. `is_asleep`: nobody has asked for a while.

    `metrics_directory` returns where prometheus_client writes to, empty if it does not.
    """

    __slots__ = (
        "_control",
        "_fd",
        "_has_ended",
        "_is_asleep",
        "_loop",
        "_metrics_directory",
        "_reader",
        "_sent_state",
        "_subject",
        "_taken",
        "_unsent",
    )

    def __init__(
        self,
        loop: Loop,
        fd: int,
        subject: Subject,
        *,
        is_asleep: Callable[[], bool],
        metrics_directory: Callable[[], str],
    ) -> None:
        self._loop = loop
        self._metrics_directory = metrics_directory
        self._fd = fd
        self._subject = subject
        self._reader = LineReader()
        self._taken = 0
        self._sent_state = b""
        self._control = b""
        self._unsent = b""
        self._has_ended = False
        self._is_asleep = is_asleep
        os.set_blocking(fd, False)
        loop.watch(fd, self._take_turn)

    def look(self, now_s: float) -> None:
        """Tell what has changed."""
        if self._has_ended:
            return
        control = self._subject.generations.current.control
        where = line_of("control", control[0].address.path if control else "")
        if where != self._control:
            self._control = where
            self._unsent += where
        state = self._state(now_s)
        if state != self._sent_state:
            self._sent_state = state
            self._unsent += state
        if self._unsent:
            self._send()

    def close(self) -> None:
        """In a worker: let go of the supervisor's end."""
        os.close(self._fd)

    def _state(self, now_s: float) -> bytes:
        subject = self._subject
        number = subject.generations.number
        workers = subject.worker_set.workers.values()
        ready = [worker for worker in workers if worker.is_active and worker.state == READY]
        is_rolling = any(worker.is_active and worker.generation != number for worker in workers)
        is_busy = subject.life.readings.done < subject.life.readings.asked or is_rolling
        is_failing = subject.back_off.not_before_s > now_s and len(ready) < subject.life.wanted
        has_failed = bool(subject.life.readings.failure) or subject.generations.failed == number
        flags = map(int, (is_busy, is_failing, has_failed, self._is_asleep()))
        return line_of("state", len(ready), subject.life.wanted, self._taken, *flags)

    def say_last_words(self, now_s: float) -> None:
        """Tell all that was counted, and wait a moment for it to be taken: this process ends."""
        if self._is_counting and not self._has_ended:
            self._unsent += self._metrics(str(AT_THE_END), now_s)
        self.flush()

    def flush(self) -> None:
        """Send all that there is to say, as far as that is taken within a moment."""
        until_s = time.monotonic() + _PATIENCE_S
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        self._send()
        while self._unsent and time.monotonic() < until_s and poll.poll(_PATIENCE_S * 1000):
            self._send()

    @property
    def _is_counting(self) -> bool:
        return self._subject.generations.current.has_metrics

    def _metrics(self, question: str, now_s: float) -> bytes:
        """Return what there is to tell of this pool's metrics."""
        # Here, because nobody may ask, and each worker would have it.
        from portico.process.pools.metric_lines import lines_of

        samples = self._subject.figures().now(now_s)
        families: list[Family] = []
        if self._subject.scoreboard.metrics():
            # Here, because few applications count anything themselves.
            from portico.admin.of_application import ApplicationMetrics

            families, own = ApplicationMetrics(self._subject.scoreboard).now()
            samples = {**own, **samples}
        return lines_of(int(question), samples, families, self._metrics_directory())

    def _overview(self, question: str, now_s: float) -> bytes:
        """Return what a dashboard shows of this pool."""
        from portico.process.admin.overview import reports
        from portico.process.control.json_lines import write_line

        text = write_line(reports(self._subject, now_s)).decode("ascii").rstrip("\n")
        return line_of(OVERVIEW, question, text)

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._fd, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # nobody is there: the end of file says so
        if not self._has_ended:
            when = select.POLLIN | select.POLLOUT if self._unsent else select.POLLIN
            self._loop.watch(self._fd, self._take_turn, when=when)

    def _take_turn(self, now_s: float) -> None:
        if self._unsent:
            self._send()
        self._read(now_s)

    def _read(self, now_s: float) -> None:
        try:
            data = os.read(self._fd, _MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(now_s)
            return
        for words in self._reader.feed(data):
            self._take(words, now_s)

    def _take(self, words: list[str], now_s: float) -> None:
        subject = self._subject
        number, order, *rest = words
        self._taken = int(number)
        if order == "reload":
            subject.reload()
        elif order == "upgrade":
            subject.upgrade()
        elif order == "reopen-logs":
            subject.reopen_logs()
        elif order == "log-level":
            subject.set_log_level(rest[0])
        elif order == "stop":
            subject.stop(False, now_s)
        elif order == METRICS:
            self._unsent += self._metrics(rest[0], now_s)
            self._send()
        elif order == OVERVIEW:
            self._unsent += self._overview(rest[0], now_s)
            self._send()

    def _end(self, now_s: float) -> None:
        """The supervisor of all pools has gone: serve nobody any more."""
        self._has_ended = True
        self._loop.forget(self._fd)
        log.error("the server of all pools has gone: this one stops")
        self._subject.stop(False, time.monotonic())
