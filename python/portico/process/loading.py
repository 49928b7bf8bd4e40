"""Loading the application where it will run: enter its folder, put that on the import path, import.

Used by a worker, and by `portico check` in a process that only tries. An exception of the application's own
passes through; `traceback_of` shows it from the application's first frame on.
"""

from __future__ import annotations

import os

from portico.app_loader import load_application
from portico.app_loader.modules import extend_path
from portico.errors import OperatorError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.types import WSGIApplication

_PORTICO = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def load_in(
    directory: str, pythonpath: Sequence[str], name: str, *, factory: bool
) -> tuple[WSGIApplication, str]:
    """Return the application called `name` and its full name, having made `directory` the working directory.

    `factory`: what `name` names has to be called first, without arguments. Raises OperatorError when there is
    no such folder or application.
    """
    try:
        # By its path at every start: a reload follows a link that was switched to the next release.
        os.chdir(directory)
    except OSError as error:
        raise OperatorError(
            f"cannot enter the working directory {quoted(directory)}: {error.strerror}"
        ) from None
    extend_path([directory, *(os.path.join(directory, path) for path in pythonpath)])
    return load_application(name, directory=directory, factory=factory)


def traceback_of(error: BaseException, *, hide_loader: bool = True) -> str:
    """Return the traceback of `error`, from the application's first frame on."""
    import traceback

    trace = error.__traceback__
    if hide_loader:
        first = trace
        while first is not None and _is_of_loader(first.tb_frame.f_code.co_filename):
            first = first.tb_next
        # A SyntaxError in the module itself has no frame of the application, and its text says where it is.
        trace = first
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")


def _is_of_loader(filename: str) -> bool:
    import importlib

    return filename.startswith((_PORTICO, "<frozen importlib")) or filename == importlib.__file__
