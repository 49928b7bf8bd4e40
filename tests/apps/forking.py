"""Applications that fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from apps import recorder
from apps.recorder import key_of, parameter, record

_TEXT = ("Content-Type", "text/plain")
CHILDREN: list[int] = []
"""Those that live on."""


class ForksInClose:
    """An iterable that forks when it is closed."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __iter__(self) -> Iterator[bytes]:
        yield b"parent"

    def close(self) -> None:
        fork(self._key)


def fork(key: str) -> bool:
    """Forks; whether this is the child. The parent records how the child ends."""
    pid = os.fork()
    if pid == 0:
        return True

    def wait() -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        record(key, f"child ended: {code}")

    threading.Thread(target=wait, daemon=True).start()
    return False


def returns(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    is_child = fork(key_of(environ))
    start_response("200 OK", [_TEXT])
    return [b"child" if is_child else b"parent"]


def raises(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if fork(key_of(environ)):
        raise ValueError("of the child")
    start_response("200 OK", [_TEXT])
    return [b"parent"]


def exits(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if fork(key_of(environ)):
        sys.exit(int(parameter(environ, "code")))
    start_response("200 OK", [_TEXT])
    return [b"parent"]


def yields(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [_TEXT])
    yield b"par"
    if fork(key_of(environ)):
        yield b"child"
    yield b"ent"


def ends_iteration(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [_TEXT])
    yield b"parent"
    fork(key_of(environ))


def writes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [_TEXT])
    write(b"par")
    if fork(key_of(environ)):
        write(b"child")
    write(b"ent")
    return []


def closes(environ: dict[str, Any], start_response: Any) -> ForksInClose:
    start_response("200 OK", [_TEXT, ("Content-Length", "6")])
    return ForksInClose(key_of(environ))


def reads(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Both read the body; the parent when the child has read."""
    file = environ["wsgi.input"]
    first = file.read(10)
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if file.read() else 1)
        except RuntimeError:
            os._exit(3)
    record(key_of(environ), f"child ended: {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")
    start_response("200 OK", [_TEXT])
    return [first + file.read()]


def terminates(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Processes that are ended as soon as they are there, by `signal=`."""
    number = int(parameter(environ, "signal"))
    context = multiprocessing.get_context("fork")
    codes = []
    for _ in range(10):
        process = context.Process(target=signal.pause)
        process.start()
        os.kill(process.pid or 0, number)
        process.join(10)
        codes.append(process.exitcode)
    start_response("200 OK", [_TEXT])
    return [repr(codes).encode()]


def _square(number: int) -> int:
    return number * number


def starts_programs(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Everything that forks in the standard library."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found: list[Any] = [pool.map(_square, range(5))]
    found.append(subprocess.run(["echo", "one"], check=True, capture_output=True).stdout)
    command = ["sh", "-c", "echo two; kill -TERM $$"]
    done = subprocess.run(command, capture_output=True, preexec_fn=os.setsid, check=False)
    found.append((done.stdout, done.returncode))
    with os.popen("echo three") as pipe:
        found.append(pipe.read())
    start_response("200 OK", [_TEXT])
    return [repr(found).encode()]


def leaves_a_child(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """A child that lives on; its process id, in a body that has no length."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    CHILDREN.append(pid)
    start_response("200 OK", [_TEXT])
    yield str(pid).encode()


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [_TEXT])
    return [b"plain"]


APPLICATIONS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "returns": returns,
    "raises": raises,
    "exits": exits,
    "yields": yields,
    "ends-iteration": ends_iteration,
    "writes": writes,
    "closes": closes,
    "reads": reads,
    "terminates": terminates,
    "starts-programs": starts_programs,
    "leaves-a-child": leaves_a_child,
    "plain": plain,
}


def application(environ: dict[str, Any], start_response: Any) -> Any:
    return APPLICATIONS[environ["PATH_INFO"].strip("/")](environ, start_response)


recorder.start()
