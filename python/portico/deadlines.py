"""Calls of the application that take too long: what is raised in them, and where they stand.

Loaded when there is one (`src/wsgi/ladder.rs`), or when the application names `RequestTimeout`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

_FOLDER = os.path.dirname(os.path.abspath(__file__))
# Below these the first thread, which calls the application too, has come to that.
_STARTERS = tuple(os.path.join(_FOLDER, name, "") for name in ("process", "embedding", "dev"))
# Of a stack that is deeper, the innermost frames.
_MOST_FRAMES = 40
# The same for what the supervisor is to know, and of each line of it.
_MOST_SAID = 16
_MOST_CHARACTERS = 240


class RequestTimeout(BaseException):
    """Raised in a call of the application that has kept its client waiting for longer than `timeout`.

    Wherever the call is, once it runs Python code. It is no `Exception`, so that `except Exception` lets it
    pass, and what stands in `finally` and `with` gets `timeout_grace` to clean up. An application that
    catches it may still send a response of its own within that time.
    """

    def __init__(
        self, text: str = "the call has kept its client waiting for longer than the timeout"
    ) -> None:
        super().__init__(text)


# Where applications import it from, and so what tracebacks call it.
RequestTimeout.__module__ = "portico"


def describe_place(frame: FrameType) -> str:
    """Return what the supervisor is to know of a thread that is in `frame`, line by line, bounded.

    The innermost line of the application's own code, that is, neither of the standard library nor of an
    installed package, and then the innermost of all: each as file, line, function and source, with tabs
    between; the same twice without code of its own. Then the stack, the outermost call first.
    """
    import traceback

    stack = list(traceback.extract_stack(frame, limit=_MOST_FRAMES))
    begins = [index + 1 for index, each in enumerate(stack) if each.filename.startswith(_STARTERS)]
    stack = stack[max(begins, default=0) :] or stack
    library = os.path.dirname(os.__file__) + os.sep
    own = [each for each in stack if not _is_foreign(each.filename, library)]
    places = [own[-1] if own else stack[-1], stack[-1]]
    lines = ["\t".join((each.filename, str(each.lineno), each.name, each.line or "")) for each in places]
    lines += [f"{each.filename}:{each.lineno} {each.name}: {each.line or ''}" for each in stack[-_MOST_SAID:]]
    return "\n".join(" ".join(line.split("\n"))[:_MOST_CHARACTERS] for line in lines)


def describe_failure(begun: TracebackType | None) -> str:
    """Return the last line of the application's own code in a traceback: file, line, function and source.

    Tabs are between them. Without code of its own it is the last line of all, and nothing without any.
    """
    import traceback

    stack = traceback.extract_tb(begun, limit=-_MOST_FRAMES)
    if not stack:
        return ""
    library = os.path.dirname(os.__file__) + os.sep
    last = next((each for each in reversed(stack) if not _is_foreign(each.filename, library)), stack[-1])
    place = "\t".join((last.filename, str(last.lineno), last.name, last.line or ""))
    return " ".join(place.split("\n"))[:_MOST_CHARACTERS]


def _is_foreign(filename: str, library: str) -> bool:
    """Say whether a file is no part of the application: of Python, of an installed package, or ours."""
    parts = filename.split(os.sep)
    return (
        filename.startswith(("<", library, _FOLDER + os.sep))
        or "site-packages" in parts
        or "dist-packages" in parts
    )


def describe_stack(frame: FrameType) -> str:
    """Return the stack of a thread that is in `frame`, without what has started the server."""
    import traceback

    stack = traceback.extract_stack(frame, limit=_MOST_FRAMES)
    begins = [index + 1 for index, each in enumerate(stack) if each.filename.startswith(_STARTERS)]
    return "".join(traceback.format_list(stack[max(begins, default=0) :])).rstrip("\n")
