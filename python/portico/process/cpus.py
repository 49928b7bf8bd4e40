"""How many CPUs this process may use, and who says so: the affinity mask or a cgroup quota (version 1 or 2).

Reads /proc and /sys only; on other systems the count of CPUs is all there is.
"""

from __future__ import annotations

import math
import os

CGROUP_ROOT = "/sys/fs/cgroup"


def allowed_cpus() -> tuple[int, str]:
    """Return the number of CPUs that can be kept busy, at least 1, and the reason in words."""
    count, reason = _affinity()
    quota = cgroup_quota()
    if quota is not None and math.ceil(quota) < count:
        # A quota of 1.5 CPUs keeps two workers busy part of the time; one would leave a third of it unused.
        return max(1, math.ceil(quota)), f"{_cpus(quota)} allowed by the cgroup quota"
    return count, reason


def cgroup_quota(root: str = CGROUP_ROOT, membership_path: str = "/proc/self/cgroup") -> float | None:
    """Return the CPUs' worth of time that the tightest cgroup around us allows, None for no limit."""
    try:
        with open(membership_path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            quotas += _quotas_along(root, path, _read_v2)
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                quotas += _quotas_along(os.path.join(root, name), path, _read_v1)
    return min(quotas, default=None)


def _affinity() -> tuple[int, str]:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
        return count, f"{_cpus(count)} allowed by affinity"
    count = os.cpu_count() or 1
    return count, f"{_cpus(count)} here"


def _cpus(count: float) -> str:
    return "1 CPU" if count == 1 else f"{count:g} CPUs"


def _quotas_along(mount: str, path: str, read: _Reader) -> list[float]:
    """Read every group from `path` up to the root: a quota on any of them binds.

    In a container the path may be the host's, and only the root is mounted: what cannot be read is skipped.
    """
    quotas = []
    while True:
        quota = read(mount + path.rstrip("/"))
        if quota is not None:
            quotas.append(quota)
        if path in ("", "/"):
            return quotas
        path = os.path.dirname(path)


def _read_v2(directory: str) -> float | None:
    words = _read_words(directory + "/cpu.max")
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _read_v1(directory: str) -> float | None:
    quota = _read_words(directory + "/cpu.cfs_quota_us")
    period = _read_words(directory + "/cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def _read_words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Reader: TypeAlias = Callable[[str], float | None]
