"""The supervisor of a pool, as the one sees it that has started it: its process, and the line to it."""

from __future__ import annotations

import os

from portico import _core
from portico.errors import reason_of
from portico.process.pools.line import AT_THE_END, METRICS, OVERVIEW, LineReader, line_of
from portico.process.signals import SUPERVISOR_SIGNALS, reset_signals, signal, unblock_signals
from portico.process.ways import Ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from portico.process.invocation import Invocation
    from portico.process.pools.metric_lines import PoolReply

_CANNOT_EXECUTE = 126
_MOST_BYTES = 65536
# What a service manager tells the first supervisor is for nobody else (sd_notify(3)).
_OF_SERVICE_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
# What it has to say at its end is less than as many reads.
_MOST_LAST_READS = 256
_ASK_AGAIN_S = 5.0
_MOST_LINE_BYTES = 4 * 1024 * 1024
# Beyond the graceful timeout of its workers.
_PATIENCE_S = 5.0


class PoolProcess:
    """One process of a pool, and what it has told.

    `record` is what it serves by. `ready` and `wanted` are numbers of workers, `control` is the path of its
    control socket. `is_failing`: its workers cannot be started; `has_failed`: its last reload has come to
    nothing. `is_asleep`: nobody has asked for it for a while. `is_leaving`: it was told to. `reply` is
    what it has told of metrics, at `replied_at_s`; `overview` what a dashboard shows of it, as JSON.
    """

    __slots__ = (
        *("_asked", "_asked_at_s", "_begun", "_is_busy", "_number", "_reader", "_taken", "_unsent"),
        *("control", "fd", "has_failed", "has_served", "is_asleep", "is_failing", "is_leaving"),
        "is_quitting",
        *(
            "kill_at_s",
            "overview",
            "overview_at_s",
            "pid",
            "ready",
            "record",
            "replied_at_s",
            "reply",
            "started_at_s",
            "wanted",
        ),
    )

    def __init__(self, record: dict[str, Any], pid: int, fd: int, *, now_s: float) -> None:
        self.record = record
        self.pid = pid
        self.fd = fd
        self.started_at_s = now_s
        self.control = ""
        self.ready = 0
        self.wanted = 0
        self.has_served = False
        self.has_failed = False
        self.is_failing = False
        self.is_asleep = False
        self.is_leaving = False
        self.is_quitting = False
        self.kill_at_s: float | None = None
        self.reply: PoolReply | None = None
        self.overview = ""
        self.overview_at_s = now_s
        self.replied_at_s = now_s
        # Questions that it has not replied to; and a reply that has begun to come.
        self._asked: set[int] = set()
        self._asked_at_s = now_s
        self._begun: PoolReply | None = None
        self._is_busy = False
        self._number = self._taken = 0
        self._reader = LineReader()
        self._unsent = b""

    @staticmethod
    def start(
        record: dict[str, Any], invocation: Invocation, listener_fd: int, control: str, *, now_s: float
    ) -> PoolProcess:
        """Start the pool of `record` on the socket `listener_fd`; `control` is where it is asked, or a word.

        Raises OSError if there can be no process.
        """
        ways = Ways(_core.socket_pair)
        pid = ways.fork()
        [fd] = ways.ends
        if pid == 0:
            _become_command_line(record["name"], invocation, listener_fd, fd, control)
        return PoolProcess(record, pid, fd, now_s=now_s)

    @property
    def is_busy(self) -> bool:
        """Whether something that it was told is not done yet."""
        return self._is_busy or self._taken < self._number

    @property
    def is_silent(self) -> bool:
        """Whether there is a question that it has not replied to."""
        return bool(self._asked)

    def ask(self, question: int, what: str, now_s: float) -> bool:
        """Have it tell metrics, or what a dashboard shows; say whether it is waited for.

        It is not where it has not replied to one before. That may be lost, so it is asked now and again.
        """
        is_waited_for = not self.is_silent
        if not is_waited_for and (self._unsent or now_s < self._asked_at_s + _ASK_AGAIN_S):
            return False
        self._asked_at_s = now_s
        self._asked.add(question)
        self._send(line_of(self._number, what, question))
        return is_waited_for

    def order(self, *words: str) -> None:
        """Have it do something; it waits in the line until the process gets to it."""
        self._number += 1
        self._send(line_of(self._number, *words))

    def _send(self, line: bytes) -> None:
        self._unsent += line
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            self._unsent = self._unsent[os.write(self.fd, self._unsent) :]
        except OSError:
            pass  # it has gone, which its end says, or has not read thousands of orders

    def leave(self, *, now_s: float) -> None:
        """Have it finish what it serves, and end."""
        if not self.is_leaving:
            self.is_leaving = True
            self.kill_at_s = now_s + self.record["graceful_timeout_s"] + _PATIENCE_S
            self.order("stop")

    def quit(self, *, now_s: float) -> None:
        """Have it end at once."""
        self.is_leaving = self.is_quitting = True
        self.kill_at_s = now_s + _PATIENCE_S
        self.kill(signal.SIGINT)

    def kill(self, number: int) -> None:
        """Send it a signal."""
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended, and is about to be reaped

    def read_all(self, now_s: float) -> None:
        """Take in its last words; it has ended."""
        for _ in range(_MOST_LAST_READS):
            if not self.read(now_s, is_last=True):
                return

    def read(self, now_s: float, *, is_last: bool = False) -> bool:
        """Take in what it has told; say whether there may be more some time, or now if that `is_last`."""
        try:
            data = os.read(self.fd, _MOST_BYTES)
        except BlockingIOError:
            return not is_last
        except OSError:
            return False
        for what, *words in self._reader.feed(data):
            if what == "control":
                self.control = words[0]
            elif what == "state":
                self.ready, self.wanted, taken, is_busy, is_failing, has_failed = map(int, words[:6])
                # After an upgrade the pool's supervisor counts from the start.
                self._taken = max(self._taken, taken)
                self._is_busy, self.is_failing = bool(is_busy), bool(is_failing)
                self.has_failed = bool(has_failed)
                # One of before an upgrade does not say.
                self.is_asleep = words[6:7] == ["1"]
                self.has_served = self.has_served or self.ready > 0
            elif words:
                self._take_reply(what, words, now_s)
        if len(self._reader.begun) > _MOST_LINE_BYTES:
            # It may be another user's, who shall not fill memory.
            self._reader.begun = b""
        return bool(data)

    def _take_reply(self, what: str, words: list[str], now_s: float) -> None:
        """Take in a part of a reply; one that cannot be understood is passed over."""
        # Here, because nobody may ask.
        from portico.process.pools.metric_lines import PoolReply

        try:
            number = int(words[0])
            if what == OVERVIEW:
                self.overview, self.overview_at_s = words[1], now_s
            else:
                if self._begun is None or self._begun.number != number:
                    self._begun = PoolReply(number)
                self._begun.take(what, words[1:])
        except (ValueError, IndexError):
            return
        if what == METRICS:
            self.reply, self._begun = self._begun, None
            self.replied_at_s = now_s
        if what in (METRICS, OVERVIEW):
            # Those before it are replied to as well: nobody needs them any more.
            self._asked = {each for each in self._asked if each > number}

    def close(self) -> None:
        os.close(self.fd)
        self._asked.clear()

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor after an upgrade needs to know."""
        return {
            "record": self.record,
            "pid": self.pid,
            "fd": self.fd,
            "number": self._number,
            "started_at_s": self.started_at_s,
            "has_served": self.has_served,
            "is_leaving": self.is_leaving,
            "kill_at_s": self.kill_at_s,
            "control": self.control,
            "told": [self.ready, self.wanted, self._taken, self._is_busy, self.is_failing],
            "begun": self._reader.begun,
            "samples": [] if self.reply is None else list(self.reply.samples.items()),
        }

    @staticmethod
    def take_over(record: dict[str, Any]) -> PoolProcess:
        """Return the process that `hand_over` has told of."""
        process = PoolProcess(record["record"], record["pid"], record["fd"], now_s=record["started_at_s"])
        process._number = record["number"]
        process.has_served, process.is_leaving = record["has_served"], record["is_leaving"]
        process.kill_at_s, process.control = record["kill_at_s"], record["control"]
        process.ready, process.wanted, process._taken, process._is_busy, process.is_failing = record["told"]
        process._reader = LineReader(record["begun"])
        # A version of before has none.
        if samples := record.get("samples"):
            from portico.process.pools.metric_lines import PoolReply

            process.reply = PoolReply(AT_THE_END)
            process.reply.samples = {tuple(key): value for key, value in samples}
        return process


def _become_command_line(
    name: str, invocation: Invocation, listener_fd: int, line_fd: int, control: str
) -> NoReturn:
    """In the child: call what the operator has called, for one pool."""
    try:
        reset_signals(SUPERVISOR_SIGNALS)
        unblock_signals(SUPERVISOR_SIGNALS)
        # What a terminal sends to the foreground is for the first supervisor, which ends the router first.
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for fd in (listener_fd, line_fd):
            os.set_inheritable(fd, True)
        if invocation.directory:
            os.chdir(invocation.directory)
        os.umask(invocation.umask)
        variables = {
            key: value for key, value in invocation.environment.items() if key not in _OF_SERVICE_MANAGER
        }
        ways = ["--pool-ways", str(listener_fd), str(line_fd), control]
        command = [*invocation.command, "--pool", name, *ways]
        os.execve(command[0], command, variables)
    except BaseException as error:
        said = f"portico: pool {name}: cannot call the command line: {reason_of(error)}\n"
        os.write(2, said.encode("utf-8", "replace"))
    finally:
        os._exit(_CANNOT_EXECUTE)
