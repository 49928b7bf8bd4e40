"""A dry run: the command line is called once more, in a child, which does all but become a supervisor.

So a reload reads the configuration as a start does, by the same program, with the errors of a start; and a
supervisor need not have an option parser in its memory. The child is passed the listening sockets, opens
those that are new, and reports its plan and those sockets over a socketpair:

    supervisor --request--> child     what it may keep of the sockets; for an upgrade, what it would take over
    supervisor <--report--- child     version, plan, and the new sockets themselves (SCM_RIGHTS, unix(7))

Both are marshalled in a format that every Python reads. The child's end of it is `dry_run_report.py`. What
the child writes to its standard error is the reason, if it ends without a report.

A reload takes no plan of another version or of another Python. An upgrade does: it takes the report for what
the new program says of itself, hands that back to it, and understands nothing but the sockets (`upgrade.py`).
The child goes on after such a report: it becomes what the supervisor would, and ends with a code of its own.
"""

from __future__ import annotations

import marshal
import os
import sys

from portico import _core
from portico.errors import reason_of
from portico.process.invocation import DRY_RUN_VARIABLE
from portico.process.plan import MARSHAL_FORMAT, dump_listeners, load_listeners, load_plan
from portico.process.signals import SUPERVISOR_SIGNALS, reset_signals, unblock_signals
from portico.process.ways import Ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from portico.process.invocation import Invocation
    from portico.process.plan import Listener, Plan

RECORD_VERSION = 1
"""Of what crosses from one version of portico to another: request, report, what an upgrade hands over.

To be raised when a word in it gets another meaning, or one is missing that readers of before need.
"""

_STANDARD_STREAMS = (0, 1, 2)
_MOST_SAID_BYTES = 65536
_CANNOT_EXECUTE = 126


class DryRun:
    """One child that is on its way, as the supervisor sees it.

    `pid` is the child; `fds` are what there is to read of it; `until_s` is when to lose patience. The sockets
    that the child has opened are owned by it until somebody takes its plan; if nobody does, `give_up` is to
    be called.
    """

    __slots__ = (
        *("_fds_received", "_opened", "_report", "_said", "channel_fd", "is_upgrade", "pid", "said_fd"),
        "until_s",
    )

    def __init__(
        self,
        invocation: Invocation,
        listeners: list[Listener],
        admin: list[Listener],
        *,
        until_s: float,
        hand_over_fd: int = -1,
    ) -> None:
        """Start the child, which may keep `listeners`, and for the admin address `admin`.

        Raises OSError if that is not possible.

        In `hand_over_fd`, which stays the caller's, is what an upgrade would hand over to it.
        """
        self.until_s = until_s
        self.is_upgrade = hand_over_fd >= 0
        self._report = b""
        self._said = b""
        self._fds_received: list[int] = []
        self._opened: list[Listener] = []
        ways = Ways(_core.socket_pair, os.pipe)
        self.pid = ways.fork()
        self.channel_fd, self.said_fd = ways.ends
        if self.pid == 0:
            _become_command_line(invocation, [*listeners, *admin], self.channel_fd, self.said_fd)
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            os.write(self.channel_fd, _request(listeners, admin, hand_over_fd))
        except BrokenPipeError:
            pass  # the child has ended already, and says why

    @property
    def fds(self) -> tuple[int, int]:
        return self.channel_fd, self.said_fd

    def read(self) -> None:
        """Take in what the child has sent, so that it need not wait."""
        while received := _core.receive_descriptors(self.channel_fd):
            self._report += received[0]
            self._fds_received += received[1]
        while data := _read_some(self.said_fd):
            # What was said first says most.
            self._said = (self._said + data)[:_MOST_SAID_BYTES]

    def end(self) -> tuple[Plan | None, str]:
        """The child has ended: return its plan, if it has made one that serves here, and what it has said."""
        report, said = self.end_with_report()
        if report is None:
            return None, said
        for what, ours in versions().items():
            if report[what] != ours:
                self.give_up()
                how = "that takes an upgrade (USR2) or a restart"
                return None, f"{what} is {report[what]} now, and this is {ours}: {how}"
        plan = load_plan(report["plan"])
        renumber(plan.sockets, report["numbers"])
        return plan, said

    def end_with_report(self) -> tuple[dict[str, Any] | None, str]:
        """The child has ended: return its report, if it has come whole, and what it has said."""
        self.read()
        os.close(self.channel_fd)
        os.close(self.said_fd)
        said = self._said.decode("utf-8", "backslashreplace").strip()
        if not self._report:
            return None, said
        try:
            report: dict[str, Any] = marshal.loads(self._report)
            sent = report["opened"]
            report["numbers"] = {fd: here for (fd, *_), here in zip(sent, self._fds_received, strict=True)}
            self._opened = load_listeners(sent)
        except (EOFError, ValueError, TypeError, KeyError):
            for fd in self._fds_received:
                os.close(fd)
            return None, "the report of the new command line has not come whole"
        renumber(self._opened, report["numbers"])
        return report, said

    def give_up(self) -> None:
        """Close the sockets that the child has opened, whose plan is not taken."""
        for listener in self._opened:
            listener.close()
        self._opened.clear()

    def close(self) -> None:
        """In a process forked meanwhile: let go of what is the supervisor's."""
        for fd in (*self.fds, *self._fds_received):
            os.close(fd)


def report_of(plan_data: bytes, opened: list[Listener], program: dict[str, Any] | None) -> bytes:
    """Return the report of a plan whose listeners `opened` are new.

    `program` is how to call what an upgrade leads to.
    """
    report = {
        "plan": plan_data,
        "opened": dump_listeners(opened),
        "program": program,
        **versions(),
    }
    return marshal.dumps(report, MARSHAL_FORMAT)


def versions() -> dict[str, str]:
    """Return what has to be the same on both sides for one to understand a plan of the other."""
    return {"portico": _core.__version__, "Python": sys.version.partition(" ")[0]}


def renumber(listeners: list[Listener], numbers: dict[int, int]) -> None:
    """Give the `listeners` that a dry run has opened the numbers that they have here."""
    for listener in listeners:
        # Others are those that the child has been passed: they have the same number here.
        listener.fd = numbers.get(listener.fd, listener.fd)


def _request(listeners: list[Listener], admin: list[Listener], hand_over_fd: int) -> bytes:
    request = {
        "version": RECORD_VERSION,
        "listeners": dump_listeners(listeners),
        "admin": dump_listeners(admin),
        "hand_over_fd": hand_over_fd,
    }
    data = marshal.dumps(request, MARSHAL_FORMAT)
    return len(data).to_bytes(4, "little") + data


def _become_command_line(
    invocation: Invocation, listeners: list[Listener], channel_fd: int, said_fd: int
) -> NoReturn:
    """In the child: call what the operator has called."""
    try:
        reset_signals(SUPERVISOR_SIGNALS)
        unblock_signals(SUPERVISOR_SIGNALS)
        null_fd = os.open(os.devnull, os.O_RDONLY)
        for source_fd, target_fd in zip((null_fd, said_fd, said_fd), _STANDARD_STREAMS, strict=True):
            os.dup2(source_fd, target_fd)
        for fd in (channel_fd, *(listener.fd for listener in listeners)):
            os.set_inheritable(fd, True)
        if invocation.directory:
            os.chdir(invocation.directory)
        os.umask(invocation.umask)
        variables = {**invocation.environment, DRY_RUN_VARIABLE: str(channel_fd)}
        os.execve(invocation.command[0], invocation.command, variables)
    except BaseException as error:
        os.write(
            said_fd, f"cannot call the command line: {reason_of(error)}".encode("utf-8", "backslashreplace")
        )
    finally:
        os._exit(_CANNOT_EXECUTE)


def _read_some(fd: int) -> bytes:
    try:
        return os.read(fd, _MOST_SAID_BYTES)
    except BlockingIOError:
        return b""
