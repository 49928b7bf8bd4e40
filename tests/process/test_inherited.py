"""Sockets that a parent has opened: systemd's activation done for real, reload and stop, and what is left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.processes import children
from support.server import free_port
from support.waiting import wait_until

from .conftest import read_body

PORTICO = [sys.executable, "-m", "portico", "run", "shop", "-w", "2", "--access-log", "off"]

# Says what it sees of itself, and what a program sees that it starts without closing anything.
SHOP = """
import os, subprocess, sys
BODY = "one"
SEES = "import os; print(*(os.readlink('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd')[:-1]))"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/environment":
        body = " ".join(name for name in os.environ if name.startswith("LISTEN_"))
    elif path == "/child":
        body = subprocess.run([sys.executable, "-c", SEES], close_fds=False, stdout=-1).stdout.decode()
    else:
        body = BODY
    start_response("200 OK", [])
    return [body.encode()]
"""

# What systemd does between fork and exec: sockets from 3 on, variables with its own process id.
ACTIVATE = """
import os, sys
names, *command = sys.argv[1:]
count = len(names.split(":"))
for number in range(count):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


@contextlib.contextmanager
def running(
    folder: Path, command: Sequence[str], *, pass_fds: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output is in `folder`/error.log; it is killed at the end if it still runs."""
    with (folder / "error.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=pass_fds,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        yield process
    finally:
        for pid in [process.pid, *children(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def activated(
    folder: Path, sockets: dict[str, socket.socket], *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Portico as systemd would start it with these sockets, by name."""
    fds = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 200) for one in sockets.values()]
    moved = [os.dup2(fd, 100 + number) for number, fd in enumerate(fds)]
    try:
        command = [sys.executable, "-c", ACTIVATE, ":".join(sockets), *PORTICO, *options]
        with running(folder, command, pass_fds=moved) as process:
            for fd in moved:
                os.close(fd)
            moved.clear()
            yield process
    finally:
        for fd in fds + moved:
            os.close(fd)


@contextlib.contextmanager
def listening(place: str = "") -> Iterator[socket.socket]:
    """A listening socket of this process: TCP, or Unix at a path."""
    with socket.socket(socket.AF_UNIX if place else socket.AF_INET) as listener:
        listener.bind(place or ("127.0.0.1", 0))
        listener.listen(64)
        yield listener


def wait_for(folder: Path, text: str, *, times: int = 1) -> None:
    log = folder / "error.log"
    wait_until(lambda: log.read_text().count(text) >= times, what=f"{text!r} in the error log")


def ask(listener: socket.socket, path: str = "/") -> socket.socket:
    """Send a request to the address of `listener` and return the connection."""
    connection = socket.socket(listener.family)
    connection.settimeout(20)
    connection.connect(listener.getsockname())
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection


def get(listener: socket.socket, path: str = "/") -> str:
    with ask(listener, path) as connection:
        return read_body(connection)


def inode(one: socket.socket) -> str:
    return os.readlink(f"/proc/self/fd/{one.fileno()}")


def sockets_of(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_serves_the_sockets_of_systemd_by_name(folder: Path) -> None:
    path = folder / "admin.sock"
    with listening() as web, listening() as spare, listening(str(path)) as admin:
        sockets = {"web": web, "spare": spare, "admin": admin}
        with activated(folder, sockets, "-b", "fd://web", "-b", "fd://admin") as process:
            wait_for(folder, "ready in ")
            log = (folder / "error.log").read_text()
            port = web.getsockname()[1]
            assert f"  on http://127.0.0.1:{port} (from fd://web), unix:{path} (from fd://admin)\n" in log
            assert 'systemd passed on descriptor 4 (FileDescriptorName="spare"), but no --bind asks' in log
            assert f", pid {process.pid}\n" in log
            assert get(web) == get(admin) == "one"
            assert get(web, "/environment") == ""
            for pid in [process.pid, *children(process.pid)]:
                assert inode(web) in sockets_of(pid)
                assert inode(spare) not in sockets_of(pid)
            seen = get(web, "/child").split()
            assert seen
            assert not [text for text in seen if text.startswith("socket:")]
            stop(process)
        assert path.exists(), "a socket file of systemd was removed"


def test_a_reload_and_a_restart_lose_nothing_on_an_inherited_socket(folder: Path) -> None:
    with listening() as web:
        with activated(folder, {"web": web}, "-b", "fd://web") as process:
            wait_for(folder, "ready in ")
            before = set(children(process.pid))
            (folder / "shop.py").write_text(SHOP.replace("one", "two"))
            process.send_signal(signal.SIGHUP)
            wait_for(folder, "is ready after", times=2)
            wait_until(lambda: not before & set(children(process.pid)), what="the old workers to leave")
            assert {get(web) for _ in range(5)} == {"two"}
            [pid, _] = children(process.pid)
            os.kill(pid, signal.SIGKILL)
            wait_for(folder, "is ready after", times=3)
            assert get(web) == "two"
            stop(process)
        # The socket is open, as systemd keeps it: who comes now waits for the next start.
        with (
            ask(web) as connection,
            activated(folder, {"web": web}, "-b", "fd://web") as process,
        ):
            assert read_body(connection) == "two"
            stop(process)


def test_serves_a_descriptor_by_number_without_systemd(folder: Path) -> None:
    with listening() as web, listening(str(folder / "a.sock")) as other:
        fds = [web.fileno(), other.fileno()]
        command = [*PORTICO, "-b", f"fd://{fds[0]}", "-b", f"http+fd://{fds[1]}", "-b", f"unix:@{fds}"]
        with running(folder, command, pass_fds=fds) as process:
            wait_for(folder, "ready in ")
            assert get(web) == get(other) == "one"
            assert not [text for text in get(web, "/child").split() if text.startswith("socket:")]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


def test_nobody_waits_at_an_inherited_socket_that_its_parent_has_closed(folder: Path) -> None:
    with listening() as web:
        address = web.getsockname()
        with running(folder, [*PORTICO, "-b", f"fd://{web.fileno()}"], pass_fds=[web.fileno()]) as process:
            wait_for(folder, "ready in ")
            web.close()
            socket.create_connection(address).close()
            stop(process)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)


@pytest.mark.parametrize(
    ("command", "bind", "sentence"),
    [
        ([], "fd://77", "cannot listen on fd://77: descriptor 77 is not open: whoever starts portico has to"),
        ([], "fd://web", "cannot listen on fd://web: systemd passed on no sockets; was the .socket unit"),
        (
            [sys.executable, "-c", ACTIVATE, "web:admin"],
            "scgi+fd://wbe",
            "cannot listen on scgi+fd://wbe: systemd passed on no socket of this name "
            '(FileDescriptorName=); there is "web", "admin"',
        ),
        (
            # A shell that stays in between.
            [sys.executable, "-c", ACTIVATE, "web:admin", "/bin/sh", "-c", '"$@"; exit $?', "sh"],
            "fd://web",
            ": systemd has to start portico itself, not a program that starts it",
        ),
        (
            [sys.executable, "-c", ACTIVATE, "web:admin"],
            "fd://admin",
            "cannot listen on fd://admin: descriptor 4 is no stream socket: systemd makes one with ListenStr",
        ),
    ],
    ids=["not open", "no systemd", "another name", "through a shell", "datagrams"],
)
def test_ends_with_status_4_when_there_is_no_such_socket(
    folder: Path, command: list[str], bind: str, sentence: str
) -> None:
    with listening() as web, socket.socket(type=socket.SOCK_DGRAM) as admin:
        moved = [os.dup2(web.fileno(), 100), os.dup2(admin.fileno(), 101)]
        try:
            with running(folder, [*command, *PORTICO, "-b", bind], pass_fds=moved) as process:
                assert process.wait(20) == 4
        finally:
            for fd in moved:
                os.close(fd)
    assert sentence in (folder / "error.log").read_text()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd-socket-activate here")
def test_is_started_by_systemd_socket_activate(folder: Path) -> None:
    port, path = free_port(), folder / "shop.sock"
    command = [
        *("systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", str(path), "--fdname=web:local"),
        *PORTICO,
        *("-b", "fd://web", "-b", "fd://local"),
    ]
    with running(folder, command) as process:
        wait_for(folder, "Listening on", times=2)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            # The connection that starts it is served too.
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert read_body(connection) == "one"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /environment HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert read_body(connection) == ""
        wait_for(folder, f", unix:{path} (from fd://local)\n")
        stop(process)
    assert path.exists()
