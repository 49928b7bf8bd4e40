"""Functions by their places, for a profile where frames cannot be read: without the interpreter's lock.

What is known of a thread there is file, line and name of each of its calls (`portico.deadlines`). Functions
are found by compiling the file once more, which holds nobody up: calls go on beside it. Runs in the worker,
on the thread of the profile.
"""

from __future__ import annotations

from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_DEPTH = 100
"""Calls of a thread that `faulthandler` writes (MAX_FRAME_DEPTH of Python/traceback.c)."""
_MOST_SOURCE_BYTES = 4 * 1024 * 1024


class Finder:
    """Remembers what it has found."""

    def __init__(self) -> None:
        self._files: dict[str, list[CodeType]] = {}
        self._found: dict[tuple[str, int, str], CodeType | str] = {}
        self._names: dict[str, str] = {}

    def codes(self, places: Sequence[tuple[str, int, str]]) -> tuple[list[CodeType | str], bool]:
        """Return the functions at these places, and whether there may have been more of them.

        Each is always the same object. Where none is found it is a name.
        """
        return [self._code(*place) for place in places], len(places) >= MOST_DEPTH

    def _code(self, file: str, line: int, name: str) -> CodeType | str:
        found = self._found.get((file, line, name))
        if found is None:
            found = self._find(file, line, name)
            if found is None:
                found = self._names.setdefault(f"{name} ({file})", f"{name} ({file})")
            self._found[file, line, name] = found
        return found

    def _find(self, file: str, line: int, name: str) -> CodeType | None:
        """Return the innermost function of this name that has this line."""
        if file not in self._files:
            self._files[file] = list(_compiled(file))
        of_name = (code for code in self._files[file] if code.co_name == name)
        having = [code for code in of_name if any(at == line for _, _, at in code.co_lines())]
        return max(having, key=lambda code: code.co_firstlineno, default=None)


def _compiled(file: str) -> Iterator[CodeType]:
    """All functions of a file, and its module; nothing if it is no file, or another one by now."""
    try:
        with open(file, "rb") as source:
            module = compile(source.read(_MOST_SOURCE_BYTES), file, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    left = [module]
    while left:
        code = left.pop()
        yield code
        left += [const for const in code.co_consts if isinstance(const, CodeType)]
