"""Before a start, and in `portico check`: a child gives up its privileges as a worker will, and looks around.

So that what the kernel or a container refuses, and what the user of the workers cannot enter or read, is told
by one sentence at the start and not by each worker. Runs in the process of the command line.
"""

from __future__ import annotations

import os

from portico import log
from portico.config.accounts import identity_of
from portico.config.error_pages import in_error_pages
from portico.config.identity import Identity, are_privileges_given_up
from portico.config.routes.tls import in_tls
from portico.config.settings import Settings
from portico.errors import OperatorError, quoted, raise_mistakes, reason_of
from portico.process.privileges import give_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CANNOT, _REMARK, _FINE = b"!", b"?", b"."
_CHUNK = 65536


def try_privileges(settings: Settings, directory: str) -> tuple[Identity | None, str]:
    """Return who the workers will be, and a sentence, if they may do less, or more, than was asked for.

    `directory` is where the application works. Raises OperatorError if no worker can be what `settings` say.
    """
    identity = identity_of(settings)
    if not are_privileges_given_up(settings, identity):
        return identity, ""
    # What the child will need of Python, it may not be able to import.
    quoted(directory)
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try_in_child(settings, identity, directory, write_fd)
    os.close(write_fd)
    said = b""
    while data := os.read(read_fd, _CHUNK):
        said += data
    os.close(read_fd)
    why_not = _why_it_could_not_be_ended(settings, pid)
    os.waitpid(pid, 0)
    text = said[1:].decode("utf-8", "replace")
    if said[:1] == _CANNOT or not said:
        raise OperatorError(text or "cannot try what workers may do: the process that tried it has ended")
    if why_not:
        raise OperatorError(why_not)
    return identity, text


def _try_in_child(settings: Settings, identity: Identity | None, directory: str, write_fd: int) -> None:
    kind, text = _FINE, ""
    try:
        text = give_up(settings, identity, directory)
        kind = _REMARK if text else _FINE
        if identity is not None:
            raise_unless_reachable(settings, directory)
        reader = _user(settings)
        raise_mistakes([*in_error_pages(settings, directory, reader), *in_tls(settings, directory, reader)])
    except OperatorError as error:
        kind, text = _CANNOT, error.message
    except BaseException as error:
        kind, text = _CANNOT, f"cannot try what workers may do: {reason_of(error)}"
    finally:
        os.write(write_fd, kind + text.encode("utf-8", "backslashreplace")[:_CHUNK])
        os._exit(0)


def raise_unless_reachable(settings: Settings, directory: str) -> None:
    """Raise OperatorError if this process cannot enter what every worker needs."""
    own = os.path.dirname(os.path.abspath(log.__file__))
    for path, what in (
        (os.path.dirname(os.__file__), "Python is"),
        (own, "portico is"),
        (directory, "the application works"),
    ):
        for folder in _ways_to(path):
            if not os.access(folder, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
                origin = settings.origins[(Settings.user if settings.user else Settings.group).attribute]
                raise OperatorError(
                    f"{origin}: {_user(settings)} cannot enter {quoted(folder)}, and {what} in "
                    f"{quoted(path)}; let others enter it (chmod o+x), or move that elsewhere"
                )


def _user(settings: Settings) -> str:
    return f"the user {settings.user or os.geteuid()}"


def _ways_to(path: str) -> Iterator[str]:
    """Yield each folder from the root to `path`, links resolved."""
    parts = os.path.realpath(path).split(os.sep)
    for count in range(1, len(parts) + 1):
        yield os.sep.join(parts[:count]) or os.sep


def _why_it_could_not_be_ended(settings: Settings, pid: int) -> str:
    """Say why the supervisor could not end such a worker, or nothing."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return (
            f"{settings.origins[Settings.user.attribute]}: the supervisor could not end workers of another "
            "user: that takes CAP_KILL, which this container does not let root have"
        )
    return ""
