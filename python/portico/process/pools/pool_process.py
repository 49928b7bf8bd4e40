"""The supervisor of a pool, as the one sees it that has started it: its process, and the line to it."""

from __future__ import annotations

import os

from portico import _core
from portico.process.pools.line import LineReader, line_of
from portico.process.signals import SUPERVISOR_SIGNALS, reset_signals, signal, unblock_signals
from portico.process.ways import Ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from portico.process.invocation import Invocation

_CANNOT_EXECUTE = 126
_MOST_BYTES = 65536
# What a service manager tells the first supervisor is for nobody else (sd_notify(3)).
_OF_SERVICE_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
# Beyond the graceful timeout of its workers.
_PATIENCE_S = 5.0


class PoolProcess:
    """One process of a pool, and what it has told.

    `record` is what it serves by. `ready` and `wanted` are numbers of workers, `control` is the path of its
    control socket. `is_failing`: its workers cannot be started; `has_failed`: its last reload has come to
    nothing. `is_asleep`: nobody has asked for it for a while. `is_leaving`: it was told to.
    """

    __slots__ = (
        *("_is_busy", "_number", "_reader", "_taken", "_unsent"),
        *("control", "fd", "has_failed", "has_served", "is_asleep", "is_failing", "is_leaving"),
        "is_quitting",
        *("kill_at_s", "pid", "ready", "record", "started_at_s", "wanted"),
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

    def order(self, *words: str) -> None:
        """Have it do something; it waits in the line until the process gets to it."""
        self._number += 1
        self._unsent += line_of(self._number, *words)
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

    def read(self) -> bool:
        """Take in what it has told; say whether there may be more some time."""
        try:
            data = os.read(self.fd, _MOST_BYTES)
        except BlockingIOError:
            return True
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
        return bool(data)

    def close(self) -> None:
        os.close(self.fd)

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
        said = f"portico: pool {name}: cannot call the command line: {error}\n"
        os.write(2, said.encode("utf-8", "replace"))
    finally:
        os._exit(_CANNOT_EXECUTE)
