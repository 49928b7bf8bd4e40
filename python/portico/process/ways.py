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

    __slots__ = ("_pairs", "ends", "pid")

    def __init__(self, *openers: Callable[[], tuple[int, int]]) -> None:
        # Of the worker; in that 0.
        self.pid = -1
        self._pairs: list[tuple[int, int]] = []
        self.ends: list[int] = []
        try:
            for opener in openers:
                self._pairs.append(opener())
        except OSError:
            self.close()
            raise

    def fork(self, how: Callable[[], int] = os.fork) -> int:
        """As `fork_each`, for these alone; returns as os.fork does."""
        fork_each([self], how)
        return self.pid

    def keep(self, own: int) -> None:
        """Keep the ends with the index `own` of each pair, and close the others."""
        self.ends = [pair[own] for pair in self._pairs]
        for pair in self._pairs:
            os.close(pair[1 - own])

    def close(self) -> None:
        """Close both ends of all."""
        for pair in self._pairs:
            for fd in pair:
                os.close(fd)


def fork_each(all_ways: list[Ways], how: Callable[[], int] = os.fork) -> Ways | None:
    """Fork a worker for each of `all_ways` by `how`, as os.fork; returns in a worker those of its own.

    What a parent changes between two forks, each worker has in its own memory: so there is nothing between
    them. If one fails, those that have no worker are closed and taken out of the list; raises OSError if that
    is all. A worker reads end of file when its parent is gone, since nobody else holds the other end. In it
    the parent's signals wait until `forget_parent`: until it has let go of the wakeup pipe, a signal for it
    would be written into its parent's.
    """
    forked = 0
    failure = None
    block_signals(SUPERVISOR_SIGNALS)
    try:
        for ways in all_ways:
            ways.pid = how()
            if not ways.pid:
                return _own(ways, all_ways)
            forked += 1
    except OSError as error:
        failure = error
    unblock_signals(SUPERVISOR_SIGNALS)
    for ways in all_ways[forked:]:
        ways.close()
    del all_ways[forked:]
    for ways in all_ways:
        ways.keep(0)
        for fd in ways.ends:
            os.set_blocking(fd, False)
    if failure is not None and not all_ways:
        raise failure
    return None


def _own(own: Ways, all_ways: list[Ways]) -> Ways:
    for ways in all_ways:
        if ways is own:
            ways.keep(1)
        else:
            ways.close()
    return own


def forget_parent(signals: SignalPipe) -> None:
    """In a forked process, first of all: take no signals as its parent does, by `signals`."""
    reset_signals(SUPERVISOR_SIGNALS)
    pass_over_signals()
    unblock_signals(SUPERVISOR_SIGNALS)
    signals.close()
