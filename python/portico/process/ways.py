"""The ways between a worker and the process that forks it: sockets and pipes, of which each has one end.

Used by who forks (the supervisor, the loop of `portico dev`) and, for a moment, by the forked process, which
lets go of what was its parent's: `forget_parent`.
"""

from __future__ import annotations

import os

from portico.process.signals import (
    SUPERVISOR_SIGNALS,
    SignalPipe,
    block_signals,
    pass_over_signals,
    reset_signals,
    unblock_signals,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Ways:
    """Ways that are there before the fork; after it `ends` has this process's end of each.

    Each of `openers` returns two descriptors: the parent's, which does not block, and the worker's. Raises
    OSError if one cannot be had, and leaves none open.
    """

    __slots__ = ("_pairs", "ends")

    def __init__(self, *openers: Callable[[], tuple[int, int]]) -> None:
        self._pairs: list[tuple[int, int]] = []
        self.ends: list[int] = []
        try:
            for opener in openers:
                self._pairs.append(opener())
        except OSError:
            self._close_all()
            raise

    def fork(self, how: Callable[[], int] = os.fork) -> int:
        """Fork by `how`, and return as os.fork does; raises OSError, with all closed, if that cannot be.

        In the worker the parent's signals wait until `forget_parent`: until it has let go of the wakeup pipe,
        a signal for it would be written into its parent's.
        """
        block_signals(SUPERVISOR_SIGNALS)
        try:
            pid = how()
        except OSError:
            unblock_signals(SUPERVISOR_SIGNALS)
            self._close_all()
            raise
        own = 1 if pid == 0 else 0
        self.ends = [pair[own] for pair in self._pairs]
        # A worker reads end of file when its parent is gone, since nobody else holds the other end.
        for pair in self._pairs:
            os.close(pair[1 - own])
        if pid:
            unblock_signals(SUPERVISOR_SIGNALS)
            for fd in self.ends:
                os.set_blocking(fd, False)
        return pid

    def _close_all(self) -> None:
        for pair in self._pairs:
            for fd in pair:
                os.close(fd)


def forget_parent(signals: SignalPipe) -> None:
    """In a forked process, first of all: take no signals as its parent does, by `signals`."""
    reset_signals(SUPERVISOR_SIGNALS)
    pass_over_signals()
    unblock_signals(SUPERVISOR_SIGNALS)
    signals.close()
