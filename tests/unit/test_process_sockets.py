"""portico.process.sockets: real sockets, and whose fault it is when there is none."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from portico.config.addresses import Address, parse_address
from portico.errors import OperatorError
from portico.process.plan import Listener
from portico.process.sockets import bind_all


@contextmanager
def bound(*texts: str) -> Iterator[list[Listener]]:
    listeners = bind_all([parse_address(text) for text in texts], backlog=16)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def port_of(listener: Listener) -> int:
    return int(listener.display.rpartition(":")[2])


def refusal(*addresses: Address | str) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        bind_all([parse_address(a) if isinstance(a, str) else a for a in addresses], backlog=16)
    assert caught.value.exit_code == 4
    return caught.value


def test_listens_on_tcp_without_blocking_and_inheritable() -> None:
    with bound("127.0.0.1:0") as [listener]:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", listener.display)
        assert not os.get_blocking(listener.fd)
        assert os.get_inheritable(listener.fd)
        with socket.socket(fileno=os.dup(listener.fd)) as found:
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        socket.create_connection(("127.0.0.1", port_of(listener))).close()


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux only")
def test_defers_accept() -> None:
    with bound("127.0.0.1:0") as [listener], socket.socket(fileno=os.dup(listener.fd)) as found:
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0


def test_listens_on_both_families_with_one_ipv6_wildcard() -> None:
    with bound("[::]:0") as [listener]:
        socket.create_connection(("127.0.0.1", port_of(listener))).close()
        socket.create_connection(("::1", port_of(listener))).close()


def test_leaves_ipv4_to_an_address_of_its_own() -> None:
    with bound("127.0.0.1:0") as [free]:
        port = port_of(free)
    with bound(f"[::]:{port}", f"0.0.0.0:{port}") as listeners:
        assert [listener.display for listener in listeners] == [
            f"http://[::]:{port}",
            f"http://0.0.0.0:{port}",
        ]


def test_names_the_process_that_holds_a_port() -> None:
    with bound("127.0.0.1:0") as [listener]:
        message = refusal(f"127.0.0.1:{port_of(listener)}").message
    assert message.startswith(
        f"cannot listen on 127.0.0.1:{port_of(listener)}: the port is in use by process "
    )
    if os.path.exists("/proc/net/tcp"):
        assert f"process {os.getpid()} (" in message


def test_closes_what_it_had_when_a_later_address_fails(tmp_path: Path) -> None:
    path = tmp_path / "first.sock"
    refusal(f"unix:{path}", f"unix:{tmp_path}/none/second.sock")
    assert not path.exists()


def test_says_that_an_address_is_not_of_this_machine() -> None:
    assert "this machine has no address 192.0.2.1" in refusal("192.0.2.1:80").message


def test_gives_a_unix_socket_its_mode_and_removes_it_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}?mode=640"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_replaces_a_stale_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with bound(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_leaves_a_unix_socket_that_is_listened_on(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}"):
        assert (
            refusal(f"unix:{path}").message == f"cannot listen on unix:{path}: another process listens there"
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_leaves_a_file_that_is_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    assert "exists and is no socket" in refusal(f"unix:{path}").message
    assert path.read_text() == "keep me"


def test_leaves_the_socket_of_a_successor(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}"):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("none/shop.sock", "there is no directory"), ("x" * 200, "the path is too long for a socket")],
)
def test_explains_why_there_is_no_unix_socket(tmp_path: Path, path: str, sentence: str) -> None:
    assert sentence in refusal(Address(path=str(tmp_path / path))).message
