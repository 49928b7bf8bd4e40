"""How many workers the memory has room for that a cgroup allows, by what one of them takes.

Runs in the supervisor; reads /proc and /sys only. On other systems, and without a limit, there is room.
"""

from __future__ import annotations

from portico.process.cgroup import CGROUP_ROOT, MEMBERSHIP_PATH, read_words, tightest

# Of the limit, for workers as they are when they get ready: applications take more with their first requests,
# and the pages of files that are read count too.
_SHARE = 0.8
# A version 1 group without a limit has the most pages that the kernel can count.
_NO_LIMIT_BYTES = 1 << 60


def memory_limit(root: str = CGROUP_ROOT, membership_path: str = MEMBERSHIP_PATH) -> int | None:
    """Return the bytes that the tightest cgroup around us allows, None for no limit."""
    limit = tightest(root, membership_path, "memory", _read_v2, _read_v1)
    return None if limit is None or limit >= _NO_LIMIT_BYTES else int(limit)


def memory_of(pid: int) -> int:
    """Return the bytes that process `pid` has: private ones, and its share of what others have too.

    0 if that cannot be read.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Room:
    """How many workers there is room for, and a sentence about that."""

    __slots__ = ("_limit_bytes", "_worker_bytes", "workers")

    def __init__(self, limit_bytes: int, worker_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._worker_bytes = worker_bytes
        self.workers = max(1, int(limit_bytes * _SHARE / worker_bytes))

    def __str__(self) -> str:
        return (
            f"the cgroup allows {self._limit_bytes >> 20} MiB of memory, and one worker has "
            f"{self._worker_bytes >> 20} MiB when it is ready"
        )


def _read_v2(directory: str) -> float | None:
    words = read_words(directory + "/memory.max")
    return float(words[0]) if words and words[0] != "max" else None


def _read_v1(directory: str) -> float | None:
    words = read_words(directory + "/memory.limit_in_bytes")
    return float(words[0]) if words else None
