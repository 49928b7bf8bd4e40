"""What a process tree has spent: CPU time and memory, read from the kernel."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat that are needed here (proc(5))."""

    pid: int
    parent: int
    session: int
    cpu_s: float
    reaped_cpu_s: float


def tree(root: int) -> list[Stat]:
    """The process `root`, its descendants, and whatever else is in its session."""
    stats = {stat.pid: stat for stat in _all()}
    members = {pid for pid, stat in stats.items() if pid == root or stat.session == root}
    grown = True
    while grown:
        more = {pid for pid, stat in stats.items() if stat.parent in members} - members
        members |= more
        grown = bool(more)
    return [stats[pid] for pid in sorted(members)]


def cpu_s(root: int) -> float:
    """User and system seconds of the tree, children that have ended and were reaped included."""
    return sum(_precise_cpu_s(stat) + stat.reaped_cpu_s for stat in tree(root))


def pss_bytes(root: int) -> int:
    """Proportional set size of the tree: private pages, and each shared one divided by its users."""
    total = 0
    for stat in tree(root):
        try:
            rollup = Path(f"/proc/{stat.pid}/smaps_rollup").read_text()
        except (OSError, ProcessLookupError):
            continue
        total += next(
            (int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0
        )
    return total


def _all() -> list[Stat]:
    stats = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        # The command's name is in parentheses and may itself hold any of them.
        fields = text.rpartition(")")[2].split()
        ticks = [int(field) / TICKS_PER_S for field in fields[11:15]]
        stats.append(
            Stat(int(entry.name), int(fields[1]), int(fields[3]), ticks[0] + ticks[1], ticks[2] + ticks[3])
        )
    return stats


def _precise_cpu_s(stat: Stat) -> float:
    # stat counts in ticks of 10 ms, 1 % of a short run. The process's CPU clock (clock_getcpuclockid(3):
    # the inverted pid, shifted, with CPUCLOCK_SCHED) is the same sum in nanoseconds.
    try:
        return time.clock_gettime((~stat.pid << 3) | 2)
    except OSError:
        return stat.cpu_s
