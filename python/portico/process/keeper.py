"""Keeps as many workers as are wanted: forks those that are missing, hears what they say, lets them leave.

What is to be done follows from the state of the workers, in one place, `look`; events only change that. What
becomes of one that has ended is `ends.py`. With `preload` it is a template that forks (`templates.py`).
"""

from __future__ import annotations

import os

from portico import _core, log
from portico.config.shares import share_of
from portico.process.back_off import BackOff
from portico.process.banner import banner
from portico.process.calls import describe_calls, have_waiting, name_of
from portico.process.life import ANNOUNCING, DRAINING, QUITTING
from portico.process.messages import (
    Announce,
    Drain,
    Errors,
    Failed,
    Leaving,
    Members,
    Quit,
    Ready,
    Stack,
    Warmed,
)
from portico.process.totals import SIGNAL
from portico.process.ways import Ways, fork_each
from portico.process.worker import Assignment
from portico.process.worker_handle import BOOTING, READY, WorkerHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.hooks import Server
    from portico.process.bounds import Bounds
    from portico.process.generations import Generations
    from portico.process.hook_calls import HookCalls
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.plan import Plan
    from portico.process.reforking import Reforking
    from portico.process.templates import Templates
    from portico.process.totals import Totals
    from portico.process.worker_set import WorkerSet

# A worker that dies sooner after it was ready counts like one that died at boot.
STABLE_AFTER_S = 1.0


class Keeper:
    """The workers, and the templates if there are any.

    `leave` lets a forked process have nothing of the supervisor; `member_orders` is what it has to be told of
    members of upstreams, `spans_fd` where spans of requests go. While `is_kept_waiting` nobody starts.
    `back_off` is when to fork again after failures. `templates` and `reforking` are None until a plan
    preloads; `on_templates` is called then.
    """

    __slots__ = (
        *("_bounds", "_generations", "_hooks", "_is_kept_waiting", "_leave", "_life", "_loop"),
        *("_member_orders", "_on_templates", "_scoreboard", "_totals", "_worker_set"),
        *("back_off", "reforking", "spans_fd", "templates"),
    )

    def __init__(
        self,
        life: Life,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        bounds: Bounds,
        hooks: HookCalls,
        totals: Totals,
        *,
        leave: Callable[[], None],
        member_orders: Callable[[], str],
        spans_fd: Callable[[], int],
        is_kept_waiting: Callable[[], bool],
        on_templates: Callable[[Templates, Reforking], None],
    ) -> None:
        self._life = life
        self._loop = loop
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._bounds = bounds
        self._hooks = hooks
        self._totals = totals
        self._leave = leave
        self._member_orders = member_orders
        self.spans_fd = spans_fd
        self._is_kept_waiting = is_kept_waiting
        self._on_templates = on_templates
        self.back_off = BackOff()
        self.templates: Templates | None = None
        self.reforking: Reforking | None = None

    # -- what there is

    @property
    def all(self) -> list[WorkerHandle]:
        """Workers and templates."""
        workers = [*self._worker_set.workers.values()]
        return workers if self.templates is None else workers + self.templates.all

    @property
    def booting(self) -> list[WorkerHandle]:
        """Those that load the application."""
        workers = self._worker_set.in_state(BOOTING)
        return workers if self.templates is None else workers + self.templates.booting

    @property
    def has_any(self) -> bool:
        return bool(self._worker_set.workers) or (self.templates is not None and self.templates.exist)

    @property
    def at_a_time(self) -> int:
        """How many workers may be replaced at the same time."""
        return share_of(self._plan.settings.reload_parallel, self._life.wanted)

    @property
    def may_fork(self) -> bool:
        """Whether somebody is missing, and nobody has to be waited for before."""
        templates = self._templates()
        if not self._worker_set.has_room or (templates is not None and templates.is_busy):
            return False
        if self._is_kept_waiting():
            return False
        return (templates is not None and templates.is_missing) or self._missing > 0

    @property
    def _missing(self) -> int:
        return self._worker_set.missing(self._generations.number, self._life.wanted, self.at_a_time)

    # -- what is wanted

    def look(self, now_s: float) -> Assignment | None:
        """Bring the workers nearer to what is wanted. Returns an assignment in a newly forked child."""
        while True:
            for worker in self._worker_set.surplus(self._generations.number, self._life.wanted):
                worker.leave(Drain, now_s=now_s)
            if not self.may_fork or now_s < self.back_off.not_before_s:
                return None
            slots = self._worker_set.free_slots(max(1, self._missing))
            if not self._hooks.let_fork(slots[0]):
                return None
            try:
                assignment = self._make(slots, now_s)
            except OSError as error:
                self._cannot_fork(str(error.strerror), now_s)
                return None
            if assignment is not None:
                return assignment

    def kill_the_late(self, now_s: float) -> None:
        """End the workers that were to be gone by now."""
        for worker in list(self._worker_set.workers.values()):
            if worker.kill_at_s is None or now_s < worker.kill_at_s:
                continue
            status = self._scoreboard.read(worker.slot)
            if worker.may_be_cleared and have_waiting(status, worker.given_up):
                worker.clear(now_s)
                continue
            log.warning(
                f"{worker} {worker.patience}"
                f"{'' if worker.has_taken_orders else ' and has not taken the order to leave'}"
                f": killed{describe_calls(status)}"
            )
            worker.kill()

    def dismiss_all(self, now_s: float) -> None:
        """Let everybody leave, as the stage says."""
        if self.templates is not None:
            self.templates.end()
        for worker in list(self._worker_set.workers.values()):
            self._dismiss(worker, now_s)

    def _want_as(self, plan: Plan, before: Plan) -> None:
        """Want as many workers as `plan` says, if `before` has said something else: TTIN and TTOU hold on."""
        if plan.worker_count == before.worker_count and plan.is_scaled == before.is_scaled:
            return
        wanted = self._life.wanted = min(plan.worker_count, self._worker_set.most_workers)
        if wanted < plan.worker_count:
            log.warning(f"workers: {wanted} are the most without a restart, got {plan.worker_count}")

    def take_plan(self, before: Plan) -> None:
        """The current plan is another than `before`: the workers are made anew, by it."""
        if self.templates is not None:
            self.templates.give_up()
        self._want_as(self._plan, before)
        self.back_off.end()

    def go_back(self, why: str) -> None:
        """No worker of this generation can be: stay with those of before, and what they were made by."""
        for worker in self._worker_set.in_state(BOOTING):
            worker.kill()
        failed = self._plan
        self._generations.go_back(why)
        if self.templates is not None:
            self.templates.go_back()
        self._want_as(self._plan, failed)
        self._worker_set.adopt(self._generations.number)

    def adopt(self, worker: WorkerHandle) -> None:
        """Hear from now on what `worker` says."""
        self._worker_set.add(worker)
        if worker.message_fd >= 0:
            self._loop.watch(worker.message_fd, lambda now_s: self.read_messages(worker, now_s))

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        for handle in self._worker_set.workers.values():
            handle.close()
        if self.templates is not None:
            self.templates.close()

    def _make(self, slots: list[int], now_s: float) -> Assignment | None:
        """Fork workers; with `preload`, a template if there is none, or else have that fork one."""
        templates = self._templates()
        if templates is None or not self._plan.settings.preload:
            return self._fork(slots[:1] if self._hooks.before_each_fork else slots, now_s)
        if templates.is_missing:
            server = self._hooks.server
            ends = templates.fork(now_s)
            return None if ends is None else self._become_worker(0, ends, server, is_template=True)
        templates.order_worker(
            slots[0],
            multiprocess=self._is_multiprocess,
            member_orders=self._member_orders(),
            now_s=now_s,
        )
        return None

    def _fork(self, slots: list[int], now_s: float) -> Assignment | None:
        server = self._hooks.server
        all_ways: list[Ways] = []
        for _ in slots:
            try:
                all_ways.append(Ways(_core.socket_pair, os.pipe))
            except OSError:
                if not all_ways:
                    raise
                break  # for those the same will be found again
        own = fork_each(all_ways)
        if own is not None:
            return self._become_worker(slots[all_ways.index(own)], own.ends, server)
        for slot, ways in zip(slots, all_ways, strict=False):
            message_fd, stack_fd = ways.ends
            worker = WorkerHandle(
                self._plan.settings,
                pid=ways.pid,
                slot=slot,
                generation=self._generations.number,
                message_fd=message_fd,
                stack_fd=stack_fd,
                now_s=now_s,
            )
            self._add_worker(worker, now_s)
        return None

    def _become_worker(
        self, slot: int, ends: list[int], server: Server | None, *, is_template: bool = False
    ) -> Assignment:
        self._leave()
        self._generations.keep_only(self._plan.listeners)
        supervisor_fd, stack_fd = ends
        return Assignment(
            self._plan,
            self._scoreboard,
            slot=slot,
            supervisor_fd=supervisor_fd,
            stack_fd=stack_fd,
            multiprocess=self._is_multiprocess,
            server=server,
            is_template=is_template,
            member_orders=self._member_orders(),
            spans_fd=self.spans_fd(),
        )

    def _add_worker(self, worker: WorkerHandle, now_s: float) -> None:
        """Take in a worker that was forked just now, by whom ever."""
        self._hooks.forked(worker.slot)
        self.adopt(worker)
        if self._life.stage == ANNOUNCING and worker.is_active:
            worker.tell(Announce)
        # A template may have forked it before the latest.
        if orders := self._member_orders():
            worker.tell(Members, orders)
        log.debug(f"{worker} started as worker {worker.slot + 1}")
        if self._life.is_stopping:
            self._dismiss(worker, now_s)

    def _dismiss(self, worker: WorkerHandle, now_s: float) -> None:
        """Let `worker` leave as the stage says."""
        if self._life.stage == DRAINING:
            worker.leave(Drain, now_s=now_s)
        elif self._life.stage == QUITTING:
            worker.leave(Quit, now_s=now_s)
        else:
            worker.kill()

    def _cannot_fork(self, why: str, now_s: float) -> None:
        self.back_off.failed(now_s)
        log.error(f"cannot fork a worker: {why}; {self.back_off.next_try(now_s)}")

    @property
    def _is_multiprocess(self) -> bool:
        return max(self._life.wanted, self._plan.most_workers) > 1

    def _templates(self) -> Templates | None:
        """The templates, from the first plan on that preloads."""
        if self.templates is None and self._plan.settings.preload:
            # Here, because few servers preload, and each worker would have it.
            from portico.process.reforking import Reforking
            from portico.process.templates import Templates

            self.templates = Templates(
                self._loop,
                self._generations,
                add_worker=self._add_worker,
                cannot_fork=self._cannot_fork,
                renew=self._renew,
            )
            self.reforking = Reforking(
                self._generations, self._worker_set, self._scoreboard, self.templates, self._life
            )
            self._on_templates(self.templates, self.reforking)
        return self.templates

    # -- what they say

    def read_messages(self, worker: WorkerHandle, now_s: float) -> None:
        """Take in what `worker` has said."""
        fd = worker.message_fd
        for message in worker.read_messages():
            if message.kind is Failed:
                worker.failure = message.text
            elif message.kind is Ready:
                self._is_ready(worker, message.text, now_s)
            elif message.kind is Leaving:
                self._let_leave(worker, message.text, now_s)
            elif message.kind is Stack:
                status = self._scoreboard.read(worker.slot)
                running = {name_of(call): call.what for call in status.calls}
                self._totals.slow_lines.hear(worker.slot, message.text, running)
            elif message.kind is Errors:
                self._totals.recent_errors.hear(worker.slot, message.text)
            elif message.kind is Warmed and self._becomes_template(worker, now_s):
                # From here on it is among the templates.
                self._worker_set.remove(worker)
                self._totals.add(self._scoreboard, worker.slot)
                self._scoreboard.reset(worker.slot)
                return
        if worker.message_fd < 0:
            self._loop.forget(fd)

    def _is_ready(self, worker: WorkerHandle, application: str, now_s: float) -> None:
        worker.ready_at_s = now_s
        if sentence := worker.import_watch.end(now_s):
            log.warning(f"{worker}: {sentence}")
        if worker.state != BOOTING:
            return
        worker.state = READY
        if worker.generation == self._generations.number:
            self._generations.confirm()
            if self.templates is not None:
                self.templates.confirm()
        self._bounds.worker_ready(worker)
        self._welcome(worker, application)

    def _welcome(self, worker: WorkerHandle, application: str) -> None:
        """A worker is ready; the last of the first ones is what the user has been waiting for."""
        if self._life.is_announced:
            log.info(f"{worker} is ready after {worker.ready_at_s - worker.forked_at_s:.2f} s")
        elif len(self._worker_set.in_state(READY)) >= self._life.wanted:
            self._life.is_announced = True
            startup_s = worker.ready_at_s - self._plan.started_at_s
            log.info(
                banner(
                    self._plan,
                    application,
                    workers=self._life.wanted,
                    version=_core.__version__,
                    pid=os.getpid(),
                    startup_s=startup_s,
                )
            )

    def _let_leave(self, worker: WorkerHandle, order_kind: str, now_s: float) -> None:
        """Somebody has sent a signal to this worker: it leaves as if so ordered, and gets a successor."""
        order = Quit if order_kind == Quit.letter.decode() else Drain
        # Ctrl-C reaches the workers too: that is no signal which somebody has sent to this one alone.
        if worker.is_active and not self._life.has_stop_signal:
            self.lived(now_s - worker.ready_at_s, now_s)
            self._totals.restarted(SIGNAL)
            log.info(f"{worker} leaves because of a signal; {self.back_off.next_try(now_s)}")
        worker.expect_end(order, now_s=now_s)

    def lived(self, lived_s: float, now_s: float, *, stable_after_s: float = STABLE_AFTER_S) -> None:
        """A worker has served for `lived_s` without having been told to leave."""
        if lived_s < stable_after_s:
            self.back_off.failed(now_s)
        else:
            self.back_off.succeeded()

    def _becomes_template(self, worker: WorkerHandle, now_s: float) -> bool:
        """`worker` has finished, and asks what to be: say whether that is a template."""
        if self.reforking is not None:
            return self.reforking.take(worker, now_s)
        worker.tell(Quit)
        return False

    def _renew(self, template: WorkerHandle) -> int:
        """A worker has become the template: let all workers be made of it, as in a reload."""
        from portico.process.reopening import reopen_logs

        # Its engine may have been sent others than it was forked with.
        reopen_logs(self._generations, [template])
        number = self._generations.renew()
        if self.reforking is not None:
            self.reforking.has_renewed(number)
        return number

    @property
    def _plan(self) -> Plan:
        """What the next worker is made by."""
        return self._generations.current
