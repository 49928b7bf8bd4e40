"""How often the kernel has killed a process of this cgroup for want of memory (version 1 or 2).

Reads /proc and /sys only; on other systems, and where the cgroup is not mounted, it is never known.
"""

from __future__ import annotations

import os

# More than there is.
_MOST_BYTES = 16 * 1024
# Not that of cpus.py, which no supervised process has.
_CGROUP_ROOT = "/sys/fs/cgroup"


class OomKills:
    """A counter of the kernel's, and what of it has been accounted for."""

    __slots__ = ("_paths", "_seen")

    def __init__(self, root: str = _CGROUP_ROOT, membership_path: str = "/proc/self/cgroup") -> None:
        self._paths = _candidates(root, membership_path)
        self._seen = self._count()

    def take(self) -> bool:
        """Say whether there was one more, and account for that."""
        count = self._count()
        if count <= self._seen:
            self._seen = count
            return False
        self._seen += 1
        return True

    def _count(self) -> int:
        for path in self._paths:
            for line in _lines(path):
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
        return 0


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
