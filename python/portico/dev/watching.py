"""Which of the watched files have changed since the last look: saved, renamed over, deleted, made, relinked.

What counts is the file that a path leads to, by time, size and inode, so it does not matter how an editor
saves, or which link was switched. Used by the loop; nothing here waits.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.dev.globs import Glob

    # None is a file that is not there.
    Signature = tuple[int, int, int, int] | None

_CLOCK_NS = 20_000_000
"""Times of files are of the kernel's coarse clock, which may be a tick behind (CLOCK_REALTIME_COARSE)."""
_OUTDATED: Signature = (-1, -1, -1, -1)
"""What no file is like."""


class Watch:
    """Files by path, and those of globs, as they were at the last look."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._globs: set[Glob] = set()
        self._seen: dict[str, Signature] = {}
        # What was found to have changed when something else was to be found out.
        self._found: set[str] = set()

    def follow(self, files: Iterable[str], globs: Iterable[Glob], *, since_ns: int) -> None:
        """Watch `files` and what `globs` mean from now on, and nothing else.

        One of `files` that was not watched before and has changed since `since_ns` (nanoseconds of the wall
        clock), when a process began to read them, counts as changed after it was read.
        """
        self._found = self.look()
        self._files, self._globs = set(files), set(globs)
        now_ns = time.time_ns()
        seen = {}
        for path in self._paths():
            if path in self._seen:
                seen[path] = self._seen[path]
                continue
            status = _status(path)
            seen[path] = _signature(status)
            # One from the future is of a clock that cannot be compared.
            if path in self._files and status and since_ns - _CLOCK_NS <= status.st_ctime_ns <= now_ns:
                seen[path] = _OUTDATED
        self._seen = seen

    def extend(self, files: Iterable[str], globs: Iterable[Glob], *, since_ns: int) -> None:
        """As `follow`, beside what is watched already."""
        self.follow(self._files.union(files), self._globs.union(globs), since_ns=since_ns)

    def look(self) -> set[str]:
        """Return the paths that have changed since the last look."""
        now = {path: _signature(_status(path)) for path in self._paths()}
        changed = {path for path in now.keys() | self._seen.keys() if now.get(path) != self._seen.get(path)}
        changed |= self._found
        self._seen, self._found = now, set()
        return changed

    def folders(self) -> set[str]:
        """Return the folders in which something may change."""
        found = {os.path.dirname(path) for path in self._files}
        for glob in self._globs:
            found.update(glob.folders())
        return {folder for folder in found if os.path.isdir(folder)}

    def _paths(self) -> set[str]:
        paths = set(self._files)
        for glob in self._globs:
            paths.update(glob.files())
        return paths


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _signature(status: os.stat_result | None) -> Signature:
    if status is None:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
