"""The directory of the sockets of pools, in the run directory of this user's servers.

Made by the command line; by the supervisor where a reload brings the first pools.
"""

from __future__ import annotations

import os

_SUFFIX = ".pools"
_FOR_ROOT = "/run/portico-pools"
# The router's processes, which may be of another user, go through it, and cannot see what is in it.
_TO_GO_THROUGH = 0o711


def make_directory() -> str:
    """Make the directory of the sockets of this process, and return its path. Raises OperatorError."""
    # Here, because it is not needed again: the supervisor of a server that has pools mostly finds it made.
    from portico.errors import OperatorError
    from portico.process.control.opening import is_own, run_directory

    user_id = os.geteuid()
    parent = _FOR_ROOT if user_id == 0 else run_directory(os.environ, user_id)
    path = os.path.join(parent, f"{os.getpid()}{_SUFFIX}")
    mode = _TO_GO_THROUGH if user_id == 0 else 0o700
    try:
        for each in (parent, path):
            if not os.path.isdir(each):
                os.mkdir(each, 0o700)
                os.chmod(each, mode)
            if not is_own(each):
                raise OperatorError(f"pools: {each} is not a directory that this user alone may write in")
        _remove_stale(parent)
    except OSError as error:
        raise OperatorError(f"pools: cannot make {path} for their sockets: {error.strerror}") from None
    return path


def remove_directory(path: str) -> None:
    """Remove the directory, and what pools that were killed have left in it."""
    try:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:
        pass  # somebody else has put something there, or has removed it


def _remove_stale(parent: str) -> None:
    """Remove what servers have left that were killed."""
    for name in os.listdir(parent):
        number = name.removesuffix(_SUFFIX)
        if name.endswith(_SUFFIX) and number.isdecimal() and not os.path.exists(f"/proc/{number}"):
            remove_directory(os.path.join(parent, name))
