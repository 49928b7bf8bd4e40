"""The thread that asks the server again and again, and finds it again when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

from portico.errors import OperatorError
from portico.top.sample import Sample, take_sample


class Watcher:
    """Tells `on_sample` what the server says, `on_lost` why it says nothing; both are called on its thread.

    `find` returns the control socket of the server that is meant, or raises OperatorError.
    """

    def __init__(
        self,
        path: str,
        find: Callable[[], str],
        *,
        interval_s: float,
        on_sample: Callable[[Sample], object],
        on_lost: Callable[[str], object],
    ) -> None:
        self.path = path
        self._find = find
        self._interval_s = interval_s
        self._on_sample = on_sample
        self._on_lost = on_lost
        self._is_over = threading.Event()

    def start(self) -> None:
        """Begin; the thread ends with the process, whoever it waits for."""
        threading.Thread(target=self._run, name="portico top", daemon=True).start()

    def stop(self) -> None:
        self._is_over.set()

    def _run(self) -> None:
        is_lost = False
        while not self._is_over.wait(self._interval_s):
            try:
                if is_lost:
                    # A socket of its own has the process id in its name.
                    self.path = self._find()
                sample = take_sample(self.path)
            except OperatorError as error:
                is_lost = True
                self._on_lost(error.message)
            else:
                is_lost = False
                self._on_sample(sample)
