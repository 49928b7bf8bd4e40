"""When a process has started, as the kernel tells."""

from __future__ import annotations

import os


def when_started(pid: int) -> float | None:
    """Return when a process has started, in seconds since 1970; None where nobody knows."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            booted_at_s = next(int(line.split()[1]) for line in file if line.startswith("btime "))
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # Behind the name, which may hold anything: the 22nd field (proc_pid_stat(5)).
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return booted_at_s + ticks / os.sysconf("SC_CLK_TCK")
