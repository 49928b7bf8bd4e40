"""Calls of the application that take too long: what is raised in them, and where they stand.

Loaded when there is one (`src/wsgi/ladder.rs`), or when the application names `RequestTimeout`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_FOLDER = os.path.dirname(os.path.abspath(__file__))
# Below these the first thread, which calls the application too, has come to that.
_STARTERS = tuple(os.path.join(_FOLDER, name, "") for name in ("process", "embedding", "dev"))
# Of a stack that is deeper, the innermost frames.
_MOST_FRAMES = 40


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


def describe_stack(frame: FrameType) -> str:
    """Return the stack of a thread that is in `frame`, without what has started the server."""
    import traceback

    stack = traceback.extract_stack(frame, limit=_MOST_FRAMES)
    begins = [index + 1 for index, each in enumerate(stack) if each.filename.startswith(_STARTERS)]
    return "".join(traceback.format_list(stack[max(begins, default=0) :])).rstrip("\n")
