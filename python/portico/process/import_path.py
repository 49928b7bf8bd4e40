"""The import path of this process, for the interpreter that takes its place.

A script of zc.buildout, shiv or pex puts onto `sys.path` what portico and the application are imported from;
a fresh interpreter would not find them. Runs in the process of the command line.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def import_path(variables: Mapping[str, str]) -> list[str]:
    """Return `sys.path` as it is, but for the folder of the script, with absolute paths.

    There an application's module, or one of the command line's, could stand in front of the standard
    library's. `variables` are what the next interpreter finds in its environment besides.
    """
    here = _current_directory()
    path = [entry for entry in sys.path if isinstance(entry, str) and entry]
    folder = _folder_of_script(here)
    if folder in path:
        path.remove(folder)
    if not sys.flags.ignore_environment:
        path[:0] = filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))
    return list(dict.fromkeys(os.path.join(here, entry) for entry in path))


def _current_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed, which --chdir makes good
        return ""


def _folder_of_script(here: str) -> str:
    """Return what the interpreter has put at the head of `sys.path` by itself, or an empty text.

    A folder or an archive that is run as a program has been put there to be imported from.
    """
    if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
        return ""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # a module (-m), or such a folder or archive, whose module has no other name
        return "" if spec.name == "__main__" else here
    script = getattr(main, "__file__", None)
    return os.path.dirname(os.path.realpath(script)) if script else ""
