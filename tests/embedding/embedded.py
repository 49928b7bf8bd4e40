"""What the tests of embedding share: applications, and servers of `portico.simple_server` on a thread."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import portico
from support.raw_client import Connection

ROOT = Path(__file__).resolve().parents[2]
# The portico that this process has: of the source, or of a wheel.
_PORTICO = Path(portico.__file__).resolve().parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(_PORTICO), str(ROOT / "examples"), str(ROOT / "tests")]),
}
"""For programs that import portico, the examples and the applications of the tests."""

Application = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def describing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Return the environ, as far as it is text, and the thread of the call."""
    start_response("200 OK", [("Content-Type", "application/json")])
    described = {name: value for name, value in environ.items() if isinstance(value, str | bool | int)}
    return [
        json.dumps({**described, "thread": threading.get_ident(), "is_engine": on_engine(environ)}).encode()
    ]


def on_engine(environ: dict[str, Any]) -> bool:
    """Say whether the engine has read the request, and not the standard library."""
    return "portico.disconnected" in environ


def meeting(count: int) -> Application:
    """An application that responds once `count` calls of it run at the same time."""
    barrier = threading.Barrier(count)

    def meet(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        barrier.wait(timeout=10)
        return hello(environ, start_response)

    return meet


@contextlib.contextmanager
def serving(server: Any) -> Iterator[Any]:
    """`server.serve_forever()` on a thread, as long as the block lasts; then it is closed, too."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(30)
            assert not thread.is_alive()


def describe(address: tuple[str, int] | str, target: str = "/", **request: Any) -> dict[str, Any]:
    """What `describing`, served at `address`, says of a request."""
    with Connection(address) as connection:
        described: dict[str, Any] = json.loads(connection.request(target, **request).body)
        return described
