"""Signals as bytes in a pipe: handlers do nothing, the interpreter writes each signal's number there.

So a signal is one more thing to read in a loop, in the supervisor (poll) as in a worker (the engine), and
nothing ever runs between two lines that did not expect it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
else:
    # What `signal` wraps in enums: these would cost the supervisor and every worker 0.3 MB.
    import _signal as signal

SUPERVISOR_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# What tells a worker to leave. An application may take them: orders come over a socket (`messages.py`).
WORKER_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# What has a meaning for the supervisor at most, but reaches a worker too when it is sent to the process
# group, as a terminal does when it hangs up. Not ignored: programs that the application starts would do that
# too.
_PASSED_OVER = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Their default effect stops a process. A handler would be called for ever where the group is in a terminal's
# background and somebody reads from it.
_IGNORED = (signal.SIGTTIN, signal.SIGTTOU)
# Makes a worker write the stacks of its threads. One that no application and no person has a use for, where
# there are such, and not the last one, which valgrind has taken; not SIGABRT, which leaves a core file.
STACKS_SIGNAL: int = signal.SIGRTMAX - 1 if hasattr(signal, "SIGRTMAX") else signal.SIGUSR2


class SignalPipe:
    """A pipe that receives the numbers of `watch`ed signals, one byte each."""

    __slots__ = ("read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)

    def watch(self, signals: tuple[signal.Signals, ...]) -> None:
        """Send `signals` here from now on. Only the main thread may call this."""
        # The descriptor first: a signal that comes between the two still has its default effect, and is not
        # lost.
        self.receive()
        for number in signals:
            signal.signal(number, _do_nothing)

    def receive(self) -> None:
        """Let the interpreter write here whatever signal it handles. Only the main thread may call this."""
        signal.set_wakeup_fd(self.write_fd, warn_on_full_buffer=False)

    def watch_what_is_free(self, signals: tuple[signal.Signals, ...]) -> None:
        """Send those of `signals` here that still have their default effect: others have been taken."""
        for number in signals:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._write)

    def _write(self, number: int, frame: object) -> None:
        # Once more: the interpreter may have been told to write to another descriptor.
        try:  # noqa: SIM105 - contextlib costs every worker 0.4 MB
            os.write(self.write_fd, bytes((number,)))
        except BlockingIOError:
            pass  # it is full of signals

    def read(self) -> bytes:
        """Return the numbers received since the last call, in their order."""
        try:
            return os.read(self.read_fd, 4096)
        except BlockingIOError:
            return b""

    def again(self, numbers: bytes) -> None:
        """Let `numbers`, which were read already, be read once more."""
        if numbers:
            os.write(self.write_fd, numbers)

    def close(self) -> None:
        """Close both ends; the caller has reset the signals."""
        os.close(self.read_fd)
        os.close(self.write_fd)


def reset_signals(signals: tuple[signal.Signals, ...]) -> None:
    """Give `signals` their default effect and stop the wakeups: the first thing a forked worker does."""
    signal.set_wakeup_fd(-1)
    for number in signals:
        signal.signal(number, signal.SIG_DFL)


def pass_over_signals() -> None:
    """Let no signal have an effect on this worker that is not meant for it."""
    for number in _PASSED_OVER:
        signal.signal(number, _do_nothing)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def forget_signals() -> None:
    """Give what is handled here its default effect and stop all wakeups: in a child of the application's."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if getattr(signal.getsignal(number), "__module__", None) == __name__:
            signal.signal(number, signal.SIG_DFL)


def block_all_signals() -> set[int]:
    """Let all signals of this thread wait; return those that did before."""
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()))


def block_only(signals: set[int]) -> None:
    """Let `signals` wait and no others, those first that have come meanwhile."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def block_signals(signals: tuple[signal.Signals, ...]) -> None:
    """Let `signals` wait, also in a process that is forked now."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def unblock_signals(signals: tuple[signal.Signals, ...]) -> None:
    """Let `signals` come, those first that have waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def is_of_terminal() -> bool:
    """Say whether SIGWINCH may be of a terminal that has changed its size: all in its foreground get it."""
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False  # no terminal controls this process
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9; real-time signals have no names of their own."""
    # Of two names, as SIGABRT and SIGIOT, the first is what the module `signal` has, too.
    names = [name for name, value in vars(signal).items() if value == number and name.startswith("SIG")]
    return min((name for name in names if "_" not in name), default=f"signal {number}")


def how_it_ended(exit_code: int) -> str:
    """Say how a process has ended, as os.waitstatus_to_exitcode tells it."""
    return f"was killed by {signal_name(-exit_code)}" if exit_code < 0 else f"ended with status {exit_code}"


def _do_nothing(number: int, frame: object) -> None:
    pass
