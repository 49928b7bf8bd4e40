"""Applications that want to know whether their client is still there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from apps.recorder import GATE_DEADLINE_S, key_of, parameter, pass_gate, record

_HEADERS = [("Content-Type", "text/plain")]

_kept: dict[str, tuple[Callable[[], bool], Callable[[Any], None]]] = {}


def asks_disconnected(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Asks until the client has left, and records the first response and the last one."""
    key, disconnected = key_of(environ), environ["portico.disconnected"]
    record(key, f"inside {disconnected()}")
    _wait_for(disconnected)
    record(key, f"outside {disconnected()}")
    start_response("200 OK", _HEADERS[:])
    return [b"too late"]


def registers(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Registers `count=` callbacks, waits at a gate, responds."""
    key = key_of(environ)
    _register(environ, key)
    record(key, "inside")
    pass_gate(key)
    start_response("200 OK", _HEADERS[:])
    record(key, "responds")
    return [b"registered"]


def registers_and_responds(environ: dict[str, Any], start_response: Any) -> Any:
    """Registers, and responds at once; `how=` says in what way."""
    key, how = key_of(environ), parameter(environ, "how", "list")
    _register(environ, key)
    body = b"responded"
    length = [("Content-Length", str(len(body)))]
    if how == "list":
        start_response("200 OK", _HEADERS[:])
        return [body]
    if how == "iterator":
        start_response("200 OK", _HEADERS[:])
        return iter([body])
    if how == "write":
        start_response("200 OK", _HEADERS + length)(body)
        return _waits_at_a_gate(key, b"")
    start_response("200 OK", _HEADERS + length)
    return _waits_at_a_gate(key, body)


def _waits_at_a_gate(key: str, body: bytes) -> Iterator[bytes]:
    """The whole body, and then something that takes its time."""
    yield body
    pass_gate(key)
    record(key, "end")


def registers_and_streams(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Registers, and sends blocks until the client has left."""
    _register(environ, key_of(environ))
    start_response("200 OK", _HEADERS[:])
    deadline = time.monotonic() + GATE_DEADLINE_S
    while time.monotonic() < deadline:
        yield b"x" * 1000


def asks_while_sending(environ: dict[str, Any], start_response: Any) -> Any:
    """Sends `count=` blocks of `size=` bytes by `how=`; a thread of its own uses both callables at gates."""
    key = key_of(environ)
    disconnected, on_disconnect = environ["portico.disconnected"], environ["portico.on_disconnect"]

    def ask() -> None:
        pass_gate(key, 0)
        record(key, f"asked {disconnected()}")
        on_disconnect(lambda: record(key, "called"))
        record(key, "registered")
        pass_gate(key, 1)
        record(key, f"asked once more {disconnected()}")
        pass_gate(key, 2)
        try:
            on_disconnect(lambda: record(key, "called late"))
        except RuntimeError as error:
            record(key, str(error))

    threading.Thread(target=ask).start()
    count, block = int(parameter(environ, "count")), bytes(int(parameter(environ, "size")))
    write = start_response("200 OK", _HEADERS[:])
    if parameter(environ, "how") == "blocks":
        return _blocks(key, count, block)
    try:
        for _ in range(count):
            write(block)
    finally:
        record(key, "close")
    return []


def _blocks(key: str, count: int, block: bytes) -> Iterator[bytes]:
    try:
        for _ in range(count):
            yield block
    finally:
        record(key, "close")


def registers_late(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Registers a first time, and once more when the client has left."""
    key, disconnected = key_of(environ), environ["portico.disconnected"]
    if parameter(environ, "twice"):
        _register(environ, key)
    record(key, "inside")
    _wait_for(disconnected)
    environ["portico.on_disconnect"](lambda: record(key, "called late"))
    pass_gate(key)
    start_response("200 OK", _HEADERS[:])
    return []


def registers_while_called(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A callback that uses both callables itself."""
    key, on_disconnect = key_of(environ), environ["portico.on_disconnect"]
    disconnected = environ["portico.disconnected"]

    def callback() -> None:
        record(key, f"first {disconnected()}")
        on_disconnect(lambda: record(key, "second"))

    on_disconnect(callback)
    record(key, "inside")
    pass_gate(key)
    start_response("200 OK", _HEADERS[:])
    return []


def raises_when_called(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A callback that raises, and one after it."""
    key = key_of(environ)

    def callback() -> None:
        raise ArithmeticError(f"raised for {key}")

    environ["portico.on_disconnect"](callback)
    return registers(environ, start_response)


def waits_when_called(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A callback that waits at gate 1, which nobody may open."""
    key = key_of(environ)

    def callback() -> None:
        record(key, "called")
        pass_gate(key, 1)

    environ["portico.on_disconnect"](callback)
    record(key, "inside")
    pass_gate(key)
    start_response("200 OK", _HEADERS[:])
    return []


def registers_nothing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Tells what becomes of things that cannot be called."""
    responses = []
    for wrong in (None, 1, "text"):
        try:
            environ["portico.on_disconnect"](wrong)
        except TypeError as error:
            responses.append(str(error))
    return _json(start_response, responses)


def keeps_callables(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Keeps both callables beyond the request."""
    _kept[key_of(environ)] = (environ["portico.disconnected"], environ["portico.on_disconnect"])
    return _json(start_response, "kept")


def uses_kept_callables(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Uses what an earlier request has kept; tells what its own gives, too."""
    disconnected, on_disconnect = _kept[key_of(environ)]
    try:
        on_disconnect(lambda: record(key_of(environ), "called"))
        rejected = ""
    except RuntimeError as error:
        rejected = str(error)
    is_own = environ["portico.disconnected"] is not disconnected
    return _json(start_response, [disconnected(), rejected, is_own, environ["portico.disconnected"]()])


def _register(environ: dict[str, Any], key: str) -> None:
    application = threading.get_ident()

    def callback(number: int) -> None:
        own = threading.get_ident() != application
        record(key, f"called {number}" if own else "called by the application's thread")

    for number in range(int(parameter(environ, "count", "1"))):
        environ["portico.on_disconnect"](lambda number=number: callback(number))


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GATE_DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the client stays")
        time.sleep(0.001)


def _json(start_response: Any, value: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


WAITING = {
    "asks-disconnected": asks_disconnected,
    "registers": registers,
    "registers-and-responds": registers_and_responds,
    "registers-and-streams": registers_and_streams,
    "asks-while-sending": asks_while_sending,
    "registers-late": registers_late,
    "registers-while-called": registers_while_called,
    "raises-when-called": raises_when_called,
    "waits-when-called": waits_when_called,
    "registers-nothing": registers_nothing,
    "keeps-callables": keeps_callables,
    "uses-kept-callables": uses_kept_callables,
}
"""They keep to PEP 3333, but need a client that leaves, or a gate that opens."""
