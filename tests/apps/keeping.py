"""Applications that keep what a call has given them, and use it when the call is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from apps import recorder
from apps.reading import read_in_thread
from apps.recorder import key_of, parameter, record

KEPT: list[Any] = []
IN_USE = "write was called while another thread is in it"
_BLOCK = b"x" * (64 << 20)
"""More than goes anywhere before its client reads."""


def keeps_environ(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Keeps all that it is given; reads as much of the body as `read=` says."""
    environ["wsgi.input"].read(int(parameter(environ, "read", "0")))
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    KEPT.append((environ, start_response, write))
    return [b"kept"]


def uses_what_was_kept(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """What becomes of each use of what was kept first, one line each."""
    earlier, start, write = KEPT.pop(0)
    uses: list[Callable[[], Any]] = [
        lambda: start("200 OK", []),
        lambda: write(b"late"),
        lambda: earlier["wsgi.input"].read(),
        lambda: earlier["portico.disconnected"](),
        lambda: earlier["portico.on_disconnect"](print),
    ]
    lines = []
    for use in uses:
        try:
            lines.append(repr(use()))
        except Exception as error:
            lines.append(type(error).__name__)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(lines).encode()]


class Telling(bytes):
    """A block that tells when nobody has it any more."""

    key: str

    def __del__(self) -> None:
        record(self.key, "gone")


def sends_a_telling_block(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Much more than a socket takes."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    block = Telling(_BLOCK)
    block.key = key_of(environ)
    return [block]


def leaves_a_writer(environ: dict[str, Any], start_response: Any) -> Any:
    """Returns while a thread is in `write`, which waits for a client that does not read."""
    key = key_of(environ)
    write = start_response("200 OK", [("Content-Type", "text/plain"), *length_header(environ)])

    def write_block() -> None:
        while True:
            try:
                write(_BLOCK)
            except Exception as error:
                if str(error) == IN_USE:
                    continue
                record(key, f"{type(error).__name__}: {error}")
            return

    threading.Thread(target=write_block, daemon=True).start()
    try:
        while True:
            write(b"y")
    except RuntimeError as error:
        record(key, str(error))
    recorder.pass_gate(key)
    return RETURNS[parameter(environ, "returns")]()


def length_header(environ: dict[str, Any]) -> list[tuple[str, str]]:
    length = parameter(environ, "length")
    return [("Content-Length", length)] if length else []


def _raise() -> Any:
    raise ValueError("of the application")


def _generated() -> Iterator[bytes]:
    yield b"generated"


def leaves_a_reader(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Returns while a thread reads a body that does not come."""
    returned = read_in_thread(environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(returned)))])
    return [returned]


RETURNS: dict[str, Callable[[], Any]] = {
    "list": list,
    "blocks": lambda: [b"z", b"z"],
    "generated": _generated,
    "raises": _raise,
}


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


APPLICATIONS: dict[str, Any] = {
    "keeps-environ": keeps_environ,
    "uses-what-was-kept": uses_what_was_kept,
    "sends-a-telling-block": sends_a_telling_block,
    "leaves-a-writer": leaves_a_writer,
    "leaves-a-reader": leaves_a_reader,
    "plain": plain,
}


def application(environ: dict[str, Any], start_response: Any) -> Any:
    return APPLICATIONS[environ["PATH_INFO"].strip("/")](environ, start_response)


recorder.start()
