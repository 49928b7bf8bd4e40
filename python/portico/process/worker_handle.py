"""A worker as its supervisor sees it: pid, scoreboard slot, generation, its socket, state of life.

    BOOTING --Ready--> READY --told to stop--> LEAVING --out of patience--> KILLED
       \\----------------told to stop-------------^

It may die in any state; only in BOOTING and READY is that unexpected. Runs in the supervisor only.
"""

from __future__ import annotations

import os

from portico import _core
from portico.config.values import THREADS
from portico.process.import_watch import ImportWatch
from portico.process.loop import NEVER_S
from portico.process.messages import (
    Clear,
    Decoder,
    Drain,
    Greenlets,
    Kind,
    Message,
    Quit,
    Report,
    Taken,
    encode,
)
from portico.process.signals import STACKS_SIGNAL, signal

BOOTING = "booting"
READY = "ready"
LEAVING = "leaving"
KILLED = "killed"

# After INT a worker leaves in 0.3 s, unless a call holds its main thread: nothing but a KILL ends that.
_QUIT_PATIENCE_S = 1.0
# Beyond its own graceful timeout a worker needs a moment to leave.
_DRAIN_MARGIN_S = 1.0
# To respond to what waits for a thread, before it is killed.
_CLEARING_S = 0.2
_READ_BYTES = 65536
# For each order: what ends a worker that does not serve yet, and so reads none; what it is to do, in words.
_SIGNALS: dict[Kind, int] = {Drain: signal.SIGTERM, Quit: signal.SIGINT}
_WORDS: dict[Kind, str] = {Drain: "finish", Quit: "stop"}
# What an upgrade hands over as it is: another version takes of it what it knows.
_HANDED_OVER = (
    *("state", "forked_at_s", "ready_at_s", "left_at_s", "kill_at_s", "patience", "failure"),
    *("is_overdue", "is_spent", "is_too_large", "given_up"),
    *("pid", "slot", "generation", "message_fd"),
)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portico.config.settings import Settings
    from portico.process.calls import CallName


def _patience_s(order: Kind, settings: Settings) -> float:
    """Return how long a worker may take to leave by `order`."""
    return _QUIT_PATIENCE_S if order is Quit else settings.graceful_timeout_s + _DRAIN_MARGIN_S


class WorkerHandle:
    """One child process, with the settings that it serves by. Times are on the monotonic clock."""

    # What it is, in sentences.
    sort = "worker"

    __slots__ = (
        "_decoder",
        "_orders",
        "_patience_s",
        "_untaken",
        "failure",
        "forked_at_s",
        "generation",
        "given_up",
        "import_watch",
        "is_cleared",
        "is_overdue",
        "is_spent",
        "is_too_large",
        "kill_at_s",
        "left_at_s",
        "message_fd",
        "order",
        "patience",
        "pid",
        "ready_at_s",
        "reply",
        "settings",
        "slot",
        "state",
    )

    def __init__(
        self,
        settings: Settings,
        *,
        pid: int,
        slot: int,
        generation: int,
        message_fd: int,
        stack_fd: int,
        now_s: float,
    ) -> None:
        self.settings = settings
        self.pid = pid
        self.slot = slot
        self.generation = generation
        self.message_fd = message_fd
        self.import_watch = ImportWatch(stack_fd, now_s=now_s, limit_s=settings.boot_timeout_s)
        self.state = BOOTING
        self.forked_at_s = now_s
        self.ready_at_s = 0.0
        self.left_at_s = 0.0
        # When to stop being patient, and with what: both set when the worker is told to leave.
        self.kill_at_s: float | None = None
        self._patience_s = 0.0
        self.patience = ""
        self.failure = ""
        # Whether it leaves because of a call that has taken too long.
        self.is_overdue = False
        # Whether it serves on until it has a successor, and leaves then: it has become old, or large.
        self.is_spent = False
        # Whether it leaves at once because of its size.
        self.is_too_large = False
        # Whether it was told to respond to what waits for a thread, since it is killed next.
        self.is_cleared = False
        # What it leaves by.
        self.order: Kind | None = None
        # The calls that nobody waits for, each with when that was decided.
        self.given_up: dict[CallName, float] = {}
        # What it has told of the members of its upstreams, when it was asked last.
        self.reply: Message | None = None
        self._decoder = Decoder()
        self._orders = 0
        # The numbers of orders that it has not acknowledged.
        self._untaken: set[int] = set()

    def __str__(self) -> str:
        return f"{self.sort} {self.pid}"

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor that takes this one's place makes its handle of: `take_over`."""
        return {
            **{name: getattr(self, name) for name in _HANDED_OVER},
            "order": self.order.letter if self.order else b"",
            "settings": self.settings.values,
            "stack_fd": self.import_watch.fd,
            "orders": self._orders,
            "untaken": list(self._untaken),
            "begun": self._decoder.begun,
        }

    @classmethod
    def take_over(cls, record: dict[str, Any], settings: Settings) -> WorkerHandle:
        """Return the handle of a worker of the supervisor before, which serves by `settings`."""
        worker = cls(
            settings,
            pid=record["pid"],
            slot=record["slot"],
            generation=record["generation"],
            message_fd=record["message_fd"],
            stack_fd=record["stack_fd"],
            now_s=record["forked_at_s"],
        )
        for name in _HANDED_OVER:
            if name in record:
                setattr(worker, name, record[name])
        worker.order = next((order for order in _SIGNALS if order.letter == record.get("order")), None)
        worker._orders = record["orders"]
        worker._untaken = set(record["untaken"])
        worker._decoder = Decoder(record["begun"])
        return worker

    @property
    def fds(self) -> list[int]:
        """The descriptors that are open for it."""
        return [fd for fd in (self.message_fd, self.import_watch.fd) if fd >= 0]

    @property
    def is_active(self) -> bool:
        """Whether it serves, or is about to: it counts towards the number of workers that is wanted."""
        return self.state in (BOOTING, READY)

    @property
    def has_limits(self) -> bool:
        """Whether it is to be replaced one day, for its age or its size."""
        settings = self.settings
        return bool(
            settings.max_requests
            or settings.max_lifetime_s
            or settings.max_rss_bytes
            or settings.max_rss_hard_bytes
        )

    def read_messages(self) -> list[Message]:
        """Return what the worker has said since the last call; closes the socket at its end."""
        messages: list[Message] = []
        while self.message_fd >= 0:
            try:
                data = os.read(self.message_fd, _READ_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""  # it has ended with orders that it had not read
            if not data:
                self._close_messages()
            messages += self._decoder.feed(data)
        self._untaken -= {message.number for message in messages if message.kind is Taken}
        self.reply = next((each for each in reversed(messages) if each.kind is Report), self.reply)
        return messages

    def tell(self, order: Kind, text: str = "", fds: Sequence[int] = ()) -> None:
        """Give it an order to serve on by, which may be before it serves; `fds` are sent along."""
        self._order(order, text, fds)

    def ask(self, order: Kind) -> int:
        """Give it an order that it replies to; returns the number that its `reply` will have."""
        self._order(order)
        return self._orders

    def leave(self, order: Kind, *, now_s: float, within_s: float = NEVER_S) -> None:
        """Order it to leave, and expect it to be gone as soon as it should by that, or in `within_s`."""
        if self.state == KILLED:
            return
        self.expect_end(order, now_s=now_s, within_s=within_s)
        self._order(order)
        if not self.ready_at_s:
            self._send(_SIGNALS[order])

    def leave_after(self, within_s: float, *, now_s: float) -> None:
        """Order it to drain within `within_s`, as whole seconds; it may be more than the graceful timeout."""
        if self.state == KILLED:
            return
        self.state = LEAVING
        self.left_at_s = now_s
        self.order = Drain
        whole_s = -int(-within_s // 1)
        self._patience_s = whole_s + _DRAIN_MARGIN_S
        self.kill_at_s = now_s + self._patience_s
        self.patience = f"did not {_WORDS[Drain]} within {whole_s} s"
        self._order(Drain, str(whole_s))

    def expect_end(self, order: Kind, *, now_s: float, within_s: float = NEVER_S) -> None:
        """Note that it leaves by `order`, whoever gave that. A later one may only shorten its time."""
        if self.state == KILLED:
            return
        if self.state != LEAVING:
            self.state = LEAVING
            self.left_at_s = now_s
        if self.order is not Quit:
            self.order = order
        patience_s = min(within_s, _patience_s(order, self.settings))
        kill_at_s = now_s + patience_s
        if self.kill_at_s is None or kill_at_s < self.kill_at_s:
            self.kill_at_s = kill_at_s
            self._patience_s = patience_s
            self.patience = f"did not {_WORDS[order]} within {patience_s:g} s"

    @property
    def may_be_cleared(self) -> bool:
        """Whether there is something to be had by `clear`: it takes orders, and was not told before."""
        return not self.is_cleared and bool(self.ready_at_s) and self.has_taken_orders

    def clear(self, now_s: float) -> None:
        """Put off its end for a moment, in which it responds to what waits for a thread."""
        self.is_cleared = True
        self.kill_at_s = now_s + _CLEARING_S
        self._order(Clear)

    def end_patience(self, now_s: float, why: str) -> None:
        """Let it be killed now; `why` words that for the log."""
        self.kill_at_s = now_s
        self._patience_s = 0.0
        self.patience = why

    def resume(self, now_s: float) -> None:
        """Give it all its time again to get ready or to leave: until now it may have been stopped."""
        self.forked_at_s = now_s
        self.import_watch.resume(now_s)
        if self.kill_at_s is not None:
            self.kill_at_s = now_s + self._patience_s

    def give_up(self, why: str) -> None:
        """End it at once, as one that has failed to load the application."""
        self.failure = self.failure or why
        self.import_watch.close()
        self._send(signal.SIGKILL)

    def write_stacks(self) -> None:
        """Have it write the stacks of all its threads to the error log, and of any greenlets."""
        self._send(STACKS_SIGNAL)
        if self.settings.worker != THREADS:
            self._order(Greenlets)

    def kill(self) -> None:
        """End it at once."""
        self.state = KILLED
        self.kill_at_s = None
        self._send(signal.SIGKILL)

    def close(self) -> None:
        """Close the supervisor's ends of the worker's socket and pipe."""
        self.import_watch.close()
        self._close_messages()

    def _close_messages(self) -> None:
        if self.message_fd >= 0:
            os.close(self.message_fd)
            self.message_fd = -1

    @property
    def has_taken_orders(self) -> bool:
        """Whether it has acknowledged all that it was told."""
        return not self._untaken

    def order_about(self, order: Kind, call: CallName, sentence: str = "") -> None:
        """Have it do something about one call, which has the cell and the start that are its name."""
        cell, started_ns = call
        self._order(order, f"{cell} {started_ns} {sentence}".rstrip())

    def _order(self, order: Kind, text: str = "", fds: Sequence[int] = ()) -> None:
        self._orders += 1
        self._untaken.add(self._orders)
        if self.message_fd < 0:
            return
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            _core.send_descriptors(self.message_fd, encode(order(text, number=self._orders)), [*fds])
        except OSError:
            # It is gone, or hangs and has as much as the kernel keeps for it: its time to leave runs.
            pass

    def _send(self, signal_number: int) -> None:
        # The pid cannot belong to another process: the supervisor has not reaped this one yet.
        os.kill(self.pid, signal_number)
