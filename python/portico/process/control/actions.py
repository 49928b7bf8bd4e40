"""Verbs that have the supervisor do something.

Where that takes time, what they return is called until it has come to something: unless the request says
that it does not wait.
"""

from __future__ import annotations

import time

from portico import log
from portico.process.control.verb_error import VerbError
from portico.process.worker_handle import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.process.control.json_lines import Scalar
    from portico.process.control.subject import Subject
    from portico.process.worker_handle import WorkerHandle

    Request = dict[str, Scalar]
    Result = dict[str, Any]
    Outcome = Callable[[], Result | None]

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")


def reload(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Reload, and wait until all workers are new, or until that has failed."""
    expect_serving(subject)
    subject.reload()
    return _when_done(request, _Reload(subject), {"reloading": True})


def upgrade(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Upgrade in place, and wait until all workers are new, or until that has failed.

    The supervisor that takes over has none of the connections. With `after`, the generation before the
    upgrade, nothing is begun: what comes of the one that was made since is waited for.
    """
    expect_serving(subject)
    if "after" in request:
        after = _number(request, "after")
        if subject.generations.number < after:
            raise VerbError("failed", f"there was no upgrade after generation {after}")
        outcome = _Reload(subject, generation=subject.generations.number)
    else:
        subject.upgrade()
        outcome = _Reload(subject)
    return _when_done(request, outcome, {"upgrading": True})


def stop(subject: Subject, request: Request, now_s: float) -> Result:
    """Stop after the requests in flight, or `now`. The end of the connection is the end of the server."""
    now = flag(request, "now", default=False)
    say("stop")
    subject.stop(now, now_s)
    return {"stage": subject.life.stage}


def scale(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Have so many `workers`, and wait until they are ready and the others have begun to leave."""
    expect_serving(subject)
    count, (fewest, most) = _number(request, "workers"), subject.bounds()
    if not fewest <= count <= most:
        raise VerbError("rejected", f"expected {fewest} to {most} workers, got {count}")
    say(f"scale {count}")
    subject.resize_to(count)

    def outcome() -> Result | None:
        if subject.life.wanted != count:
            raise VerbError("failed", f"the number of workers was changed to {subject.life.wanted} meanwhile")
        _expect_still_serving(subject)
        _expect_no_failure(subject)
        return {"workers": count} if _are_all_ready(subject) else None

    return _when_done(request, outcome, {"workers": count})


def drain(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Let all workers leave after their requests and start none; wait until the last has left."""
    expect_serving(subject)
    subject.rest()

    def outcome() -> Result | None:
        if subject.life.wanted:
            raise VerbError("failed", f"the number of workers was changed to {subject.life.wanted} meanwhile")
        return None if subject.worker_set.workers else {"workers": 0}

    return _when_done(request, outcome, {"workers": 0})


def recycle(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Replace the worker `pid`; wait until its successor is ready and it has begun to leave."""
    expect_serving(subject)
    worker = _worker(subject, request, only_active=True)
    say(f"recycle {worker.pid}")
    worker.is_spent = True

    def outcome() -> Result | None:
        if not worker.is_active or worker.pid not in subject.worker_set.workers:
            return {"pid": worker.pid}
        _expect_still_serving(subject)
        if _is_failing(subject):
            worker.is_spent = False
            raise VerbError(
                "failed", f"{worker} stays, its successor cannot be started; the error log says why"
            )
        return None

    return _when_done(request, outcome, {"pid": worker.pid})


def write_stacks(subject: Subject, request: Request, now_s: float) -> Result:
    """Have the worker `pid` write the stacks of its threads to the error log."""
    worker = _worker(subject, request)
    if not worker.ready_at_s:
        # It does not handle the signal before.
        raise VerbError(
            "rejected", f"{worker} is still loading; the error log says now and again where it is"
        )
    say(f"stacks {worker.pid}")
    worker.write_stacks()
    return {"pid": worker.pid, "written_to": subject.generations.current.settings.error_log}


def reopen_logs(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Open the files of the logs anew; wait until all workers write to them."""
    subject.reopen_logs()
    return _when_done(request, _taken_by(_ready_workers(subject)), {})


def set_log_level(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Log from `level` on, until the next reload."""
    level = request.get("level")
    if level not in _LEVELS or not isinstance(level, str):
        raise VerbError("bad-request", f"level: expected one of {', '.join(_LEVELS)}, got {level!r}")
    say(f"log-level {level}")
    subject.set_log_level(level)
    return _when_done(request, _taken_by(_ready_workers(subject)), {"level": level})


class _Reload:
    """What comes of a reload that has been asked for."""

    __slots__ = ("_asked", "_generation", "_subject")

    def __init__(self, subject: Subject, *, generation: int | None = None) -> None:
        """`generation` is the number of what has come of it, if that is known already."""
        self._subject = subject
        self._asked = subject.life.readings.asked
        self._generation = generation

    def __call__(self) -> Result | None:
        subject, generations = self._subject, self._subject.generations
        _expect_still_serving(subject)
        if self._generation is None:
            if subject.life.readings.done < self._asked:
                return None
            if subject.life.readings.failure:
                raise VerbError("failed", subject.life.readings.failure)
            self._generation = generations.number
        if generations.failed >= self._generation:
            raise VerbError("failed", generations.failure)
        _expect_no_failure(subject)
        pools = subject.pools()
        is_done = _are_all_ready(subject) and (pools is None or pools.are_settled)
        if is_done and pools is not None and pools.failures:
            names = ", ".join(pools.failures)
            raise VerbError("failed", f"all is as configured but for {names}; the error log says why")
        return {"generation": generations.number + 1} if is_done else None


def _when_done(request: Request, outcome: Outcome, begun: Result) -> Result | Outcome:
    """Return `outcome`, or what has `begun` if the request does not wait."""
    return outcome if flag(request, "wait", default=True) else begun


def _are_all_ready(subject: Subject) -> bool:
    """Say whether there are as many workers as wanted, all of the current plan, and all ready."""
    active = [worker for worker in subject.worker_set.workers.values() if worker.is_active]
    return len(active) == subject.life.wanted and all(
        worker.state == READY and worker.generation == subject.generations.number for worker in active
    )


def _is_failing(subject: Subject) -> bool:
    return subject.back_off.not_before_s > time.monotonic()


def _expect_no_failure(subject: Subject) -> None:
    if _is_failing(subject) and not _are_all_ready(subject):
        raise VerbError("failed", "a worker cannot be started, or has ended at once; the error log says why")


def expect_serving(subject: Subject) -> None:
    if not subject.life.is_serving:
        raise VerbError("rejected", "the server is about to end")


def _expect_still_serving(subject: Subject) -> None:
    if not subject.life.is_serving:
        raise VerbError("failed", "the server is about to end")


def _ready_workers(subject: Subject) -> list[WorkerHandle]:
    return [worker for worker in subject.worker_set.workers.values() if worker.state == READY]


def _taken_by(workers: list[WorkerHandle]) -> Outcome:
    """Return what waits until each of `workers` has done what it was told, or has begun to leave."""

    def outcome() -> Result | None:
        has_all = all(worker.has_taken_orders or worker.state != READY for worker in workers)
        return {"workers": len(workers)} if has_all else None

    return outcome


def _worker(subject: Subject, request: Request, *, only_active: bool = False) -> WorkerHandle:
    pid = _number(request, "pid")
    workers = [each for each in subject.worker_set.workers.values() if each.is_active or not only_active]
    for worker in workers:
        if worker.pid == pid:
            return worker
    pids = ", ".join(str(each.pid) for each in workers) or "there is none"
    raise VerbError("rejected", f"expected the process id of a worker ({pids}), got {pid}")


def _number(request: Request, name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise VerbError("bad-request", f"{name}: expected a whole number, got {value!r}")
    return value


def flag(request: Request, name: str, *, default: bool) -> bool:
    value = request.get(name, default)
    if not isinstance(value, bool):
        raise VerbError("bad-request", f"{name}: expected true or false, got {value!r}")
    return value


def say(what: str) -> None:
    log.info(f"control: {what}")
