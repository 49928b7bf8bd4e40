"""Files by pattern, in folders that a person writes in: `templates/**/*.html`.

`**` is any number of folders, `*` and `?` do not go beyond one. Folders that only programs write in are
passed over: hidden ones, `__pycache__`, `node_modules` and virtual environments. Used by the loop.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WILDCARDS = ("*", "?")
_PASSED_OVER = ("__pycache__", "node_modules")
_BACKUP = "~"
"""The end of the names by which editors keep what was there before."""
_ENVIRONMENT_FILE = "pyvenv.cfg"
_ANY_DEPTH = 1 << 30


class Glob:
    """The files that a pattern means at this moment.

    `pattern` starts from `folder` unless it is absolute. One without a wildcard is a file, or all that is in
    a folder.
    """

    def __init__(self, folder: str, pattern: str) -> None:
        parts = os.path.normpath(os.path.join(folder, pattern)).split(os.sep)
        fixed = next((index for index, part in enumerate(parts) if _has_wildcard(part)), len(parts))
        self.folder = os.sep.join(parts[:fixed]) or os.sep
        self._rest = parts[fixed:]
        below = self._rest or ["**", "*"]
        self._depth = _ANY_DEPTH if "**" in below else len(below)
        self._matches = re.compile(_expression(below)).fullmatch
        self._shows_hidden = any(part.startswith(".") for part in below)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Glob) and (self.folder, self._rest) == (other.folder, other._rest)

    def __hash__(self) -> int:
        return hash((self.folder, *self._rest))

    def files(self) -> Iterator[str]:
        """Yield the paths of the files that are there."""
        if not self._rest and not os.path.isdir(self.folder):
            yield self.folder
            return
        for path, is_folder in self._walk(self.folder, "", 1):
            if not is_folder:
                yield path

    def folders(self) -> Iterator[str]:
        """Yield the folders in which such files are, or could come to be."""
        if not os.path.isdir(self.folder):
            yield os.path.dirname(self.folder)
            return
        yield self.folder
        for path, is_folder in self._walk(self.folder, "", 1):
            if is_folder:
                yield path

    def _walk(self, folder: str, below: str, depth: int) -> Iterator[tuple[str, bool]]:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return
        if below and any(entry.name == _ENVIRONMENT_FILE for entry in entries):
            return
        for entry in entries:
            is_hidden = entry.name.startswith(".") and not self._shows_hidden
            if is_hidden or entry.name in _PASSED_OVER or entry.name.endswith(_BACKUP):
                continue
            # A link to a folder could lead back to where it is.
            if entry.is_dir(follow_symlinks=False):
                if depth < self._depth:
                    yield entry.path, True
                    yield from self._walk(entry.path, f"{below}{entry.name}/", depth + 1)
            elif self._matches(below + entry.name):
                yield entry.path, False


def _has_wildcard(part: str) -> bool:
    return any(wildcard in part for wildcard in _WILDCARDS)


def _expression(parts: list[str]) -> str:
    """Return a regular expression for paths below the folder."""
    written = ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            written += ".*" if is_last else "(?:.*/)?"
            continue
        written += re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        written += "" if is_last else "/"
    return written
