"""What happens inside the applications, told to the tests; and gates that hold an application until opened.

A thread in the worker responds on a Unix socket in `$RECORDER_FOLDER`, beside the server under test, so that
a test can ask while every crew thread is inside an application. Events and gates are filed under a key that
each test makes up and sends in the query string (`?key=...`).
"""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any
from urllib.parse import parse_qs

GATE_DEADLINE_S = 20.0

_changed = threading.Condition()
_events: dict[str, list[str]] = {}
_gates: set[tuple[str, int]] = set()


def parameter(environ: dict[str, Any], name: str, default: str = "") -> str:
    """A parameter of the query string."""
    return parse_qs(environ["QUERY_STRING"], keep_blank_values=True).get(name, [default])[0]


def key_of(environ: dict[str, Any]) -> str:
    """The key under which this request's events are filed."""
    return parameter(environ, "key", "none")


def record(key: str, event: str) -> None:
    """Remember that `event` happened."""
    with _changed:
        _events.setdefault(key, []).append(event)
        _changed.notify_all()


def pass_gate(key: str, number: int = 0) -> None:
    """Wait until the test opens gate `number` of `key`; raises TimeoutError if it never does."""
    with _changed:
        if not _changed.wait_for(lambda: (key, number) in _gates, GATE_DEADLINE_S):
            raise TimeoutError(f"gate {number} of {key} was not opened")


def start() -> None:
    """Serve the tests from a thread of this process, if a test started it."""
    folder = os.environ.get("RECORDER_FOLDER")
    if folder is None:
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/recorder-{os.getpid()}.sock")
    listener.listen(64)
    threading.Thread(target=_accept, args=(listener,), name="recorder", daemon=True).start()


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rwb") as stream:
        question = json.loads(stream.readline())
        key = question["key"]
        with _changed:
            if question["operation"] == "open":
                _gates.add((key, question["number"]))
                _changed.notify_all()
            elif question["operation"] == "wait":
                _changed.wait_for(
                    lambda: _events.get(key, []).count(question["event"]) >= question["count"],
                    question["deadline_s"],
                )
            events = list(_events.get(key, []))
        stream.write(json.dumps(events).encode() + b"\n")
