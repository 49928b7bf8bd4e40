"""What has changed of what a worker has read, and when that is over: the next worker is for it.

Looks at the files ten times a second, or when the notifier says so, and before each request; between looks
nothing runs. Used by the loop. Times are on the monotonic clock.
"""

from __future__ import annotations

import os
import time

from portico import log
from portico.dev.globs import Glob
from portico.dev.notifier import Notifier, can_notify
from portico.dev.watching import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.dev.modules import Report

# Between two looks at all files, where nobody notifies of changes; and where somebody does, for the rest.
_LOOK_EVERY_S = 0.1
_LOOK_ANYWAY_S = 1.0
# Looking takes at most one part in so many of the time.
_LOOK_SHARE = 20
# A change is over when nothing else changes for so long: a save can be several steps, and `git switch` is.
_QUIET_S = 0.04
_LONGEST_S = 1.0
_SHOWN_FILES = 3
_SOURCES = "**/*.py"


class Changes:
    """Files that were read, and what has changed of them.

    `folders` are what modules are imported from, the working directory first; `patterns` are files to watch
    besides. With `is_off` nothing ever changes.
    """

    def __init__(self, folders: Sequence[str], patterns: Sequence[str], *, is_off: bool) -> None:
        self._folders = folders
        self._globs = [Glob(folders[0], pattern) for pattern in patterns]
        self._is_off = is_off
        self._can_notify = not is_off and can_notify()
        self._notifier: Notifier | None = None
        self._watch = Watch()
        self._look_at_s = 0.0
        self._changed: set[str] = set()
        self.noticed_at_s = 0.0
        self.over_at_s = 0.0
        self._watch.follow((), self._globs, since_ns=time.time_ns())

    @property
    def due_s(self) -> float | None:
        """When to `look` again."""
        return None if self._is_off else self._look_at_s

    @property
    def fd(self) -> int:
        """What is readable when it is worth to look, or -1. Then call `hear`."""
        return -1 if self._notifier is None else self._notifier.fd

    @property
    def are_notified(self) -> bool:
        """Whether the system tells of changes."""
        return self._can_notify

    def hear(self) -> None:
        """The notifier has said something, or has ended."""
        self._look_at_s = 0.0
        if self._notifier is not None and not self._notifier.read():
            log.warning("watchfiles has ended; portico looks for changes itself")
            self._can_notify = False
            self.close()

    def look(self, now_s: float) -> bool:
        """Look at the files, if that is due, and say whether any has changed since the last look."""
        return now_s >= self._look_at_s and self.look_at_once(now_s)

    def look_at_once(self, now_s: float) -> bool:
        """Look at the files, and say whether any has changed since the last look."""
        if self._is_off:
            return False
        has_changed = self._note(now_s)
        every_s = _LOOK_EVERY_S if self._notifier is None else _LOOK_ANYWAY_S
        if self._changed:
            every_s = _QUIET_S / 2
        took_s = time.monotonic() - now_s
        self._look_at_s = now_s + max(every_s, _LOOK_SHARE * took_s)
        return has_changed

    def take(self, now_s: float) -> list[str]:
        """Return what has changed up to now, for a process that begins to read: later changes are others."""
        if not self._is_off:
            self._note(now_s)
        changed = sorted(self._changed)
        self._changed.clear()
        return changed

    def _note(self, now_s: float) -> bool:
        changed = self._watch.look()
        if changed:
            if not self._changed:
                self.noticed_at_s = now_s
            self._changed |= changed
            self.over_at_s = min(now_s + _QUIET_S, self.noticed_at_s + _LONGEST_S)
        return bool(changed)

    def follow(self, report: Report, *, since_ns: int) -> None:
        """Watch what is in `report`, of a process that began to read at `since_ns` of the wall clock."""
        if self._is_off:
            return
        globs = [*self._globs, *(Glob(folder, pattern) for folder, pattern in report.globs)]
        if report.has_failed:
            # What is missing may come to be; and what was read before, it may not have come to.
            globs += [Glob(folder, _SOURCES) for folder in self._folders]
            self._watch.extend(report.files, globs, since_ns=since_ns)
        else:
            self._watch.follow(report.files, globs, since_ns=since_ns)
        self._look_at_s = 0.0
        if self._can_notify:
            self._have_notified()

    def _have_notified(self) -> None:
        """Have a notifier for all that is watched now."""
        folders = self._watch.folders()
        if self._notifier is not None and folders <= self._notifier.folders:
            return
        self.close()
        try:
            self._notifier = Notifier(folders)
        except OSError as error:
            self._can_notify = False
            log.warning(f"cannot start watchfiles: {error.strerror}; portico looks for changes itself")

    def describe(self, changed: Sequence[str]) -> str:
        """Return the names of files as a sentence can have them."""
        names = [os.path.relpath(path, self._folders[0]) for path in changed]
        rest = len(names) - _SHOWN_FILES
        return ", ".join(names[:_SHOWN_FILES]) + (f" and {rest} more" if rest > 0 else "")

    def close(self) -> None:
        """Let the notifier end; in a forked process, let go of it."""
        if self._notifier is not None:
            self._notifier.close()
            self._notifier = None
