"""The templates that workers are forked from, with `preload`: one for the workers that are made now.

    missing --fork--> loading --Ready--> free --order--> forking --Born, Failed--> free

A generation has its own, and the one before stays until a worker of the new one has got ready: so if none
does, what was loaded before is still there, whatever has become of the files. Runs in the supervisor, and
runs nothing of the application.
"""

from __future__ import annotations

import os

from portico import _core, log
from portico.process.loop import Duty
from portico.process.messages import Born, Failed, Promote, Ready, encode
from portico.process.ways import Ways
from portico.process.worker_handle import BOOTING, KILLED, LEAVING, WorkerHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.generations import Generations
    from portico.process.loop import Loop
    from portico.process.template_handle import TemplateHandle


# Between the end of its connection and that of a template.
_END_PATIENCE_S = 1.0


class Templates(Duty):
    """All templates that exist.

    `add_worker` is called with a worker that was born, `cannot_fork` with why none was, `renew` with a worker
    that has become a template: what is made from now on is of another generation, whose number it returns.
    """

    __slots__ = ("_add_worker", "_all", "_cannot_fork", "_generations", "_loop", "_renew")

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        *,
        add_worker: Callable[[WorkerHandle, float], None],
        cannot_fork: Callable[[str, float], None],
        renew: Callable[[WorkerHandle], int],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._add_worker = add_worker
        self._cannot_fork = cannot_fork
        self._renew = renew
        self._all: dict[int, TemplateHandle] = {}

    # -- what there is

    @property
    def exist(self) -> bool:
        return bool(self._all)

    @property
    def all(self) -> list[WorkerHandle]:
        return list(self._all.values())

    @property
    def booting(self) -> list[WorkerHandle]:
        """Those that load the application."""
        return [template for template in self._all.values() if template.state == BOOTING]

    @property
    def current(self) -> TemplateHandle | None:
        """The one that workers are forked from now, or will be."""
        number = self._generations.number
        found = (each for each in self._all.values() if each.generation == number and each.is_active)
        return next(found, None)

    @property
    def is_missing(self) -> bool:
        """Whether one should be made."""
        return self._generations.current.settings.preload and self.current is None

    @property
    def is_busy(self) -> bool:
        """Whether the current one loads, or forks: until it has, nobody else is forked."""
        template = self.current
        return template is not None and template.is_busy

    # -- what is wanted

    def fork(self, now_s: float) -> list[int] | None:
        """Fork a template; returns, in it, its ends of the ways to the supervisor. Raises OSError."""
        # Here, because few servers preload, and each worker would have it.
        from portico.process.template_handle import TemplateHandle

        _core.adopt_orphans()
        ways = Ways(_core.socket_pair, os.pipe)
        pid = ways.fork()
        if pid == 0:
            return ways.ends
        message_fd, stack_fd = ways.ends
        self._add(
            TemplateHandle(
                self._generations.current.settings,
                pid=pid,
                generation=self._generations.number,
                message_fd=message_fd,
                stack_fd=stack_fd,
                now_s=now_s,
            )
        )
        log.debug(f"template {pid} started")
        return None

    def order_worker(self, slot: int, *, multiprocess: bool, member_orders: str, now_s: float) -> None:
        """Have the current template fork a worker for `slot`; `member_orders` were given to the others."""
        template = self.current
        if template is not None:
            template.order_worker(slot, multiprocess=multiprocess, member_orders=member_orders, now_s=now_s)

    def promote(self, worker: WorkerHandle, now_s: float) -> None:
        """Let `worker`, which has ended its engine, be a template."""
        from portico.process.template_handle import TemplateHandle

        self._loop.forget(worker.message_fd)
        self._add(TemplateHandle.promoted(worker, now_s))
        listeners = [listener.fd for listener in self._generations.current.listeners]
        try:
            _core.send_descriptors(worker.message_fd, encode(Promote()), listeners)
        except OSError as error:
            log.debug(f"{worker} cannot be told to be a template: {error.strerror}")

    def confirm(self) -> None:
        """A worker of the current generation is ready: what was before is needed no longer."""
        current = self.current
        if current is not None:
            current.is_confirmed = True
        for template in self._all.values():
            if template is not current and not template.is_promoted:
                template.retire()

    def give_up(self) -> None:
        """Another plan is taken: those of a generation that has not got ready are needed no longer."""
        for template in self._all.values():
            if not template.is_confirmed:
                template.retire()

    def go_back(self) -> None:
        """The current generation cannot be: what was before is the current one again."""
        self.give_up()
        for template in self._all.values():
            if template.is_active:
                template.generation = self._generations.number

    def end(self) -> None:
        """No more workers are made."""
        for template in self._all.values():
            template.retire()

    def close(self) -> None:
        """In a worker or template: let go of what is the supervisor's."""
        for template in self._all.values():
            template.close()

    # -- what happens

    def look(self, now_s: float) -> None:
        for template in self._all.values():
            if template.kill_at_s is not None and now_s >= template.kill_at_s:
                log.error(f"{template} {template.patience}: killed")
                template.kill()

    def due_s(self) -> float | None:
        due = [each.kill_at_s for each in self._all.values() if each.kill_at_s is not None]
        return min(due, default=None)

    def ended(self, pid: int, now_s: float) -> TemplateHandle | None:
        """Take note if `pid`, which has ended, is a template, and return it."""
        template = self._all.get(pid)
        if template is None:
            return None
        self._read(template, now_s)  # its last words may still be in the socket
        self._loop.forget(template.message_fd)
        template.close()
        del self._all[pid]
        return template

    def _add(self, template: TemplateHandle) -> None:
        self._all[template.pid] = template
        self._loop.watch(template.message_fd, lambda now_s: self._read_or_forget(template, now_s))

    def _read_or_forget(self, template: TemplateHandle, now_s: float) -> None:
        if not self._read(template, now_s):
            # The end of file: it is about to end, or has closed what it has not opened.
            self._loop.forget(template.message_fd)
            template.end_patience(now_s + _END_PATIENCE_S, "has closed its connection to the supervisor")

    def _read(self, template: TemplateHandle, now_s: float) -> bool:
        """Take in what the template has said; say whether that was anything."""
        messages = template.read_messages()
        for message in messages:
            if message.kind is Ready:
                self._ready(template, now_s)
            elif message.kind is Born:
                self._born(template, int(message.text), now_s)
            elif message.kind is Failed and template.state == BOOTING:
                template.failure = message.text
            elif message.kind is Failed:
                template.end_order()
                self._cannot_fork(message.text, now_s)
            if template.state == LEAVING and not template.is_promoted:
                template.retire()
        return bool(messages)

    def _ready(self, template: TemplateHandle, now_s: float) -> None:
        sentence = template.import_watch.end(now_s)
        if sentence:
            log.warning(f"{template}: {sentence}")
        if template.state == KILLED:
            return
        if template.is_promoted:
            template.generation = self._renew(template)
        template.ready(now_s)
        log.info(f"{template} is ready after {template.ready_at_s - template.forked_at_s:.2f} s")

    def _born(self, template: TemplateHandle, pid: int, now_s: float) -> None:
        slot, ends = template.end_order(), template.take_ends()
        if ends is None:
            # It sees that nobody has the other ends, and leaves.
            self._cannot_fork("the supervisor has no descriptor left", now_s)
            return
        message_fd, stack_fd = ends
        worker = WorkerHandle(
            template.settings,
            pid=pid,
            slot=slot,
            generation=template.generation,
            message_fd=message_fd,
            stack_fd=stack_fd,
            now_s=now_s,
        )
        self._add_worker(worker, now_s)
