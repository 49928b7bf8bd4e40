"""What Linux tells of running processes: children, memory, descriptors, CPU time (proc(5)).

A process that has ended reads as zeros or as absent, never as an error: workers end at any moment here.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from support.processes import children, cpu_s, is_alive

__all__ = ["Weight", "children", "cpu_s", "is_alive", "tcp_memory_bytes", "weigh", "weigh_all"]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Weight:
    """What one process holds."""

    rss_bytes: int
    pss_bytes: int
    descriptors: int


def weigh(pid: int) -> Weight | None:
    """Memory and descriptors of `pid`, None once it has ended."""
    try:
        rss_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    pss_kib = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    # A process that is ending has no pages left.
    return Weight(rss_pages * PAGE_BYTES, pss_kib * 1024, descriptors) if rss_pages else None


def weigh_all(pids: list[int]) -> Weight:
    """The sum over `pids`."""
    weights = [weight for weight in map(weigh, pids) if weight is not None]
    return Weight(
        sum(weight.rss_bytes for weight in weights),
        sum(weight.pss_bytes for weight in weights),
        sum(weight.descriptors for weight in weights),
    )


def tcp_memory_bytes() -> int:
    """What all TCP sockets of the machine hold in the kernel."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1]) * PAGE_BYTES
    return 0
