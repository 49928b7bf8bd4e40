"""A real HAProxy in front of porticos that join it: its configuration, runtime API and table of servers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.reverse_proxies import ForegroundProgram, find_program
from support.server import free_port
from support.waiting import wait_until

_CONFIGURATION = """
global
    nbthread 1
    log stderr format raw local0 notice
    stats socket {api} mode 600 level {level}

defaults
    log global
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
    timeout queue 5s
    retries 0

frontend shop_front
    bind 127.0.0.1:{port}
    default_backend shop

backend shop
    balance roundrobin
{servers}
"""
_DEADLINE_S = 5.0


class RuntimeAPI:
    """The runtime API of an HAProxy with a backend `shop`, at the Unix socket `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, command: str) -> str:
        """What the runtime API says to `command`."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_DEADLINE_S)
            connection.connect(str(self.path))
            connection.sendall(f"{command}\n".encode())
            received = b""
            while data := connection.recv(65536):
                received += data
        return received.decode()

    def servers(self) -> dict[str, tuple[str, str]]:
        """Address and state of each server of the backend, in the words of `show stat`."""
        found = {}
        head, *lines = self.ask("show stat shop 4 -1").removeprefix("# ").strip().splitlines()
        columns = head.split(",")
        for line in lines:
            row = dict(zip(columns, line.split(","), strict=False))
            found[row["svname"]] = (row["addr"], row["status"])
        return found

    def weight(self, server: str) -> int:
        """The weight of a server at present."""
        return int(self.ask(f"get weight shop/{server}").split()[0])

    def wait_for(self, server: str, state: str | None, *, deadline_s: float = 10.0) -> None:
        """Wait until `server` is in `state`, or is not there."""

        def is_so() -> bool:
            found = self.servers().get(server)
            return (found is None) if state is None else (found is not None and found[1].startswith(state))

        wait_until(is_so, what=f"{server} to be {state}, not {self.servers()}", deadline_s=deadline_s)


class HAProxy(RuntimeAPI):
    """An HAProxy with one backend, `shop`, with the lines `servers`; `folder` is its own."""

    def __init__(self, folder: Path, *servers: str, level: str = "admin") -> None:
        self.port = free_port()
        super().__init__(folder / "admin.sock")
        self._folder = folder
        self._program: ForegroundProgram | None = None
        lines = "\n".join(f"    {line}" for line in servers)
        text = _CONFIGURATION.format(api=self.path, port=self.port, servers=lines, level=level)
        self.file = folder / "haproxy.cfg"
        self.file.write_text(text)

    def start(self) -> None:
        program = find_program("haproxy", what="portico in a cluster of HAProxy's")
        self._program = ForegroundProgram(
            "haproxy",
            [program, "-db", "-f", str(self.file)],
            folder=self._folder,
            log_path=self._folder / "haproxy.log",
            port=self.port,
        )
        self._program.__enter__()
        # It listens on ports a moment earlier.
        wait_until(self.path.exists, what="the runtime API")

    def stop(self) -> None:
        if self._program is not None:
            self._program.__exit__(None, None, None)
            self._program = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have it stand still, inside the block."""
        assert self._program is not None
        os.kill(self._program.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._program.pid, signal.SIGCONT)
