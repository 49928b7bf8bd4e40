"""A pipe that nobody reads until a test says so: what a log meets whose reader hangs."""

from __future__ import annotations

import os
import threading


class UnreadPipe:
    """A pipe. What is written to `writer` is read by a thread, from `read` on to the end."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._thread: threading.Thread | None = None
        self.received = bytearray()

    def read(self, piece: int = 1 << 16) -> None:
        """Read from now on, `piece` bytes at a time."""
        self._thread = threading.Thread(target=self._read, args=(piece,))
        self._thread.start()

    def wait_for_end(self) -> None:
        """Wait until all that was written is `received`."""
        assert self._thread is not None
        self._thread.join()

    def close_writer(self) -> None:
        """Let only those write who have inherited it."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        """To be called when all others who write have ended."""
        self.close_writer()
        if self._thread is not None:
            self._thread.join()
        os.close(self._reader)

    def _read(self, piece: int) -> None:
        while data := os.read(self._reader, piece):
            self.received += data
