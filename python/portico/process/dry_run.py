"""A dry run: the command line is called once more, in a child, which does all but become a supervisor.

So a reload reads the configuration as a start does, by the same program, with the errors of a start; and a
supervisor need not have an option parser in its memory. The child is passed the listening sockets, opens
those that are new, and reports its plan and those sockets over a socketpair:

    supervisor --request--> child     what it may keep of the sockets
    supervisor <--report--- child     version, plan, and the new sockets themselves (SCM_RIGHTS, unix(7))

Both are marshalled in a format that every Python reads. The child's end of it is `dry_run_report.py`. What
the child writes to its standard error is the reason, if it ends without a report.
"""

from __future__ import annotations

import marshal
import os
import sys

from portico import _core
from portico.process.plan import MARSHAL_FORMAT, dump_listeners, load_plan
from portico.process.signals import SUPERVISOR_SIGNALS, reset_signals, unblock_signals
from portico.process.ways import Ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from portico.process.invocation import Invocation
    from portico.process.plan import Listener, Plan

VARIABLE = "_PORTICO_DRY_RUN"
"""Says to the child that it is one: the number of its end of the socketpair."""

_STANDARD_STREAMS = (0, 1, 2)
_MOST_SAID_BYTES = 65536
_CANNOT_EXECUTE = 126


class DryRun:
    """One child that is on its way, as the supervisor sees it.

    `pid` is the child; `fds` are what there is to read of it; `until_s` is when to lose patience.
    """

    __slots__ = ("_fds_received", "_report", "_said", "channel_fd", "pid", "said_fd", "until_s")

    def __init__(self, invocation: Invocation, listeners: list[Listener], *, until_s: float) -> None:
        """Start the child, which may keep `listeners`. Raises OSError if that is not possible."""
        self.until_s = until_s
        self._report = b""
        self._said = b""
        self._fds_received: list[int] = []
        ways = Ways(_core.socket_pair, os.pipe)
        self.pid = ways.fork()
        self.channel_fd, self.said_fd = ways.ends
        if self.pid == 0:
            _become_command_line(invocation, listeners, self.channel_fd, self.said_fd)
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            os.write(self.channel_fd, _request(listeners))
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
        self.read()
        os.close(self.channel_fd)
        os.close(self.said_fd)
        said = self._said.decode("utf-8", "backslashreplace").strip()
        plan = None
        if self._report:
            plan, why_not = self._load()
            said = why_not or said
        if plan is None:
            for fd in self._fds_received:
                os.close(fd)
        return plan, said

    def _load(self) -> tuple[Plan | None, str]:
        """Return the plan of the report, or none and why not."""
        try:
            version, interpreter, sent, data = marshal.loads(self._report)
        except (EOFError, ValueError, TypeError):
            return None, "the report of the new command line has not come whole"
        for what, theirs, ours in (
            ("portico", version, _core.__version__),
            ("Python", interpreter, _interpreter()),
        ):
            if theirs != ours:
                return None, f"{what} is {theirs} now, and this is {ours}: that takes a restart"
        plan = load_plan(data)
        numbers = dict(zip(sent, self._fds_received, strict=True))
        for listener in plan.listeners:
            # Others are those that the child has been passed: they have the same number here.
            listener.fd = numbers.get(listener.fd, listener.fd)
        return plan, ""


def report_of(plan_data: bytes, sent: list[int]) -> bytes:
    """Return the report of a plan whose listeners with the descriptors `sent` are new."""
    return marshal.dumps((_core.__version__, _interpreter(), sent, plan_data), MARSHAL_FORMAT)


def _interpreter() -> str:
    return sys.version.partition(" ")[0]


def _request(listeners: list[Listener]) -> bytes:
    data = marshal.dumps(dump_listeners(listeners), MARSHAL_FORMAT)
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
        variables = {**invocation.environment, VARIABLE: str(channel_fd)}
        os.execve(invocation.command[0], invocation.command, variables)
    except BaseException as error:
        os.write(said_fd, f"cannot call the command line: {error}".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(_CANNOT_EXECUTE)


def _read_some(fd: int) -> bytes:
    try:
        return os.read(fd, _MOST_SAID_BYTES)
    except BlockingIOError:
        return b""
