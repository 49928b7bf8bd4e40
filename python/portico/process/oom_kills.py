"""How often the kernel has killed a process of this cgroup for want of memory (version 1 or 2).

Reads /proc and /sys only; on other systems, and where the cgroup is not mounted, it is never known.
"""

from __future__ import annotations

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
            try:
                with open(path, encoding="ascii") as file:
                    lines = file.read().splitlines()
            except OSError:
                continue
            for line in lines:
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
        return 0


def _candidates(root: str, membership_path: str) -> list[str]:
    """Where the counter may be; in a container the path may be the host's, and only the root is mounted."""
    try:
        with open(membership_path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    paths = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        group = path.rstrip("/")
        if number == "0" and not controllers:
            paths += [f"{root}{group}/memory.events", f"{root}/memory.events"]
        elif "memory" in controllers.split(","):
            paths += [f"{root}/memory{group}/memory.oom_control", f"{root}/memory/memory.oom_control"]
    return paths
