"""What a thread of the application looks like from inside. Calls meet, so that each is on another thread.

`threading` is imported on the way, and not here: portico must not depend on the application for that.
"""

from __future__ import annotations

import _thread
import contextvars
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

_MEETING_DEADLINE_S = 20.0
_meetings: dict[str, int] = {}
_lock = _thread.allocate_lock()
_of_thread = _thread._local()
_of_context = contextvars.ContextVar[int]("_of_context", default=0)
_seen: list[str] = []


def _note(what: str) -> Callable[..., None]:
    """A hook that remembers the calls of `traced`, and the thread that makes them."""
    import threading

    def hook(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is _traced.__code__:
            _seen.append(f"{what} {threading.current_thread().name}")

    return hook


if os.environ.get("HOOKS"):
    import threading

    threading.settrace(_note("trace"))
    threading.setprofile(_note("profile"))


def _traced() -> None:
    pass


def _deep(depth: int) -> int:
    """Recursion through C, which takes the C stack also where Python calls alone do not."""
    return depth and next(map(_deep, [depth - 1]))


def _stack_bytes() -> int:
    """The stack of the calling thread, of one that is not the main one (pthread_getattr_np(3))."""
    library = ctypes.CDLL(None)
    library.pthread_self.restype = ctypes.c_ulong
    attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.pthread_getattr_np(ctypes.c_ulong(library.pthread_self()), attributes)
    library.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    return size.value


def _child() -> None:
    pass


def _native_name(task: object) -> str:
    with open(f"/proc/self/task/{task}/comm") as file:
        return file.read().strip()


def _describe() -> dict[str, Any]:
    import threading

    thread = threading.current_thread()
    return {
        "name": thread.name,
        "comm": _native_name(thread.native_id),
        "daemon": thread.daemon,
        "alive": thread.is_alive(),
        "idents": thread.ident == threading.get_ident() and thread.native_id == threading.get_native_id(),
        "main": thread is threading.main_thread(),
        "enumerated": sorted(other.name for other in threading.enumerate()),
    }


def _count() -> int:
    """How often this thread was here, by what is local to it in either way."""
    _of_thread.count = getattr(_of_thread, "count", 0) + 1
    _of_context.set(_of_context.get() + 1)
    return _of_thread.count if _of_thread.count == _of_context.get() else -1


def _traces() -> list[str]:
    _seen.clear()
    _traced()
    return sorted(_seen)


def _traces_of_all() -> list[str]:
    import threading

    hook: Any = threading
    hook.settrace_all_threads(_note("trace"))
    try:
        return _traces()
    finally:
        hook.settrace_all_threads(None)


def _leaves(environ: dict[str, Any]) -> dict[str, Any]:
    """What a callback sees, whose thread is none of the application's."""
    seen: dict[str, Any] = {}
    environ["portico.on_disconnect"](lambda: seen.update(_describe(), traces=_traces()))
    deadline = time.monotonic() + _MEETING_DEADLINE_S
    while not seen and time.monotonic() < deadline:
        time.sleep(0.001)
    return seen


def _forks() -> int | None:
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(target=_child)
    child.start()
    child.join()
    return child.exitcode


def _recurses(depth: int) -> int:
    sys.setrecursionlimit(1_000_000)
    return _deep(depth)


ACTIONS: dict[str, Callable[[], Any]] = {
    "describes": _describe,
    "counts": _count,
    "traces": _traces,
    "traces-all": _traces_of_all,
    "forks": _forks,
    "stack": _stack_bytes,
    "knows-threading": lambda: "threading" in sys.modules,
    "native-names": lambda: sorted(_native_name(task) for task in os.listdir("/proc/self/task")),
}


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Wait until `count=` calls have met for `key=`; then do what the path says, where it is to be done.

    `where` is main, other or all threads.
    """
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    _meet(query.get("key", ""), int(query.get("count", "1")))
    is_main = _thread.get_ident() == _MAIN
    is_here = query.get("where", "all") in ("all", "main" if is_main else "other")
    action = environ["PATH_INFO"].strip("/")
    result = None
    if is_here:
        if action == "recurses":
            result = _recurses(int(query["depth"]))
        else:
            result = _leaves(environ) if action == "leaves" else ACTIONS[action]()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]


def _meet(key: str, count: int) -> None:
    with _lock:
        _meetings[key] = _meetings.get(key, 0) + 1
    deadline = time.monotonic() + _MEETING_DEADLINE_S
    while _meetings[key] < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{_meetings[key]} of {count} have come to {key}")
        time.sleep(0.001)


_MAIN = _thread.get_ident()
