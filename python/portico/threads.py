"""Threads that the engine has started, as Python sees them: like those that `threading` starts.

An application that does not import `threading` does not miss it, and it costs a worker 1 MB with all that it
imports. So a thread is introduced before its first call with that module there, or when it imports it itself.
This module is imported on the main thread.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

_MAIN_IDENT = _thread.get_ident()
_of_this_thread = _thread._local()


def introduce(name: str) -> bool:
    """Make the calling thread known to `threading` as `name`, and give it the hooks that new threads get.

    False if there is no `threading` yet: then it is to be called again, before each call of the application.
    """
    if "threading" not in sys.modules:
        _of_this_thread.name = name
        _Watch.begin()
        return False
    import threading

    if sys.version_info >= (3, 13):
        threading.current_thread().name = name
    else:
        _of_this_thread.entry = _Entry(threading, name)
    if trace := threading.gettrace():
        sys.settrace(trace)
    if profile := threading.getprofile():
        sys.setprofile(profile)
    return True


class _Watch:
    """Watches for the first import of `threading`, which takes the importing thread for the main one.

    Since Python 3.13 it does so only for the native id. A finder (`sys.meta_path`) and a loader at once.
    """

    def __init__(self) -> None:
        self._loader: Any = None

    @classmethod
    def begin(cls) -> None:
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != "threading":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None, None)
            if spec is not None:
                self._loader, spec.loader = spec.loader, self  # type: ignore[assignment]
                return spec
        return None

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        main = module.main_thread()
        with module._active_limbo_lock:
            del module._active[main.ident]
            main._ident, main._native_id = _MAIN_IDENT, os.getpid()
            module._active[main.ident] = main
        name = getattr(_of_this_thread, "name", None)
        if name is not None:
            introduce(name)


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
