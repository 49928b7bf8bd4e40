"""How many CPUs this process may use, and who says so: the affinity mask or a cgroup quota (version 1 or 2).

Reads /proc and /sys only; on other systems the count of CPUs is all there is.
"""

from __future__ import annotations

import math
import os

from portico.process.cgroup import CGROUP_ROOT, MEMBERSHIP_PATH, read_words, tightest


def allowed_cpus() -> tuple[int, str]:
    """Return the number of CPUs that can be kept busy, at least 1, and the reason in words."""
    count, reason = _affinity()
    quota = cgroup_quota()
    if quota is not None and math.ceil(quota) < count:
        # A quota of 1.5 CPUs keeps two workers busy part of the time; one would leave a third of it unused.
        return max(1, math.ceil(quota)), f"{_cpus(quota)} allowed by the cgroup quota"
    return count, reason


def cgroup_quota(root: str = CGROUP_ROOT, membership_path: str = MEMBERSHIP_PATH) -> float | None:
    """Return the CPUs' worth of time that the tightest cgroup around us allows, None for no limit."""
    return tightest(root, membership_path, "cpu", _read_v2, _read_v1)


def _affinity() -> tuple[int, str]:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
        return count, f"{_cpus(count)} allowed by affinity"
    count = os.cpu_count() or 1
    return count, f"{_cpus(count)} here"


def _cpus(count: float) -> str:
    return "1 CPU" if count == 1 else f"{count:g} CPUs"


def _read_v2(directory: str) -> float | None:
    words = read_words(directory + "/cpu.max")
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _read_v1(directory: str) -> float | None:
    quota = read_words(directory + "/cpu.cfs_quota_us")
    period = read_words(directory + "/cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])
