"""Where the server listens: Unix sockets with a mode, IPv6, several addresses, port 0 of nobody else."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from support.raw_client import Connection
from support.server import Server, free_port


def environ(connection: Connection) -> dict[str, Any]:
    response = connection.request("/environ", headers=["X-A: b"])
    return {key: entry["value"] for key, entry in json.loads(response.body)["values"].items()}


@pytest.mark.parametrize("threads", [1, 8])
def test_unix_socket(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "portico.sock"
    with Server(threads=threads, bind=f"unix:{path}") as server, server.connect() as connection:
        for _ in range(2):
            values = environ(connection)
            assert values["HTTP_X_A"] == "b"
            assert isinstance(values["REMOTE_ADDR"], str)
            assert values["SERVER_NAME"] != ""
            assert values["SERVER_PORT"] != ""
        assert connection.request("/echo", method="POST", body=b"x" * 300_000).body == b"x" * 300_000
        assert len(connection.request("/one-block?mebibytes=4").body) == 4 << 20
    assert not path.exists(), "the socket file was left behind"


def test_unix_socket_with_a_mode(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with Server(bind=f"unix:{path}?mode=660") as server, server.connect() as connection:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert connection.request("/function").body == b"function"


def test_a_stale_unix_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with Server(bind=f"unix:{path}") as server, server.connect() as connection:
        assert connection.request("/function").body == b"function"


def test_several_addresses(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with Server(options=["-b", f"unix:{path}"]) as server:
        with server.connect() as connection:
            assert environ(connection)["SERVER_PORT"] == str(server.port)
        with Connection(str(path)) as connection:
            assert connection.request("/function").body == b"function"


def test_ipv6() -> None:
    try:
        port = free_port("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with Server(options=["-b", f"[::1]:{port}"]) as server:
        with socket.create_connection(("::1", port)) as raw:
            raw.sendall(b"GET /environ HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        with server.connect() as connection:
            assert environ(connection)["REMOTE_ADDR"] == "127.0.0.1"
    values = json.loads(answer.partition(b"\r\n\r\n")[2])["values"]
    assert values["REMOTE_ADDR"]["value"] == "::1"
    assert values["SERVER_PORT"]["value"] == str(port)
