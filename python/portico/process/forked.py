"""Processes that the application forks (os.fork, multiprocessing): nothing of the server lives on there.

Such a process has copies of the worker's descriptors and handlers. It would take events and connections away
from its parent, keep ports busy and connections open, and hand each signal that it gets to its parent. So
the worker has three functions called around each fork; they run on the thread that forks.
"""

from __future__ import annotations

import os
from _thread import get_ident

from portico import _core
from portico.process.signals import block_all_signals, block_only, forget_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DESCRIPTORS = "/proc/self/fd"

_watched: set[tuple[int, int]] = set()
"""Device and inode of what the engine waits for; with these its other descriptors are found."""
_is_registered = False
_blocked: dict[int, set[int]] = {}
"""Signals that waited before a fork, by thread."""


def leave_server_behind(watched: Iterable[int]) -> None:
    """From now on, let forked processes have nothing of the server, which waits for `watched`."""
    _watched.update(map(_identity, watched))
    global _is_registered
    if not _is_registered:
        _is_registered = True
        os.register_at_fork(
            before=_before, after_in_parent=_unblock_signals, after_in_child=_leave_server_behind
        )


def no_server_is_left() -> None:
    """The server has ended: whoever is forked now may be anything, also a server again."""
    _watched.clear()


def _before() -> None:
    if not _watched:
        return
    _core.before_fork()
    # A signal that the new process gets in its first moments would be written to its parent's pipe.
    _blocked[get_ident()] = block_all_signals()


def _unblock_signals() -> None:
    blocked = _blocked.pop(get_ident(), None)
    if blocked is not None:
        block_only(blocked)


def _leave_server_behind() -> None:
    if not _watched:
        return
    _core.after_fork_in_child()
    try:
        forget_signals()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in set(_descriptors_of_server()):
            # Not closed: the engine's objects are still here, and would close what takes the number next.
            os.dup2(null, fd, inheritable=False)
        os.close(null)
    finally:
        _unblock_signals()


def _descriptors_of_server() -> Iterator[int]:
    """What the engine waits for, under whichever number, what it waits with, and its connections."""
    try:
        numbers = [int(name) for name in os.listdir(_DESCRIPTORS)]
    except OSError:
        return  # without /proc nobody knows
    kinds: dict[int, str] = {}
    for fd in numbers:
        try:
            kinds[fd] = os.readlink(f"{_DESCRIPTORS}/{fd}").partition("[")[0]
        except OSError:
            continue  # that of the directory itself
    watched = {fd for fd in kinds if _identity(fd) in _watched}
    yield from watched
    inodes = {inode for _, inode in _watched}
    for fd in (fd for fd, kind in kinds.items() if kind == "anon_inode:"):
        waits_for = list(_watched_with(fd))
        if any(inode in inodes for _, inode in waits_for):
            yield fd
            yield from (number for number, _ in waits_for)
    # Those that nothing has waited for yet.
    sockets = [fd for fd, kind in kinds.items() if kind == "socket:"]
    places = {_place(fd) for fd in sockets if fd in watched} - {None}
    yield from (fd for fd in sockets if _place(fd) in places)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _place(fd: int) -> str | bytes | int | None:
    """Where a socket is, if anywhere: its port or its path. A connection is where its listener is."""
    import _socket

    borrowed = _socket.socket(fileno=fd)
    try:
        name = borrowed.getsockname()
    finally:
        borrowed.detach()
    if borrowed.family in (_socket.AF_INET, _socket.AF_INET6):
        return int(name[1])
    return name or None if isinstance(name, (str, bytes)) else None


def _watched_with(fd: int) -> Iterator[tuple[int, int]]:
    """The descriptors that epoll descriptor `fd` waits for, with their inodes (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        for line in lines:
            words = line.replace("ino:", " ino: ").replace("tfd:", " tfd: ").split()
            if words[:1] == ["tfd:"]:
                number, inode = int(words[1]), int(words[words.index("ino:") + 1], 16)
                if os.fstat(number).st_ino == inode:
                    yield number, inode
