"""How long `/` and a health check take beside a crowd of slow clients, and beside a call that computes.

    python bench/beside.py [--ways threads,gevent] [--clients 1000] [--seconds 8] [--streamed]

One worker for each way to execute. The crowd: as many uploads that bring some bytes a second, and as many
downloads of half a megabyte that take some. `--streamed`: the calls of both are in the application
meanwhile, since nothing is received or kept beyond what sockets hold. `alone` is the same without them, `this
machine` how late the client itself is woken. Milliseconds. Writes nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PORT = 18940
_PAUSE_S = 0.005
_EVERY_S = 1.0
_BODY_BYTES = 100_000
# What computes, or waits for a CPU, does so beside the other half of a small machine.
_COMPUTES_S = 2

APPLICATION = """
import time
LARGE = b"d" * 500_000
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/upload":
        while environ["wsgi.input"].read(4096):
            pass
    if path.startswith("/computes/"):
        end = time.monotonic() + float(path[10:])
        while time.monotonic() < end:
            pass
    body = LARGE if path == "/download" else b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@contextmanager
def serving(way: str, port: int, options: list[str]) -> Iterator[None]:
    """A server with one worker that executes in this way."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "beside.py").write_text(APPLICATION)
        command = [
            sys.executable,
            "-m",
            "portico",
            "run",
            "beside",
            "-b",
            f"127.0.0.1:{port}",
            "--worker",
            way,
        ]
        options = [
            "-w",
            "1",
            "--access-log",
            "off",
            "--health-path",
            "/up",
            "--max-connections",
            "5000",
            *options,
        ]
        server = subprocess.Popen([*command, *options], cwd=folder, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int) -> None:
    for _ in range(500):
        try:
            return ask(port, "/up")
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the server does not accept")


def ask(port: int, path: str) -> None:
    """One request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 200"), received[:100]


def times_ms(what: Callable[[], None], seconds: float) -> list[float]:
    """How long each took, one after the other with pauses, sorted."""
    found, until_s = [], time.monotonic() + seconds
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        what()
        found.append((time.monotonic() - began_s) * 1000)
        time.sleep(_PAUSE_S)
    return sorted(found)


def crowd(port: int, clients: int, is_there: Event, is_over: Event) -> None:
    """As many uploads and downloads as `clients`, each with a little every second."""
    connections = []
    for number in range(2 * clients):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        is_upload = number % 2 == 0
        head = f"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {_BODY_BYTES}\r\n\r\n"
        connection.sendall((head if is_upload else "GET /download HTTP/1.1\r\nHost: a\r\n\r\n").encode())
        connections.append((connection, is_upload))
    is_there.set()
    pause_s = _EVERY_S / len(connections)
    due_s = time.monotonic()
    while not is_over.is_set():
        for connection, is_upload in connections:
            if is_upload:
                connection.send(b"x" * 600)
            else:
                # There may be nothing at the moment.
                with suppress(BlockingIOError):
                    connection.recv(2000, socket.MSG_DONTWAIT)
            due_s += pause_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            if is_over.is_set():
                break


def show(what: str, found: list[float]) -> None:
    """One line: how many, and three times."""
    middle, late = found[len(found) // 2], found[int(len(found) * 0.99)]
    print(
        f"  {what:34} {len(found):5} requests   p50 {middle:6.2f}   p99 {late:6.2f}   max {found[-1]:6.2f}",
        flush=True,
    )


def measure(way: str, port: int, clients: int, seconds: float, *, is_streamed: bool) -> None:
    """Print what there is to say of one way."""
    options = []
    if is_streamed:
        calls = "--threads" if way == "threads" else "--greenlets"
        options = [calls, str(min(1024, 2 * clients + 100)) if way == "gevent" else "1000"]
        options += [
            "--body-memory",
            "0",
            "--body-spool",
            "0",
            "--response-memory",
            "64k",
            "--response-spool",
            "64k",
        ]
    print(way + (", streamed" if is_streamed else ""))
    with serving(way, port, options):
        show("this machine", [ms - 1 for ms in times_ms(lambda: time.sleep(0.001), 1)])
        show("/ alone", times_ms(lambda: ask(port, "/"), seconds / 2))
        there, over = multiprocessing.Event(), multiprocessing.Event()
        client = multiprocessing.Process(target=crowd, args=(port, clients, there, over))
        client.start()
        there.wait(60)
        # All have their threads, or whatever they have.
        time.sleep(2)
        ask(port, "/")
        show(f"/ beside {clients} + {clients}", times_ms(lambda: ask(port, "/"), seconds))
        show(f"/up beside {clients} + {clients}", times_ms(lambda: ask(port, "/up"), seconds / 2))
        over.set()
        client.join()
    with serving(way, port, []):
        computing = multiprocessing.Process(target=ask, args=(port, f"/computes/{_COMPUTES_S + 1}"))
        computing.start()
        time.sleep(0.5)
        show(f"/up beside {_COMPUTES_S} s of computing", times_ms(lambda: ask(port, "/up"), _COMPUTES_S))
        computing.join()


def main() -> None:
    """Measure each way that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ways", default="threads,gevent")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--streamed", action="store_true")
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    os.environ["PYTHONPATH"] = str(ROOT / "python")
    for number, way in enumerate(arguments.ways.split(",")):
        measure(way, _PORT + number, arguments.clients, arguments.seconds, is_streamed=arguments.streamed)


if __name__ == "__main__":
    main()
