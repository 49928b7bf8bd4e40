"""A process that hears of changes from the system, by way of watchfiles (the extra `portico-server[dev]`).

It says no more than that it is worth to look: which files have changed the loop finds out for itself
(`watching`), so that a notification too many, or one that does not come, does no harm. What watchfiles
needs of threads and memory is in no worker.
"""

from __future__ import annotations

import marshal
import os
import sys

from portico.process.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BOOTSTRAP = (
    "import marshal, sys; sys.path[:], folders = marshal.load(sys.stdin.buffer); "
    "from portico.dev.notifier import notify; notify(folders)"
)
_QUIET_MS = 20
"""Events that follow each other within this time are one notification."""
_LONGEST_MS = 100


class Notifier:
    """The process as the loop sees it. `fd` is readable when something has changed, and once it has ended."""

    def __init__(self, folders: Iterable[str]) -> None:
        """Start it on `folders`, without those below them. Raises OSError if that cannot be done."""
        self.folders = frozenset(folders)
        input_fd, self._input_fd = os.pipe()
        self.fd, output_fd = os.pipe()
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-c", _BOOTSTRAP],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, input_fd, 0),
                    (os.POSIX_SPAWN_DUP2, output_fd, 1),
                ],
                # A Ctrl-C is for the loop, whose end is this process's.
                setsigmask=[signal.SIGINT, signal.SIGHUP],
            )
        except OSError:
            self.close()
            raise
        finally:
            os.close(input_fd)
            os.close(output_fd)
        os.set_blocking(self.fd, False)
        try:
            with open(self._input_fd, "wb", closefd=False) as file:
                marshal.dump((sys.path, sorted(self.folders)), file)
        except OSError:
            self.close()
            raise

    def read(self) -> bool:
        """Take what it has said; False once it has ended."""
        try:
            return bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return True

    def close(self) -> None:
        """Let it end: it reads the end of its input."""
        os.close(self._input_fd)
        os.close(self.fd)


def can_notify() -> bool:
    """Say whether watchfiles is installed; does not import it."""
    from importlib.machinery import PathFinder

    return PathFinder.find_spec("watchfiles") is not None


def notify(folders: list[str]) -> None:
    """In the process: write a byte for each change in `folders`, until standard input ends."""
    import threading

    from watchfiles import watch

    threading.Thread(target=_end_with_input, daemon=True).start()
    there = [folder for folder in folders if os.path.isdir(folder)]
    changes = watch(
        *there,
        watch_filter=None,
        debounce=_LONGEST_MS,
        step=_QUIET_MS,
        recursive=False,
        raise_interrupt=False,
    )
    for _ in changes:
        os.write(sys.stdout.fileno(), b"!")


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
