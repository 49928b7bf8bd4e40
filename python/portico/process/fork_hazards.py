"""What an application has that a fork breaks: threads, sockets, databases, event loops, processes, locks.

Runs in the process that workers are to be forked from, once the application is loaded, or has served. Hands
on sentences, each of which names the thing, says what becomes of it, and where else it belongs. Whatever
/proc does not tell is passed over.
"""

from __future__ import annotations

import os
import sys

from portico.process.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Descriptor: TypeAlias = tuple[int, str]
else:
    Descriptor = tuple

_DESCRIPTORS = "/proc/self/fd"
_THREADS = "/proc/self/task"
_AFTER_FORK = "after the fork, os.register_at_fork(after_in_child=...)"
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
# Most of each sort that are named one by one.
_MOST_NAMED = 10
# Of anonymous inodes: what they are called by the kernel, and here.
_ANONYMOUS = {
    "[eventpoll]": "an epoll descriptor, as event loops have",
    "inotify": "an inotify descriptor, which watches files",
    "[eventfd]": "an eventfd",
    "[timerfd]": "a timerfd",
    "[signalfd]": "a signalfd",
    "[io_uring]": "an io_uring",
}
_SQLITE_HEAD = b"SQLite format 3\0"
_LMDB_FILES = ("data.mdb", "lock.mdb")


def open_descriptors() -> set[Descriptor]:
    """Return what is open: the numbers, each with what it stands for, as /proc says it."""
    try:
        numbers = os.listdir(_DESCRIPTORS)
    except OSError:
        return set()
    found = set()
    for number in numbers:
        try:
            found.add((int(number), os.readlink(f"{_DESCRIPTORS}/{number}")))
        except OSError:
            continue  # that of the directory itself
    return found


def find_hazards(before: set[Descriptor]) -> list[str]:
    """Return a sentence on each hazard; what was open `before`, by `open_descriptors`, is none."""
    opened = sorted(open_descriptors() - before)
    sorts = (_threads(), _descriptors(opened), _locks(opened), _children(), _timer())
    return [sentence for sort in sorts for sentence in _shortened(list(sort))]


def _shortened(sentences: list[str]) -> list[str]:
    rest = len(sentences) - _MOST_NAMED
    return [*sentences[:_MOST_NAMED], f"{rest} more of this sort"] if rest > 0 else sentences


# --- Threads


def _threads() -> Iterator[str]:
    """Those of Python's, and those that only the kernel knows."""
    known = {os.getpid()}
    threading = sys.modules.get("threading")
    # By its ident this one could not be told where gevent has patched some of what asks for it.
    threads, own = ((), None) if threading is None else (threading.enumerate(), threading.current_thread())
    for thread in threads:
        known.add(thread.native_id or 0)
        if thread is not own:
            # Only now: what is imported here is in the memory of every worker.
            from portico.deadlines import stack_of_thread

            where = _place(stack_of_thread(thread.ident or 0))
            yield f"the thread {thread.name!r}{where} runs in no worker: start it {_AFTER_FORK}"
    for number in _numbers(_THREADS):
        if number not in known:
            name = _read(f"{_THREADS}/{number}/comm") or "without a name"
            yield (
                f"a thread that is not Python's ({name}) runs in no worker: its library has to start it "
                "again by itself, or be used after the fork only"
            )


def _place(places: list[tuple[str, int, str]]) -> str:
    """Say where a thread is: at the innermost line that is not of the standard library, if there is one."""
    own = (place for place in places if not place[0].startswith((_STANDARD_LIBRARY, "<")))
    for file, line, name in [*own, *places][:1]:
        return f" at {file}:{line} ({name})"
    return ""


# --- Descriptors


def _descriptors(opened: list[Descriptor]) -> Iterator[str]:
    for fd, target in opened:
        kind, _, rest = target.partition(":")
        if kind == "socket":
            what = _socket(fd)
        elif kind == "anon_inode":
            what = _ANONYMOUS.get(rest, "")
        elif kind == "pipe":
            what = "a pipe"
        else:
            what = _database(fd, target)
        if what:
            yield f"{what} (descriptor {fd}) is the same one in all workers: open it {_AFTER_FORK}"


def _socket(fd: int) -> str:
    """Name a socket by what it is connected to, or by where it listens."""
    import _socket as sockets

    borrowed = sockets.socket(fileno=fd)
    try:
        family, sort = borrowed.family, borrowed.type
        is_listening = bool(borrowed.getsockopt(sockets.SOL_SOCKET, sockets.SO_ACCEPTCONN))
        here = _address(borrowed.getsockname())
        try:
            there = _address(borrowed.getpeername())
            is_connected = True
        except OSError:
            there, is_connected = "", False
    except OSError:
        return "a socket"
    finally:
        borrowed.detach()
    if family == sockets.AF_UNIX:
        name = "a Unix socket"
    elif family in (sockets.AF_INET, sockets.AF_INET6):
        name = "a UDP socket" if sort == sockets.SOCK_DGRAM else "a TCP socket"
    else:
        name = f"a socket of the address family {family}"
    if is_listening:
        return f"{name} that listens on {here}"
    if is_connected and (there or here):
        return f"{name} connected to {there or here}"
    if is_connected:
        return f"{name} of a pair"
    return f"{name} bound to {here}" if here else name


def _address(name: object) -> str:
    if isinstance(name, tuple) and len(name) >= 2:
        host = f"[{name[0]}]" if ":" in str(name[0]) else name[0]
        return f"{host}:{name[1]}"
    if isinstance(name, bytes):
        return "@" + name.lstrip(b"\0").decode("utf-8", "backslashreplace")
    return str(name or "")


def _database(fd: int, path: str) -> str:
    """Name the file of a database; of other files it is up to the application what it does with them.

    Read by its own descriptor: SQLite's locks are lost when any descriptor of the file is closed
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    if os.path.basename(path) in _LMDB_FILES:
        return f"the LMDB database {path}"
    try:
        is_sqlite = os.pread(fd, len(_SQLITE_HEAD), 0) == _SQLITE_HEAD
    except OSError:
        return ""  # a directory, a terminal, a file that is only written to
    return f"the SQLite database {path}" if is_sqlite else ""


# --- Locks, processes, timers


def _locks(opened: list[Descriptor]) -> Iterator[str]:
    """Files that are locked by this process (proc_pid_fdinfo(5))."""
    for fd, path in opened:
        for line in _read(f"/proc/self/fdinfo/{fd}").splitlines():
            if not line.startswith("lock:"):
                continue
            if "POSIX" in line:
                yield f"the lock on {path} is held by no worker: take it {_AFTER_FORK}"
            else:
                yield f"the lock on {path} is held by all workers together: take it {_AFTER_FORK}"


def _children() -> Iterator[str]:
    for thread in _numbers(_THREADS):
        for pid in _read(f"{_THREADS}/{thread}/children").split():
            name = _read(f"/proc/{pid}/comm") or "without a name"
            yield (
                f"the process {pid} ({name}) is no child of any worker, which can neither wait for it nor "
                f"have it to itself: start it {_AFTER_FORK}"
            )


def _timer() -> Iterator[str]:
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        yield f"the timer of signal.setitimer or signal.alarm runs in no worker: set it {_AFTER_FORK}"


def _numbers(path: str) -> list[int]:
    try:
        return sorted(map(int, os.listdir(path)))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
