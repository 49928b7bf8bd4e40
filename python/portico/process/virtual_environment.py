"""Goes on in the virtual environment that an application asks for: the same command line, in its Python.

Runs in the process of the command line, which is replaced.
"""

from __future__ import annotations

import os
import sys

from portico.config.settings import Settings
from portico.errors import OperatorError, quoted
from portico.process.launch import interpreter_options

_BOOTSTRAP = """
import sys
try:
    from portico.cli import main
except ImportError as error:
    sys.exit(f"portico: {sys.prefix} has no portico that can be imported ({error}): install it there, by "
             f"{sys.executable} -m pip install portico-server")
main()
"""


def enter_virtual_environment(settings: Settings) -> None:
    """Go on in the Python of the virtual environment of `settings`; returns where that is this one, or none.

    Raises OperatorError if it is none.
    """
    if not settings.virtual_environment or _is_here(settings.virtual_environment):
        return
    python = os.path.join(settings.virtual_environment, "bin", "python")
    if not os.access(python, os.X_OK):
        raise OperatorError(
            f"venv: expected a virtual environment, got {quoted(settings.virtual_environment)}, "
            "which has no bin/python"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(python, [python, *interpreter_options(), "-c", _BOOTSTRAP, *sys.argv[1:]])


def _is_here(path: str) -> bool:
    try:
        return os.path.samefile(path, sys.prefix)
    except OSError:
        return False
