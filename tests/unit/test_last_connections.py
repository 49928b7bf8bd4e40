"""Before a socket is closed for good nobody gets into its queue any more; those who are in it are served."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from portico.config.addresses import parse_address
from portico.process.last_connections import let_nobody_in
from portico.process.plan import Listener


def listener_of(listening: socket.socket, text: str) -> Listener:
    return Listener(listening.fileno(), parse_address(text), "display")


def test_who_waits_is_accepted_and_who_comes_later_never_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with socket.create_connection(address), socket.create_connection(address):
            let_nobody_in(listener_of(listening, f"127.0.0.1:{address[1]}"))
            has_failed = threading.Event()

            def come_late() -> None:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(address, timeout=10)
                has_failed.set()

            late = threading.Thread(target=come_late)
            late.start()
            listening.settimeout(10)
            for _ in range(2):
                listening.accept()[0].close()
            # It has not come about, whenever it was asked for.
            listening.settimeout(0.3)
            with pytest.raises(TimeoutError):
                listening.accept()
            listening.close()
            late.join()
            assert has_failed.is_set()


def test_data_of_those_who_wait_still_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with socket.create_connection(address) as client:
            let_nobody_in(listener_of(listening, f"127.0.0.1:{address[1]}"))
            client.sendall(b"x")
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(1) == b"x"
                accepted.sendall(b"y")
            assert client.recv(1) == b"y"


def test_at_a_unix_socket_who_comes_later_hears_it_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(path)
        listening.listen()
        waiting.connect(path)
        let_nobody_in(listener_of(listening, f"unix:{path}"))
        with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
            late.connect(path)
        accepted, _ = listening.accept()
        accepted.close()


def test_a_socket_of_somebody_else_stays_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        let_nobody_in(listener_of(listening, f"fd://{listening.fileno()}"))
        with socket.create_connection(listening.getsockname(), timeout=5):
            listening.accept()[0].close()


def test_a_socket_that_is_kept_through_a_restart_stays_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = listener_of(listening, f"127.0.0.1:{listening.getsockname()[1]}")
        kept.is_stored = True
        let_nobody_in(kept)
        with socket.create_connection(listening.getsockname(), timeout=5):
            listening.accept()[0].close()
