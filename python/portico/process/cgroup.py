"""What the cgroups around this process allow it (version 1 or 2): the tightest of them binds.

Reads /proc and /sys only; on other systems there are none.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Reader: TypeAlias = Callable[[str], float | None]

CGROUP_ROOT = "/sys/fs/cgroup"
MEMBERSHIP_PATH = "/proc/self/cgroup"


def tightest(
    root: str, membership_path: str, controller: str, read_v2: _Reader, read_v1: _Reader
) -> float | None:
    """Return the lowest of what `read_v2` or `read_v1` find for the groups around us, None for no limit."""
    try:
        with open(membership_path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    found: list[float] = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found += _along(root, path, read_v2)
        elif controller in controllers.split(","):
            for name in (controllers, controller):
                found += _along(os.path.join(root, name), path, read_v1)
    return min(found, default=None)


def read_words(path: str) -> list[str]:
    """Return the words of a file of a group, none if it is not there."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _along(mount: str, path: str, read: _Reader) -> list[float]:
    """Read every group from `path` up to the root: a limit on any of them binds.

    In a container the path may be the host's, and only the root is mounted: what cannot be read is skipped.
    """
    found = []
    while True:
        limit = read(mount + path.rstrip("/"))
        if limit is not None:
            found.append(limit)
        if path in ("", "/"):
            return found
        path = os.path.dirname(path)
