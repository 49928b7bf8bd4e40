"""Threads that the engine has started, as Python sees them: like those that `threading` starts.

Runs on such a thread, before it first calls the application. Imported on the main thread, where it does not
import `threading`: that costs a worker 0.4 MB, and most workers never need a second thread.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAIN_IDENT = _thread.get_ident()
_of_this_thread = _thread._local()


def introduce(name: str) -> None:
    """Make the calling thread known to `threading` as `name`, and give it the hooks that new threads get."""
    threading = _import_threading()
    if sys.version_info >= (3, 13):
        threading.current_thread().name = name
    else:
        _of_this_thread.entry = _Entry(threading, name)
    if trace := threading.gettrace():
        sys.settrace(trace)
    if profile := threading.getprofile():
        sys.setprofile(profile)


def _import_threading() -> Any:
    is_first = "threading" not in sys.modules
    import threading

    internals: Any = threading
    if is_first:
        # The thread that imports it first is taken for the main one; since Python 3.13 only by its native id.
        main: Any = threading.main_thread()
        with internals._active_limbo_lock:
            del internals._active[main.ident]
            main._ident, main._native_id = _MAIN_IDENT, os.getpid()
            internals._active[main.ident] = main
    return internals


class _Entry:
    """The calling thread's entry in `threading`, as `Thread` makes it; dropped when the thread ends.

    Not the one of `current_thread()`: before Python 3.13 that stays for ever, and a process that its thread
    forks ends with an AssertionError.
    """

    def __init__(self, threading: Any, name: str) -> None:
        self._threading = threading
        self._thread = threading.Thread(name=name, daemon=True)
        self._thread._set_ident()
        self._thread._set_tstate_lock()
        self._thread._set_native_id()
        self._thread._started.set()
        with threading._active_limbo_lock:
            threading._active[self._thread.ident] = self._thread

    def __del__(self) -> None:
        with self._threading._active_limbo_lock:
            if self._threading._active.get(self._thread.ident) is self._thread:
                del self._threading._active[self._thread.ident]
