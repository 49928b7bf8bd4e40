"""A traceback as who wrote the application reads it: from its first frame on."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

PORTICO_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def traceback_of(error: BaseException, *, hide_loader: bool = True) -> str:
    """Return the traceback of `error`, from the application's first frame on."""
    import traceback

    trace = application_trace(error) if hide_loader else error.__traceback__
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")


def application_trace(error: BaseException) -> TracebackType | None:
    """Return the trace of `error` from the application's first frame on.

    None if there is no such frame: a SyntaxError in the module itself has none; its text says where it is.
    """
    trace = error.__traceback__
    while trace is not None and _is_of_loader(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _is_of_loader(filename: str) -> bool:
    import importlib

    return filename.startswith((PORTICO_FOLDER, "<frozen importlib")) or filename == importlib.__file__
