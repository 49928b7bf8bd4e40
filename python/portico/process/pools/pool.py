"""One pool, as the supervisor sees it that keeps all: what is wanted of it, its socket and its processes.

What is to be done follows from the state, in one place, `look`; events only change that. What takes time of
the machine's has to wait for its turn (`pools.py`): `waits` says that there is some, `begin` does it.

    no process    one is started, not before the back-off is over; where the pool sleeps, when somebody asks
    one           it serves, or is about to; where the configuration has changed it is told to reload, or
                  where that cannot be done in place gets a successor; one that has fallen asleep may leave
    a successor   has the same socket; when its first worker is ready, the one before is told to leave
    leaving       until they have ended, or their time is over

In a reload the router's processes change, too, and those of before ask for the rows of before. So a pool with
other rows is another one with another socket, beside the one before until nobody asks that any more. If it
cannot start, the one before stands in for it, and has its place in the end.
"""

from __future__ import annotations

from portico import log
from portico.errors import EXIT_APPLICATION, EXIT_BIND, EXIT_FINE, EXIT_USAGE
from portico.process.back_off import BackOff
from portico.process.pools.pool_process import PoolProcess
from portico.process.pools.pool_socket import PoolSocket
from portico.process.signals import how_it_ended, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.process.invocation import Invocation
    from portico.process.loop import Loop

# One that ends sooner after its start counts like one that could not start.
_STABLE_AFTER_S = 1.0
_KILL_PAUSE_S = 1.0
# A start costs as much as that of a server, and what it fails by is logged each time.
_LONGEST_BACK_OFF_S = 60.0
# What takes longer is not busy, but waits for something else: others need not wait for it.
_LONGEST_S = 10.0
WAITING, STARTING, SERVING, RELOADING = "waiting", "starting", "serving", "reloading"
ASLEEP = "asleep"
FAILING, LEAVING = "failing", "leaving"
_UNCHANGED = "as it was: the last change could not be made; the error log says why"
_REASONS = {
    EXIT_USAGE: "its settings cannot be used",
    EXIT_APPLICATION: "its application cannot be loaded",
    EXIT_BIND: "it cannot listen on its socket",
}


class Pool:
    """A pool; `record` is what it should be now (config/pools.py), `path` where its socket is.

    `is_wanted`: the configuration has it. `is_asked_for`: a request waits for its start. `why` is why it does
    not serve, if it does not. `before` and `after` are the same pool with other rows, while both are there.
    """

    __slots__ = (
        *("_back_off", "_begun_at_s", "_failed_digest", "_has_failed", "_is_changed"),
        *(
            "_is_watched",
            "_looked_at_s",
            "_loop",
            "_must_upgrade",
            "_owner",
            "_path",
            "_serial",
            "_socket",
            "_watch",
        ),
        *("after", "before", "current", "is_asked_for", "is_wanted", "leaving", "record", "successor", "why"),
    )

    def __init__(
        self,
        record: dict[str, Any],
        path: str,
        *,
        owner: tuple[int, int],
        loop: Loop,
        watch: Callable[[PoolProcess], None],
    ) -> None:
        """`owner` are user and group of who may connect; `watch` is told of each process."""
        self.record = record
        self.is_wanted = True
        self.is_asked_for = False
        self.why = ""
        self.current: PoolProcess | None = None
        self.successor: PoolProcess | None = None
        self.leaving: list[PoolProcess] = []
        self.before: Pool | None = None
        self.after: Pool | None = None
        self._path = path
        self._owner = owner
        self._loop = loop
        self._watch = watch
        # Whether it is looked whether a request has come.
        self._is_watched = False
        self._must_upgrade = False
        self._begun_at_s = self._looked_at_s = 0.0
        self._socket: PoolSocket | None = None
        self._back_off = BackOff(longest_s=_LONGEST_BACK_OFF_S)
        self._failed_digest = ""
        self._has_failed = False
        # Since the configuration was read last: it is new, or has changed.
        self._is_changed = True
        self._serial = 0

    def __str__(self) -> str:
        return f"pool {self.record['name']}"

    # -- what there is

    @property
    def processes(self) -> list[PoolProcess]:
        return [*filter(None, (self.current, self.successor)), *self.leaving]

    @property
    def serves(self) -> bool:
        """Whether there is a process that has served."""
        return self.current is not None and self.current.has_served

    @property
    def state(self) -> str:
        """What it does, in a word."""
        process = self.current
        if not self.is_wanted:
            return LEAVING
        if process is None and not self._has_failed:
            return ASLEEP if self._is_left_asleep else WAITING
        if process is None or process.is_failing:
            return FAILING
        if not process.has_served:
            return FAILING if self._has_failed else STARTING
        if self.successor is not None or self.after is not None or process.is_busy:
            return RELOADING
        return SERVING if process.wanted else ASLEEP

    @property
    def is_settled(self) -> bool:
        """Whether it is as it should be, or cannot be."""
        if self._must_upgrade or self.state in (WAITING, STARTING, RELOADING):
            return False
        return self.current is None or self._is_as_wanted(self.current)

    @property
    def has_come_to_nothing(self) -> bool:
        """Whether it was to be another, or to be at all, by the latest configuration, and is not."""
        process = self.current
        has_failed = bool(self._failed_digest) or (process is not None and process.has_failed)
        return self._is_changed and (has_failed or self.state == FAILING)

    def due_s(self) -> float | None:
        """Return when to look next if nothing happens until then."""
        dues = [each.kill_at_s for each in self.processes if each.kill_at_s is not None]
        if self.is_wanted and self.current is None and self._back_off.not_before_s > self._looked_at_s:
            dues.append(self._back_off.not_before_s)
        return min(dues, default=None)

    @property
    def _is_left_asleep(self) -> bool:
        """Whether it has no process because nobody has asked for it."""
        return bool(self.record.get("sleeps")) and not self.is_asked_for and not self._has_failed

    def report(self) -> dict[str, Any]:
        """Return what `portico ctl status` tells of it."""
        process = self.current
        failed = process is not None and process.has_failed
        return {
            "name": self.record["name"],
            "apps": self.record["apps"],
            "state": self.state,
            "why": self.why or (_UNCHANGED if failed else ""),
            "pid": process.pid if process else None,
            "workers": process.ready if process else 0,
            "workers_wanted": process.wanted if process else 0,
            "control": process.control if process else "",
        }

    # -- what is wanted

    def under_way_until_s(self) -> float | None:
        """Return until when what was begun keeps others waiting; None if nothing is under way."""
        process = self.current
        if process is None:
            return None
        is_starting = not process.has_served and not process.is_failing
        is_under_way = is_starting or process.is_busy or self.successor is not None
        return self._begun_at_s + _LONGEST_S if is_under_way else None

    def waits(self, now_s: float, *, is_confirmed: bool) -> bool:
        """Say whether there is something to `begin`. What serves waits until the plan `is_confirmed`."""
        if not self.is_wanted:
            return False
        if self.current is None:
            is_left = self.has_given_up or self._is_left_asleep
            return now_s >= self._back_off.not_before_s and not is_left
        if self._must_upgrade:
            return True
        return is_confirmed and self.successor is None and not self._is_as_wanted(self.current)

    @property
    def is_represented(self) -> bool:
        """Whether it does not serve, and the one before does."""
        return self.before is not None and not self.serves

    @property
    def is_to_follow(self) -> bool:
        """Whether it will serve in the place of the one before as soon as it can."""
        return self.is_represented and not self._has_failed and not self._is_left_asleep

    @property
    def has_given_up(self) -> bool:
        """Whether the one before has to serve in its place."""
        return self.is_represented and self.current is None and bool(self._failed_digest)

    def follow(self, before: Pool) -> None:
        """Be `before` with other rows."""
        before.part()
        self.before, before.after = before, self

    def part(self) -> None:
        """Be the only one of its name."""
        if self.before is not None:
            self.before.after = None
        if self.after is not None:
            self.after.before = None
        self.before = self.after = None

    def _give_up(self, process: PoolProcess, how: str) -> bool:
        """Have the pool of before serve what this one cannot; say whether it does."""
        before = self.before
        if before is None or not before.serves or before._socket is None:
            return False
        if not before._socket.stand_at(self._path):
            return False
        self._failed_digest, self._has_failed, self.why = process.record["digest"], True, _UNCHANGED
        log.error(f"{self}: the new process {how} before it served; the one before goes on")
        self.close()
        return True

    def take_place(self, other: Pool) -> None:
        """Be `other`, which has given up: with its record and at its path, as it was."""
        self.record, self._path = other.record, other._path
        self._failed_digest, self._is_changed, self.why = other._failed_digest, other._is_changed, other.why

    def begin(self, invocation: Invocation, now_s: float) -> None:
        """Start it, or change what serves."""
        self._begun_at_s = now_s
        if self.current is None:
            if self.is_represented:
                log.info(f"{self} has changed: another process takes its place")
            self.current = self._start(invocation, now_s)
        elif self._must_upgrade:
            self._must_upgrade = False
            for process in self.processes:
                process.order("upgrade")
        else:
            self._change(self.current, invocation, now_s)

    def look(self, now_s: float) -> None:
        """Bring it nearer to its record, as far as that takes no time of the machine's."""
        self._looked_at_s = now_s
        for process in self.processes:
            if process.kill_at_s is not None and now_s >= process.kill_at_s:
                log.warning(f"{self}: process {process.pid} has not ended in time: killed")
                process.kill(signal.SIGKILL)
                process.kill_at_s = now_s + _KILL_PAUSE_S
        if not self.is_wanted:
            return
        if self.current is None:
            self._await_request(now_s)
            return
        if self.current.has_served and self._has_failed and self._socket is not None:
            self._socket.show()
            self._has_failed = False
            self.why = ""
        if self.successor is not None:
            if self.successor.has_served:
                log.info(f"{self}: the new process serves, the one before leaves")
                self.current.leave(now_s=now_s)
                self.leaving.append(self.current)
                self.current, self.successor = self.successor, None
        elif self.record.get("sleeps") and self.current.is_asleep and not self.current.is_busy:
            # Its socket stays: the next request starts another.
            log.debug(f"{self}: asleep, process {self.current.pid} leaves")
            self.current.leave(now_s=now_s)
            self.leaving.append(self.current)
            self.current = None
            self._await_request(now_s)

    def _await_request(self, now_s: float) -> None:
        """Have requests wait for its start, and notice the first; one that has failed refuses them."""
        if self._is_watched or self.is_asked_for or self._has_failed:
            return None
        try:
            if self._socket is None:
                self._socket = PoolSocket.open(self._path, owner=self._owner, is_hidden=False)
        except OSError as error:
            return self._fail(f"cannot be started: {error.strerror}", now_s)
        self._is_watched = True
        self._loop.watch(self._socket.fd, self._note_request)
        return None

    def _note_request(self, now_s: float) -> None:
        self.is_asked_for = True
        self._end_watch()

    def _end_watch(self) -> None:
        if self._is_watched and self._socket is not None:
            self._loop.forget(self._socket.fd)
        self._is_watched = False

    def _is_as_wanted(self, process: PoolProcess) -> bool:
        return self.record["digest"] in (process.record["digest"], self._failed_digest)

    def _change(self, process: PoolProcess, invocation: Invocation, now_s: float) -> None:
        self._is_changed = True
        before, wanted = process.record, self.record
        takes_other = wanted["venv"] != before["venv"] or wanted["is_own_user"] or before["is_own_user"]
        if not takes_other:
            log.info(f"{self} has changed: it reloads")
            process.record = wanted
            process.order("reload")
        elif process.has_served:
            log.info(f"{self} has changed: another process takes its place")
            self.successor = self._start(invocation, now_s)
        else:
            # Nobody is served by it yet.
            process.leave(now_s=now_s)
            self.leaving.append(process)
            self.current = self._start(invocation, now_s)

    def _start(self, invocation: Invocation, now_s: float) -> PoolProcess | None:
        try:
            if self._socket is None:
                # Until it serves, who asks for it is not kept waiting, once it has failed.
                self._socket = PoolSocket.open(self._path, owner=self._owner, is_hidden=self._has_failed)
            self._serial += 1
            control = f"{self._path.removesuffix('.sock')}-{self._serial}.control"
            if self.record["control"] != "auto" or self.record["is_own_user"]:
                control = self.record["control"]
            process = PoolProcess.start(self.record, invocation, self._socket.fd, control, now_s=now_s)
        except OSError as error:
            self._fail(f"cannot be started: {error.strerror}", now_s)
            return None
        log.debug(f"{self}: process {process.pid} starts")
        self._end_watch()
        self.is_asked_for = self._must_upgrade = False
        self._watch(process)
        return process

    def drop(self, *, now_s: float, at_once: bool = False) -> None:
        """Have it no longer: what it serves is finished, unless `at_once`."""
        self.is_wanted = False
        for process in self.processes:
            if at_once:
                process.quit(now_s=now_s)
            else:
                process.leave(now_s=now_s)

    def close(self) -> None:
        """Listen no longer; its processes have ended."""
        self._end_watch()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close_in_child(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        import os

        for process in self.processes:
            process.close()
        if self._socket is not None:
            os.close(self._socket.fd)

    # -- the ends of processes

    def ended(self, process: PoolProcess, exit_code: int, now_s: float) -> None:
        """`process`, one of this, has ended."""
        process.close()
        how = how_it_ended(exit_code)
        if process in self.leaving or not self.is_wanted:
            log.debug(f"{self}: process {process.pid} has left: it {how}")
            self.leaving = [each for each in self.leaving if each is not process]
            self.current = None if process is self.current else self.current
            self.successor = None if process is self.successor else self.successor
        elif process is self.successor:
            self.successor = None
            self._failed_digest = process.record["digest"]
            self.why = _UNCHANGED
            log.error(f"{self}: the new process {how} before it served; the one before goes on")
        elif process.has_served:
            self.current = None
            if now_s - process.started_at_s < _STABLE_AFTER_S:
                self._back_off.failed(now_s)
            else:
                self._back_off.succeeded()
            level = log.info if exit_code == EXIT_FINE else log.error
            level(f"{self}: process {process.pid} {how}; {self._back_off.next_try(now_s)}")
        elif self._give_up(process, how):
            self.current = None
        else:
            self.current = None
            reason = _REASONS.get(exit_code)
            self._fail(reason or f"its process {how}", now_s, is_said=reason is not None)

    def changed(self) -> None:
        """The configuration was read anew: what has failed may be tried again."""
        self._is_changed = False
        if self._failed_digest:
            self._failed_digest = self.why = ""
        self._back_off.end()

    def _fail(self, why: str, now_s: float, *, is_said: bool = False) -> None:
        """It cannot serve: whoever asks for it is told so at once, until a start succeeds.

        `is_said`: its process has written to the log what is wrong.
        """
        self._has_failed = True
        self.why = f"{why}: the error log says what is wrong" if is_said else why
        self._back_off.failed(now_s)
        why = f"{why}, as the log says above" if is_said else why
        log.error(f"{self} cannot serve: {why}; {self._back_off.next_try(now_s)}")
        self.close()

    # -- an upgrade

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor after an upgrade needs to know."""
        return {
            "record": self.record,
            "path": self._path,
            "is_wanted": self.is_wanted,
            "why": self.why,
            "has_failed": self._has_failed,
            "serial": self._serial,
            "socket": None if self._socket is None else self._socket.hand_over(),
            "current": None if self.current is None else self.current.hand_over(),
            "successor": None if self.successor is None else self.successor.hand_over(),
            "leaving": [process.hand_over() for process in self.leaving],
        }

    @property
    def fds(self) -> list[int]:
        """What is open for it."""
        sockets = [] if self._socket is None else [self._socket.fd]
        return [*sockets, *(process.fd for process in self.processes)]

    def take_over(self, record: dict[str, Any], *, is_to_stay: bool) -> None:
        """Go on with what `hand_over` has told of; one that `is_to_stay` is upgraded, too."""
        self.is_wanted, self.why = record["is_wanted"], record["why"]
        self._has_failed, self._serial = record["has_failed"], record["serial"]
        if socket := record["socket"]:
            self._socket = PoolSocket(**socket)
        if current := record["current"]:
            self.current = PoolProcess.take_over(current)
        if successor := record["successor"]:
            self.successor = PoolProcess.take_over(successor)
        self.leaving = [PoolProcess.take_over(each) for each in record["leaving"]]
        self._must_upgrade = is_to_stay and self.current is not None
        for process in self.processes:
            self._watch(process)
