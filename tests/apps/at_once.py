"""Calls at one time that share what applications share, and threads beside them that keep what was theirs.

Each call tells who it is in all that it sends. What calls were given is kept for moments, and used by another
thread, which lets go of it at any time: when its call is over it is of no use, whoever has the next one.
"""

from __future__ import annotations

import gc
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

SHARED = 40
"""Headers of every response, in one list."""
HEADERS = [("Content-Type", "application/json"), *((f"X-Shared-{number}", "x") for number in range(SHARED))]
_FEW = 3
"""Calls of which one keeps what it is given."""
_running: deque[dict[str, Any]] = deque(maxlen=4)
_kept: deque[tuple[dict[str, Any], Any, Any]] = deque(maxlen=8)
_of_this_thread = threading.local()
_wrong: list[str] = []
_begins = threading.Lock()
_has_begun = False


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Sends what the request says; `/wrong` sends what went wrong beside the calls."""
    _begin()
    if environ["PATH_INFO"] == "/wrong":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(_wrong).encode()]
    _running.append(environ)
    if (before := getattr(_of_this_thread, "before", None)) is not None:
        # Its call is over.
        _kept.append(before)
        _of_this_thread.before = None
    said = {name: environ[name] for name in ("PATH_INFO", "QUERY_STRING", "HTTP_X_OWN", "REMOTE_PORT")}
    said["body"] = environ["wsgi.input"].read().decode()
    # The same list in all calls, which is read while other calls read it.
    HEADERS.append(HEADERS.pop())
    write = start_response("200 OK", HEADERS)
    if hash(said["QUERY_STRING"]) % _FEW == 0:
        _of_this_thread.before = (environ, start_response, write)
    return [json.dumps(said).encode()]


def _begin() -> None:
    global _has_begun
    with _begins:
        if not _has_begun:
            _has_begun = True
            for beside in (_ask_of_running_calls, _use_what_was_kept):
                threading.Thread(target=_for_ever, args=(beside,), daemon=True).start()


def _for_ever(do: Callable[[], None]) -> None:
    while True:
        for _ in range(20):
            do()
        # All threads pause for that, wherever they are.
        gc.collect()


def _ask_of_running_calls() -> None:
    try:
        environ = _running[0]
    except IndexError:
        return
    environ["portico.disconnected"]()
    environ["wsgi.input"].closed  # noqa: B018


def _use_what_was_kept() -> None:
    try:
        environ, start_response, write = _kept.popleft()
    except IndexError:
        return
    uses: list[tuple[Callable[[], Any], str]] = [
        (lambda: start_response("299 Somebody's", []), "AssertionError"),
        (lambda: write(b"of somebody else"), "AssertionError"),
        (lambda: environ["wsgi.input"].read(), "ValueError" if environ["REQUEST_METHOD"] == "POST" else ""),
        (lambda: environ["portico.on_disconnect"](print), "RuntimeError"),
        (lambda: environ["portico.extend_deadline"](1), "RuntimeError"),
    ]
    for number, (use, expected) in enumerate(uses):
        try:
            use()
            came = ""
        except Exception as error:
            came = type(error).__name__
        if expected and came != expected:
            _wrong.append(f"use {number}: {came or 'nothing'} in place of {expected}")
