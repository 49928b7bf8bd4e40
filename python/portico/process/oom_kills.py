"""How often the kernel has killed a process of this cgroup for want of memory (version 1 or 2).

Such a kill may be of a worker, or of a program that an application has started, of whose end nobody hears
here. So each is remembered for a moment only: a worker that is killed later was killed by somebody else.

Reads /proc and /sys only; on other systems, and where the cgroup is not mounted, it is never known.
"""

from __future__ import annotations

import os

from portico import log
from portico.process.loop import Duty

# More than there is.
_MOST_BYTES = 16 * 1024
# Not that of cpus.py, which no supervised process has.
_CGROUP_ROOT = "/sys/fs/cgroup"
# Between two looks. What was there at the one before, too, is remembered no longer: a process that was killed
# has ended by then.
_LEAST_S = 5.0
# The supervisor looks whenever it has something to do, and wakes for it so seldom: each time that costs
# memory, as it changes pages that it has in common with its workers.
_MOST_S = 60.0


class OomKills(Duty):
    """A counter of the kernel's, and what of it has been accounted for."""

    __slots__ = ("_next_s", "_noticed", "_path", "_seen")

    def __init__(self, root: str = _CGROUP_ROOT, membership_path: str = "/proc/self/cgroup") -> None:
        paths = _candidates(root, membership_path)
        # None where there is no such counter.
        self._path = next((path for path in paths if _count(path) is not None), None)
        # What is accounted for, and what there was at the latest look.
        self._seen = self._noticed = self._count()
        self._next_s = 0.0

    def take(self) -> bool:
        """Say whether there was one more, and account for that."""
        count = self._count()
        if count <= self._seen:
            self._seen = count
            return False
        self._seen += 1
        return True

    def look(self, now_s: float) -> None:
        if self._path is None or now_s < self._next_s:
            return
        self._next_s = now_s + _LEAST_S
        count, before = self._count(), self._noticed
        self._noticed = count
        if count == before > self._seen:
            self._seen = count
            log.info(
                "a process of this cgroup was killed for want of memory that is no worker of this server"
            )

    def due_s(self) -> float | None:
        return None if self._path is None else self._next_s + _MOST_S - _LEAST_S

    def _count(self) -> int:
        return (self._path and _count(self._path)) or 0


def _count(path: str) -> int | None:
    for line in _lines(path):
        name, _, number = line.partition(" ")
        if name == "oom_kill":
            return int(number)
    return None


def _candidates(root: str, membership_path: str) -> list[str]:
    """Where the counter may be; in a container the path may be the host's, and only the root is mounted."""
    paths = []
    for line in _lines(membership_path):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        group = path.rstrip("/")
        if number == "0" and not controllers:
            paths += [f"{root}{group}/memory.events", f"{root}/memory.events"]
        elif "memory" in controllers.split(","):
            paths += [f"{root}/memory{group}/memory.oom_control", f"{root}/memory/memory.oom_control"]
    return paths


def _lines(path: str) -> list[str]:
    """Return the lines of a small file, none if it cannot be read; a file object costs each process 60 KB."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(fd, _MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    finally:
        os.close(fd)
