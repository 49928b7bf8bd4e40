"""Makes the control socket; runs in the process of the command line, which becomes the supervisor."""

from __future__ import annotations

import _socket as socket
import errno
import os
import stat

from portico import log
from portico.config.address import Address
from portico.errors import quoted
from portico.process.plain_socket import Socket
from portico.process.plan import Listener, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX = ".sock"
_FOR_ROOT = "/run/portico"
_OWN_ONLY = 0o700
_MOST_WAITING = 128
_MOST_NAME_CHARACTERS = 40
# Of a path that a client can name (sun_path, unix(7)); its end is one more.
_MOST_PATH_BYTES = 107
# A directory with more of them is no run directory of ours.
_MOST_LOOKED_AT = 1000


def run_directory(environment: Mapping[str, str], user_id: int) -> str:
    """Return where the control sockets of this user's servers are."""
    if user_id == 0:
        return _FOR_ROOT
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        return os.path.join(runtime, "portico")
    return f"/tmp/portico-{user_id}"


def is_own(directory: str) -> bool:
    """Say whether nobody else could have made what is in `directory`. Raises OSError if it is not there."""
    found = os.lstat(directory)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def open_control(plan: Plan) -> None:
    """Make the control socket that the settings of `plan` ask for, and note it there.

    Without one a server serves all the same: what goes wrong is a warning.
    """
    choice = plan.settings.control
    if choice == "off":
        return
    try:
        if choice == "auto":
            directory = run_directory(os.environ, os.geteuid())
            _make_own(directory)
            for path in stale_sockets(directory):
                os.unlink(path)
            path = os.path.join(directory, f"{_file_name(plan.name)}-{os.getpid()}{SUFFIX}")
        else:
            path = os.path.join(plan.directory, choice)
            _check_is_free(path)
        plan.control.append(_listen(path))
    except OSError as error:
        log.say(f"control: cannot make a socket: {error.strerror}; `portico ctl` will not reach this server")


def sockets_in(directory: str) -> Iterator[str]:
    """Yield the paths of the control sockets in `directory`, stale ones among them. Raises OSError."""
    with os.scandir(directory) as entries:
        for entry, _ in zip(entries, range(_MOST_LOOKED_AT), strict=False):
            if entry.name.endswith(SUFFIX) and stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
                yield entry.path


def stale_sockets(directory: str) -> list[str]:
    """Return the paths of those in which nobody listens any more, since their servers were killed."""
    # In this order: to be asked wakes a server. A process that is not here may be in another container.
    return [path for path in sockets_in(directory) if not _is_here(path) and not _is_served(path)]


def _is_here(path: str) -> bool:
    """Say whether there is a process with the number in the name of the socket at `path`."""
    number = path.removesuffix(SUFFIX).rpartition("-")[2]
    return number.isdecimal() and os.path.exists(f"/proc/{number}")


def _is_served(path: str) -> bool:
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog must not block: it means that somebody is there.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _make_own(directory: str) -> None:
    """Make `directory`, if it is not there, and see that nobody else may change what is in it."""
    try:
        os.mkdir(directory, _OWN_ONLY)
    except FileExistsError:
        pass
    except OSError as error:
        raise OSError(error.errno, f"{quoted(directory)}: {error.strerror}") from None
    if not is_own(directory):
        raise OSError(
            errno.EPERM, f"{quoted(directory)} is not a directory that this user alone may write in"
        )


def _check_is_free(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, f"{quoted(path)} exists and is no socket")
    if _is_served(path):
        raise OSError(errno.EADDRINUSE, f"another process listens on {quoted(path)}")


def _listen(path: str) -> Listener:
    """Return a socket that listens at `path`, which is there once it does: so nobody takes it for stale."""
    if len(os.fsencode(path)) > _MOST_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"{quoted(path)}: a socket takes {_MOST_PATH_BYTES} bytes at most")
    temporary = os.path.join(os.path.dirname(path), f".{os.getpid()}")
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        umask = os.umask(0o177)
        try:
            listener.bind(temporary)
        except OSError as error:
            # Python's own error, of a path that is too long, has no number.
            why = error.strerror or str(error)
            raise OSError(error.errno or errno.ENAMETOOLONG, f"{quoted(path)}: {why}") from None
        finally:
            os.umask(umask)
        try:
            listener.listen(_MOST_WAITING)
            found = os.lstat(temporary)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        identity = (found.st_dev, found.st_ino)
        return Listener(listener.keep(), Address(path=path), path, identity=identity)


def _file_name(name: str) -> str:
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name)
    return plain[:_MOST_NAME_CHARACTERS].lstrip(".") or "portico"
