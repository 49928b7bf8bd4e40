"""`portico.running` and what it shares with `portico.serve`: addresses, settings, the end."""

from __future__ import annotations

import os
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import portico
import pytest
from portico import _core
from support.held import expect_let_go, held
from support.raw_client import Connection

from .embedded import describe, describing, hello, meeting


def test_serves_as_long_as_the_block_lasts() -> None:
    with portico.running(hello) as server:
        with urllib.request.urlopen(f"{server.url}/") as response:
            assert response.read() == b"hello"
        assert server.url == f"http://127.0.0.1:{server.port}"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port)).close()


def test_each_change_of_a_static_file_is_seen_at_once(tmp_path: Path) -> None:
    """Elsewhere small files are kept for a second; who embeds a server may well be a test."""
    with portico.running(hello, static=f"/static={tmp_path}") as server:
        for number in range(10):
            (tmp_path / "a.txt").write_text(str(number))
            with urllib.request.urlopen(f"{server.url}/static/a.txt") as response:
                assert response.read() == str(number).encode()


def test_leaves_nothing_behind() -> None:
    def live() -> None:
        with portico.running(hello, threads=2) as server, Connection(("127.0.0.1", server.port)) as client:
            assert client.request("/", headers=["Connection: close"]).body == b"hello"

    before = held()
    for _ in range(5):
        live()
    expect_let_go(before)


def test_several_servers_at_once() -> None:
    with portico.running(hello) as one, portico.running(describing) as other:
        assert one.port != other.port
        assert describe(("127.0.0.1", other.port))["SERVER_PORT"] == str(other.port)


def test_calls_on_as_many_threads_as_asked() -> None:
    with portico.running(meeting(2), threads=2) as server:
        address = ("127.0.0.1", server.port)
        with Connection(address) as first, Connection(address) as second:
            first.ask("/")
            second.ask("/")
            assert [each.read_response().body for each in (first, second)] == [b"hello"] * 2


def test_an_exception_in_the_block_stops_the_server_and_passes_through() -> None:
    with pytest.raises(KeyError), portico.running(hello) as server:
        raise KeyError("of the test")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port)).close()


def test_calls_get_time_to_finish() -> None:
    called, may_go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        called.set()
        assert may_go_on.wait(10)
        return hello(environ, start_response)

    with portico.running(slow) as server:
        client = Connection(("127.0.0.1", server.port))
        client.ask("/", headers=["Connection: close"])
        assert called.wait(10)
        threading.Timer(0.05, may_go_on.set).start()
    with client:
        assert client.read_response().body == b"hello"


def test_serves_a_unix_socket_and_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with portico.running(describing, unix_socket=path) as server:
        assert server.url == "http+unix://" + str(path).replace("/", "%2F")
        assert describe(str(path))["REMOTE_ADDR"] == ""
    assert not path.exists()


def test_a_path_of_a_unix_socket_may_be_bytes(tmp_path: Path) -> None:
    with portico.running(hello, unix_socket=os.fsencode(tmp_path / "größe")) as server:  # type: ignore[arg-type]
        assert server.url == f"http+unix://{quote(os.fsencode(tmp_path / 'größe'), safe='')}"


def test_url_of_an_abstract_socket_begins_with_its_nul() -> None:
    name = f"portico-{os.getpid()}"
    with portico.running(hello, unix_socket=f"@{name}") as server, socket.socket(socket.AF_UNIX) as client:
        assert server.url == f"http+unix://%00{name}"
        client.connect(unquote(server.url.removeprefix("http+unix://")))


def test_an_ipv6_address_may_have_its_brackets() -> None:
    with portico.running(hello, host="[::1]") as server:
        assert server.url == f"http://[::1]:{server.port}"


def test_url_of_all_addresses_is_one_that_can_be_asked() -> None:
    with portico.running(hello, host="") as server:
        assert server.url == f"http://127.0.0.1:{server.port}"


def test_bind_takes_the_place_of_host_and_port(tmp_path: Path) -> None:
    with portico.running(hello, bind=["127.0.0.1:0", f"unix:{tmp_path}/socket"]) as server:
        for address in (("127.0.0.1", server.port), f"{tmp_path}/socket"):
            with Connection(address) as client:
                assert client.request("/").body == b"hello"


def test_access_log_goes_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with (
        portico.running(hello, access_log=path) as server,
        Connection(("127.0.0.1", server.port)) as client,
    ):
        client.request("/a")
    assert '"GET /a HTTP/1.1" 200 5' in path.read_text()


def test_mounts_the_application() -> None:
    with portico.running(describing, script_name="/shop") as server:
        described = describe(("127.0.0.1", server.port), "/shop/cart")
    assert (described["SCRIPT_NAME"], described["PATH_INFO"]) == ("/shop", "/cart")


def test_level_of_the_error_log_may_be_set(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        with (
            portico.running(hello, log_level="trace") as server,
            Connection(("127.0.0.1", server.port)) as client,
        ):
            client.request("/")
    finally:
        _core.configure_log("info", False)
    assert "accepted from 127.0.0.1" in capfd.readouterr().err


def test_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_THREADS", "none")
    monkeypatch.setenv("PORT", "none")
    with portico.running(describing) as server:
        assert describe(("127.0.0.1", server.port))["wsgi.multithread"]


# --- What is wrong is said before anything is served


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        pytest.param(
            {"threads": "two"},
            TypeError,
            "threads: expected a whole number from 1 to 1024, got 'two'",
            id="text",
        ),
        pytest.param(
            {"threads": 2.0},
            TypeError,
            "threads: expected a whole number from 1 to 1024, got 2.0",
            id="float",
        ),
        pytest.param(
            {"threads": True},
            TypeError,
            "threads: expected a whole number from 1 to 1024, got True",
            id="flag",
        ),
        pytest.param(
            {"keep_alive": -1},
            ValueError,
            'keep_alive: expected a duration from 0s to 24h, such as 30s, 500ms or 2m, got "-1"',
            id="range",
        ),
        pytest.param({"strict": "yes"}, TypeError, "strict: expected true or false, got 'yes'", id="no_flag"),
        pytest.param({"max_body": 1}, TypeError, "max_body is not a setting", id="unknown"),
        pytest.param(
            {"keepalive": 1}, TypeError, "keepalive is not a setting; did you mean keep_alive?", id="near"
        ),
        pytest.param(
            {"workers": 2},
            TypeError,
            "workers: that takes workers, which only `portico run` has",
            id="workers",
        ),
        pytest.param({"chdir": "/"}, TypeError, "chdir: that is up to the program that serves", id="chdir"),
        pytest.param(
            {"port": 70000},
            ValueError,
            'bind: expected a port from 0 to 65535, got "70000" in "127.0.0.1:70000"',
            id="port",
        ),
        pytest.param({"port": "80"}, TypeError, "port: expected a whole number, got '80'", id="port_text"),
        pytest.param({"host": None}, TypeError, "host: expected a name or an address, got None", id="host"),
        pytest.param(
            {"unix_socket": "a", "bind": ":80"},
            TypeError,
            "expected unix_socket or bind, got both",
            id="both",
        ),
        pytest.param({"bind": []}, ValueError, "bind: expected at least one address, got []", id="nowhere"),
        pytest.param(
            {"unix_socket": 5}, TypeError, "unix_socket: expected a path or @NAME, got 5", id="no_path"
        ),
        pytest.param(
            {"middleware": "portico.middleware:Lint"},
            TypeError,
            "middleware: put it around the application",
            id="middleware",
        ),
        pytest.param(
            {"factory": True}, TypeError, "factory: pass on the application that it makes", id="factory"
        ),
        pytest.param({"name": "shop"}, TypeError, "name: that is up to the program that serves", id="name"),
        pytest.param(
            {"error_log": "errors"},
            TypeError,
            "error_log: the error log is the standard error of the program",
            id="error_log",
        ),
    ],
)
def test_a_wrong_setting_is_an_error_with_a_sentence(
    settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        portico.serve(hello, **settings)
    assert str(raised.value) == f"serve(): {sentence}"
    with pytest.raises(error) as raised, portico.running(hello, **settings):
        pass
    assert str(raised.value) == f"running(): {sentence}"


def test_settings_that_clash_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"body_spool is 1K .*, but has to be at least body_memory"):
        portico.serve(hello, body_spool="1K")


def test_an_address_in_use_is_an_error_that_says_by_whom() -> None:
    with portico.running(hello) as server, pytest.raises(OSError, match=f"in use by process {os.getpid()}"):
        portico.serve(hello, port=server.port)


def test_what_is_no_application_is_an_error() -> None:
    with pytest.raises(TypeError, match="expected a WSGI application, which can be called, got 'shop:app'"):
        portico.serve("shop:app")  # type: ignore[arg-type]


def test_an_access_log_that_cannot_be_written_is_an_error_and_nothing_listens(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/socket"
    with pytest.raises(IsADirectoryError):
        portico.serve(hello, bind=path, access_log=tmp_path)
    assert not (tmp_path / "socket").exists()
