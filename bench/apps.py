"""The applications every server runs. They import next to nothing: their memory counts too."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, ClassVar

    Environ = dict[str, Any]
    StartResponse = Callable[[str, list[tuple[str, str]]], Any]

PLAIN = ("Content-Type", "text/plain")
HELLO = b"Hello, World!"
TEN_KIB = b"portico..." * 1024
ONE_MIB = b"0123456789abcdef" * 65536
BLOCK = b"x" * 99 + b"\n"
SLOW_S = 0.005
LONG_S = 0.1
# Pauses between the blocks of `paced`: none, shorter than a coalescing tick, and longer than one.
PAUSES_S = (0.0, 0.0003, 0.003)


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """13 bytes, one block."""
    start_response("200 OK", [PLAIN, ("Content-Length", "13")])
    return [HELLO]


def body_10k(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """10 KiB, one block."""
    start_response("200 OK", [PLAIN, ("Content-Length", "10240")])
    return [TEN_KIB]


def body_1m(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """1 MiB, one block, the same object for each request."""
    start_response("200 OK", [PLAIN, ("Content-Length", "1048576")])
    return [ONE_MIB]


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The request's body."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """20 blocks of 100 bytes from a generator, without a Content-Length; /paced: with pauses."""
    start_response("200 OK", [PLAIN])
    return _paced() if environ["PATH_INFO"] == "/paced" else _blocks()


def _blocks() -> Iterator[bytes]:
    for _ in range(20):
        yield BLOCK


def _paced() -> Iterator[bytes]:
    # Each block carries the monotonic time at which it is yielded.
    for number in range(20):
        yield b"%099d\n" % time.monotonic_ns()
        time.sleep(PAUSES_S[number % len(PAUSES_S)])


class Closing:
    """An iterable that is not its own iterator, as Django's response is; counts its ends."""

    closed: ClassVar[int] = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter([HELLO])

    def close(self) -> None:
        """What PEP 3333 has the server call."""
        Closing.closed += 1


def closing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A response with close(); /closed: how many of them were closed."""
    if environ["PATH_INFO"] == "/closed":
        closed = b"%d" % Closing.closed
        start_response("200 OK", [PLAIN, ("Content-Length", str(len(closed)))])
        return [closed]
    start_response("200 OK", [PLAIN, ("Content-Length", "13")])
    return Closing()


def sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An application that waits 5 ms for something else."""
    time.sleep(SLOW_S)
    return hello(environ, start_response)


def long_sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An application that waits 100 ms for something else."""
    time.sleep(LONG_S)
    return hello(environ, start_response)


def mix(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """/slow waits 5 ms, everything else responds at once."""
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW_S)
    return hello(environ, start_response)
