"""What Linux tells of other processes: children, memory, CPU time, life."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path


def children(pid: int) -> list[int]:
    """The process ids of the living children of `pid`, oldest first."""
    found = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [child for child in sorted(found) if is_alive(child)]


def is_alive(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    return _state(Path(f"/proc/{pid}")) not in "ZX"


def is_stopped(pid: int) -> bool:
    """Whether each thread of `pid` stands still: they do a moment after SIGSTOP was sent."""
    return all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir())


def _state(folder: Path) -> str:
    """One letter (proc_pid_stat(5)); X if there is none."""
    try:
        status = (folder / "stat").read_text()
    except OSError:
        return "X"
    return status.rpartition(")")[2].split()[0]


def cpu_s(pid: int) -> float:
    """User and system seconds of `pid`; 0 once it has ended."""
    # Its CPU clock (clock_getcpuclockid(3): the inverted pid, shifted, with CPUCLOCK_SCHED).
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def memory_bytes(pid: int) -> int:
    """What `pid` has of memory that is no file's: private pages, and its share of shared ones.

    Its share of files depends on who else has them open, the tests beside this one for example.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", rollup, re.MULTILINE)
    assert len(found) == 2, rollup
    return sum(map(int, found)) * 1024


def thread_count(pid: int) -> int:
    """How many threads `pid` has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def wake_ups(pid: int, thread_name: str) -> int:
    """How often the threads of `pid` whose names begin so have waited and been woken again."""
    count = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if (thread / "comm").read_text().startswith(thread_name):
            status = (thread / "status").read_text()
            match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
            assert match, status
            count += int(match[1])
    return count
