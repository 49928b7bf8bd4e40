"""Web sockets where something stands between the client and the application, or in the supervisor's place."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import portico
import pytest
from apps import web_sockets
from portico.simple_server import make_server
from support.held import expect_let_go, held
from support.reverse_proxies import ForegroundProgram, find_program
from support.server import TESTS, Server, free_port
from support.waiting import wait_until
from support.ways import LOOPS, not_for
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 10
POOL = """
[processes]
workers = 1
[routes]
workers = 1
[[app]]
app = "apps.bottle_site"
[[app]]
app = "apps.web_sockets:application"
mount = "/chat"
threads = 8
"""
NGINX = """
daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    %s
    server {
        listen 127.0.0.1:%d;
        %s
        location / { proxy_pass http://127.0.0.1:%d; }
    }
}
"""
offered = not_for(*LOOPS, reason="web sockets are not offered: each would hold all calls")
PAGE = TESTS.parent / "docs/web-sockets.md"


def web_socket(port: int, path: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=PATIENCE_S)


def converse(client: ClientConnection) -> None:
    """Echoes, small and large, and the end in peace."""
    for message in ("hello", b"x" * 2_000_000, "\u2603"):
        client.send(message)
        assert client.recv(PATIENCE_S) == message
    client.send("bye")
    with pytest.raises(ConnectionClosedOK):
        client.recv(PATIENCE_S)


def converse_with(port: int, path: str = "/echo") -> None:
    with web_socket(port, path) as client:
        converse(client)


@offered
def test_through_the_router_to_a_pool(tmp_path: Path) -> None:
    (tmp_path / "portico.toml").write_text(POOL)
    # Its sockets are there.
    run_time = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with Server(None, options=("-c", str(tmp_path / "portico.toml")), environment=run_time) as server:

        def is_served() -> bool:
            return httpx.get(f"{server.url}/chat/plain").text == "plain"

        wait_until(is_served, what="the pool")
        converse_with(server.port, "/chat/echo")
        server.access_log.wait_for(r"GET /chat/echo HTTP/1\.1\" 101")


@offered
def test_behind_nginx_as_the_page_says(tmp_path: Path) -> None:
    program = find_program("nginx", what="web sockets behind nginx")
    in_http, in_server = re.findall(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    port = free_port()
    with Server("apps.web_sockets:application", threads=8) as server:
        (tmp_path / "nginx.conf").write_text(NGINX % (in_http, port, in_server, server.port))
        command = [program, "-p", str(tmp_path), "-c", "nginx.conf"]
        log_path = tmp_path / "nginx.log"
        with ForegroundProgram("nginx", command, folder=tmp_path, log_path=log_path, port=port):
            converse_with(port)
            # A request without an upgrade is passed on as before.
            assert httpx.get(f"http://127.0.0.1:{port}/keys").text == ""


def test_in_a_program() -> None:
    def live() -> None:
        with portico.running(web_sockets.application, threads=2, log_level="warning") as server:
            converse_with(server.port)
        # simple-websocket leaves cycles behind, in which its environ is.
        gc.collect()

    live()
    before = held()
    for _ in range(3):
        live()
    expect_let_go(before)


def test_a_program_that_stops_ends_them() -> None:
    with (
        portico.running(web_sockets.application, threads=2, graceful_timeout=1) as server,
        web_socket(server.port, "/echo") as client,
    ):
        client.send("hello")
        assert client.recv(PATIENCE_S) == "hello"
        server.stop()
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE_S)


def test_simple_server() -> None:
    with make_server("127.0.0.1", 0, web_sockets.application) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        converse_with(server.server_port)
        server.shutdown()
        serving.join(PATIENCE_S)


@offered
def test_portico_dev() -> None:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "portico",
        "dev",
        "apps.web_sockets:application",
        "-b",
        f"127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, cwd=TESTS, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as dev:
        assert dev.stderr is not None
        try:
            said = b""
            while b"ready in" not in said:
                said += os.read(dev.stderr.fileno(), 65536)
            converse_with(port)
            with web_socket(port, "/echo") as client:
                dev.send_signal(signal.SIGINT)
                with pytest.raises(ConnectionClosed):
                    client.recv(PATIENCE_S)
            assert dev.wait(PATIENCE_S) in (0, 130)
        finally:
            dev.kill()
