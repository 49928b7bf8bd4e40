"""A template as its supervisor sees it: like a worker without a slot, which forks instead of serving.

    BOOTING --Ready--> READY --no longer needed--> LEAVING --no order out--> KILLED

A worker that becomes one is LEAVING until it says Ready. Runs in the supervisor only, with `preload`.
"""

from __future__ import annotations

import os

from portico import _core
from portico.process.messages import Decoder, Message, New, encode
from portico.process.worker_handle import BOOTING, KILLED, LEAVING, READY, WorkerHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.settings import Settings

NO_SLOT = -1
NO_GENERATION = -1
# A fork takes milliseconds, but functions of the application's may be called around it.
_FORK_PATIENCE_S = 5.0
# To close what is open, to look at what is left, and to collect garbage.
_PROMOTION_PATIENCE_S = 30.0


class TemplateHandle(WorkerHandle):
    """One template. `is_confirmed`: a worker of it has got ready."""

    __slots__ = ("_fds", "_frames", "_ordered_slot", "is_confirmed")
    sort = "template"

    def __init__(
        self, settings: Settings, *, pid: int, generation: int, message_fd: int, stack_fd: int, now_s: float
    ) -> None:
        super().__init__(
            settings,
            pid=pid,
            slot=NO_SLOT,
            generation=generation,
            message_fd=message_fd,
            stack_fd=stack_fd,
            now_s=now_s,
        )
        self.is_confirmed = False
        self._ordered_slot = NO_SLOT
        # What has come, and the descriptors that came along.
        self._frames = Decoder()
        self._fds: list[int] = []

    @classmethod
    def promoted(cls, worker: WorkerHandle, now_s: float) -> TemplateHandle:
        """The worker `worker`, which is told to be a template, as that; its descriptor is taken over."""
        template = cls(
            worker.settings,
            pid=worker.pid,
            generation=NO_GENERATION,
            message_fd=worker.message_fd,
            stack_fd=-1,
            now_s=now_s,
        )
        template.state = LEAVING
        template.kill_at_s = now_s + _PROMOTION_PATIENCE_S
        template.patience = f"did not become a template within {_PROMOTION_PATIENCE_S:g} s"
        return template

    @property
    def is_promoted(self) -> bool:
        """Whether it was a worker, and does not fork yet."""
        return self.generation == NO_GENERATION

    @property
    def is_busy(self) -> bool:
        """Whether it is loading, or has not replied to an order."""
        return self.state == BOOTING or self._ordered_slot != NO_SLOT

    def read_messages(self) -> list[Message]:
        messages: list[Message] = []
        while self.message_fd >= 0 and (received := _core.receive_descriptors(self.message_fd)):
            data, fds = received
            self._fds += fds
            messages += self._frames.feed(data)
        return messages

    def ready(self, now_s: float) -> None:
        """It has said so."""
        self.state = READY
        self.ready_at_s = now_s
        self.kill_at_s = None

    def order_worker(self, slot: int, *, multiprocess: bool, member_orders: str, now_s: float) -> None:
        """Have a worker forked, for `slot`; `member_orders` were given to the others."""
        self._ordered_slot = slot
        self.kill_at_s = now_s + _FORK_PATIENCE_S
        self.patience = f"did not fork within {_FORK_PATIENCE_S:g} s"
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            os.write(self.message_fd, encode(New(f"{slot} {int(multiprocess)} {member_orders}")))
        except (BrokenPipeError, BlockingIOError):
            pass  # it has ended, or hangs: then its patience does

    def end_order(self) -> int:
        """It has replied: return the slot that the order was for."""
        slot, self._ordered_slot = self._ordered_slot, NO_SLOT
        self.kill_at_s = None
        return slot

    def take_ends(self) -> tuple[int, int] | None:
        """Return the supervisor's ends of the ways to the worker that was born; None if they have not come.

        The kernel drops descriptors that whoever receives them may not have (unix(7)).
        """
        if len(self._fds) < 2:
            self._close_received()
            return None
        message_fd, stack_fd = self._fds[:2]
        del self._fds[:2]
        return message_fd, stack_fd

    def retire(self) -> None:
        """It is needed no longer: end it, after the order that is out."""
        if self.state == KILLED:
            return
        if self.state == BOOTING or not self.is_busy:
            self.kill()
        elif self.state == READY:
            self.state = LEAVING

    def close(self) -> None:
        super().close()
        self._close_received()

    def _close_received(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
