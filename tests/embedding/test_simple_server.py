"""`portico.simple_server` as programs use `wsgiref.simple_server`: the whole life of a server, on the
engine."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import sys
import threading
import wsgiref.simple_server
from collections.abc import Callable, Mapping
from socketserver import ThreadingMixIn
from typing import Any

import pytest
from portico import simple_server
from portico.simple_server import WSGIRequestHandler, WSGIServer, make_server
from support.held import expect_let_go, held
from support.raw_client import Connection

from .embedded import describe, describing, hello, meeting, serving

IPV6 = socket.has_ipv6 and socket.getaddrinfo("::1", 0, flags=socket.AI_NUMERICHOST)


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class QuietServer(WSGIServer):
    portico_settings: Mapping[str, object] = {"access_log": "off"}


def quiet(app: Any = describing, **settings: Any) -> QuietServer:
    return make_server("127.0.0.1", 0, app, QuietServer, **settings)


def test_has_all_names_and_the_classes_are_subclasses() -> None:
    names = [name for name in vars(wsgiref.simple_server) if not name.startswith("_")]
    modules_it_uses = {"BaseHTTPRequestHandler", "HTTPServer", "SimpleHandler", "python_implementation"}
    modules_it_uses |= {"sys", "urllib"}
    assert [name for name in names if name not in modules_it_uses and not hasattr(simple_server, name)] == []
    for name in ("WSGIServer", "WSGIRequestHandler", "ServerHandler"):
        assert issubclass(getattr(simple_server, name), getattr(wsgiref.simple_server, name))


def test_serves_on_the_engine_and_keeps_connections() -> None:
    with serving(quiet(hello)) as server, Connection(server.server_address) as connection:
        responses = [connection.request("/"), connection.request("/")]
    assert [(response.version, response.status, response.body) for response in responses] == [
        ("HTTP/1.1", 200, b"hello")
    ] * 2


def test_address_name_port_and_descriptor_are_those_of_the_socket() -> None:
    with make_server("127.0.0.1", 0, hello) as server:
        assert server.server_address == server.socket.getsockname()
        assert (server.server_port, server.fileno()) == (server.server_address[1], server.socket.fileno())
        assert server.server_name == socket.getfqdn("127.0.0.1")
    assert server.fileno() == -1


def test_environ_begins_with_base_environ() -> None:
    class Server(QuietServer):
        def setup_environ(self) -> None:
            super().setup_environ()
            self.base_environ["shop.currency"] = "EUR"

    with serving(make_server("127.0.0.1", 0, describing, Server)) as server:
        server.base_environ["SCRIPT_NAME"] = "/shop"
        described = describe(server.server_address, "/a%20b?c=d")
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=d",
        "REMOTE_ADDR": "127.0.0.1",
        "SCRIPT_NAME": "/shop",
        "SERVER_NAME": server.server_name,
        "SERVER_PORT": str(server.server_port),
        "is_engine": True,
        "shop.currency": "EUR",
        "wsgi.multiprocess": False,
        "wsgi.multithread": False,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
    }
    assert {name: described.get(name) for name in expected} == expected


def test_application_may_be_replaced_while_it_is_served() -> None:
    with serving(quiet(hello)) as server, Connection(server.server_address) as connection:
        assert connection.request("/").body == b"hello"
        server.set_app(describing)
        assert server.get_app() is describing
        assert connection.request("/").body != b"hello"


def test_calls_are_on_the_thread_that_serves() -> None:
    threads: list[int] = []

    class Server(QuietServer):
        def serve_forever(self, poll_interval: float = 0.5) -> None:
            threads.append(threading.get_ident())
            super().serve_forever(poll_interval)

    with serving(make_server("127.0.0.1", 0, describing, Server)) as server:
        described = [describe(server.server_address)["thread"] for _ in range(3)]
    assert described == threads * 3


@pytest.mark.parametrize(
    ("bases", "settings", "count"),
    [
        pytest.param((), {"threads": 3}, 3, id="as_asked"),
        pytest.param((ThreadingMixIn,), {}, 5, id="mixed_in"),
        pytest.param((ThreadingMixIn,), {"threads": 2}, 2, id="mixed_in_and_asked"),
    ],
)
def test_several_threads_call_at_the_same_time(
    bases: tuple[type, ...], settings: dict[str, Any], count: int
) -> None:
    server_class = type("Server", (*bases, QuietServer), {"daemon_threads": True})
    with (
        serving(make_server("127.0.0.1", 0, meeting(count), server_class, **settings)) as server,
        contextlib.ExitStack() as stack,
    ):
        connections = [stack.enter_context(Connection(server.server_address)) for _ in range(count)]
        for connection in connections:
            connection.ask("/")
        assert [connection.read_response().body for connection in connections] == [b"hello"] * count
        server.set_app(describing)
        assert describe(server.server_address)["wsgi.multithread"]


@pytest.mark.skipif(not IPV6, reason="this machine has no IPv6")
def test_serves_ipv6() -> None:
    class Server(QuietServer):
        address_family = socket.AF_INET6

    with serving(make_server("::1", 0, describing, Server)) as server:
        assert len(server.server_address) == 4
        with socket.create_connection(server.server_address[:2], timeout=10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b'"REMOTE_ADDR": "::1"' in b"".join(iter(lambda: client.recv(65536), b""))


def test_serves_a_unix_socket(tmp_path: Any) -> None:
    class Server(QuietServer):
        address_family = socket.AF_UNIX

        def server_bind(self) -> None:
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = "localhost", 80
            self.setup_environ()

    path = str(tmp_path / "socket")
    with serving(Server(path, WSGIRequestHandler)) as server:
        server.set_app(describing)
        assert describe(path)["SERVER_NAME"] == "localhost"


# --- handle_request


def test_handle_request_serves_one_request_of_one_client() -> None:
    with quiet(hello) as server, Connection(server.server_address) as first:
        first.ask("/")
        with Connection(server.server_address) as second:
            second.ask("/")
            server.handle_request()
            response = first.read_response()
            assert (response.version, response.body, response.get("Connection")) == (
                "HTTP/1.1",
                b"hello",
                "close",
            )
            first.expect_closed()
            assert second.is_silent(0)
            server.handle_request()
            assert second.read_response().body == b"hello"


def test_handle_request_gives_the_application_the_body_of_the_request() -> None:
    def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    with quiet(echo) as server, Connection(server.server_address) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        server.handle_request()
        assert client.read_response().body == b"x" * 100_000


def test_handle_request_rejects_what_is_no_request() -> None:
    with quiet(hello) as server, Connection(server.server_address) as client:
        client.send(b"nonsense\r\n\r\n")
        server.handle_request()
        assert client.read_response().status == 400
        client.expect_closed()


def test_handle_request_leaves_nothing_behind() -> None:
    with quiet(hello) as server:
        before = held()
        for _ in range(50):
            with Connection(server.server_address) as client:
                client.ask("/")
                server.handle_request()
                client.read_response()
        expect_let_go(before)


def test_handle_request_is_over_after_its_timeout() -> None:
    class Server(QuietServer):
        timeout = 0.05
        timeouts = 0

        def handle_timeout(self) -> None:
            self.timeouts += 1

    with make_server("127.0.0.1", 0, hello, Server) as server:
        server.handle_request()
        assert server.timeouts == 1


def test_handle_request_asks_verify_request() -> None:
    class Server(QuietServer):
        def verify_request(self, request: Any, client_address: Any) -> bool:
            return False

    with (
        make_server("127.0.0.1", 0, hello, Server) as server,
        socket.create_connection(server.server_address, timeout=10) as client,
    ):
        server.handle_request()
        assert client.recv(100) == b""


def test_socket_blocks_afterwards_as_it_did_before() -> None:
    with quiet(hello) as server:
        with Connection(server.server_address) as client:
            client.ask("/")
            server.handle_request()
        serve = threading.Thread(target=server.serve_forever)
        serve.start()
        with Connection(server.server_address) as client:
            client.request("/")
            assert not os.get_blocking(server.fileno())
        server.shutdown()
        serve.join(10)
        assert os.get_blocking(server.fileno())


# --- shutdown


def test_shutdown_lets_the_call_finish_and_returns_after_it() -> None:
    called, may_go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        called.set()
        assert may_go_on.wait(10)
        return hello(environ, start_response)

    with quiet(slow) as server, Connection(server.server_address) as client:
        serve = threading.Thread(target=server.serve_forever)
        serve.start()
        client.ask("/", headers=["Connection: close"])
        assert called.wait(10)
        shutdown = threading.Thread(target=server.shutdown)
        shutdown.start()
        may_go_on.set()
        shutdown.join(10)
        assert client.read_response().body == b"hello"
        serve.join(10)
        assert not serve.is_alive()


def test_socket_listens_on_between_two_runs() -> None:
    with quiet(hello) as server:
        for _ in range(2):
            # Accepted by the kernel, served by the run that begins only now.
            with Connection(server.server_address) as client:
                client.ask("/")
                serve = threading.Thread(target=server.serve_forever)
                serve.start()
                assert client.read_response().body == b"hello"
                server.shutdown()
                serve.join(10)
                assert not serve.is_alive()


def test_shutdown_before_serve_forever_ends_that_at_once() -> None:
    with quiet(hello) as server:
        shutdown = threading.Thread(target=server.shutdown)
        shutdown.start()
        server.serve_forever()
        shutdown.join(10)
        assert not shutdown.is_alive()


@pytest.mark.parametrize("threads", [1, 4])
def test_shutdown_in_a_call_does_not_wait_for_that_call(threads: int) -> None:
    """With ThreadingMixIn the standard library's does not either; without it, that waits for ever."""

    def ending(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        server.shutdown()
        return hello(environ, start_response)

    with quiet(ending, threads=threads) as server, Connection(server.server_address) as client:
        serve = threading.Thread(target=server.serve_forever)
        serve.start()
        assert client.request("/").body == b"hello"
        serve.join(10)
        assert not serve.is_alive()
        # What was asked once has been done once.
        assert_serves(server, hello)


def assert_serves(server: Any, application: Any) -> None:
    server.set_app(application)
    serve = threading.Thread(target=server.serve_forever)
    serve.start()
    with Connection(server.server_address) as client:
        assert client.request("/").body == b"hello"
    server.shutdown()
    serve.join(10)
    assert not serve.is_alive()


def test_get_app_is_called_for_each_request_and_no_other_time() -> None:
    class Choosing(QuietServer):
        chosen = 0

        def get_app(self) -> Any:
            self.chosen += 1
            if self.chosen == 1:
                raise LookupError("not yet")
            return hello

    with serving(make_server("127.0.0.1", 0, hello, Choosing)) as server:
        assert server.chosen == 0
        with Connection(server.server_address) as client:
            assert [client.request("/").status for _ in range(3)] == [500, 200, 200]
        assert server.chosen == 3


def test_no_handler_of_a_signal_is_touched_outside_the_main_thread() -> None:
    def handlers() -> list[Any]:
        wakeup_fd = signal.set_wakeup_fd(-1)
        return [wakeup_fd, *(signal.getsignal(number) for number in signal.valid_signals())]

    before = handlers()
    with serving(quiet(hello)) as server, Connection(server.server_address) as client:
        client.request("/")
        assert handlers() == before
    assert handlers() == before


# --- Hooks that the engine calls


def test_get_environ_may_be_overridden() -> None:
    class Handler(WSGIRequestHandler):
        def get_environ(self) -> dict[str, Any]:
            del self.headers["X-Secret"]
            environ = super().get_environ()
            environ["shop.line"] = f"{self.requestline} {self.headers['X-Shown']}"
            return environ

        def address_string(self) -> str:
            return "client.example"

    with serving(make_server("127.0.0.1", 0, describing, QuietServer, Handler)) as server:
        described = describe(server.server_address, "/a?b", headers=["X-Secret: 1", "X-Shown: 2"])
    expected = {
        "HTTP_X_SHOWN": "2",
        "HTTP_X_SECRET": None,
        "PATH_INFO": "/a",
        "QUERY_STRING": "b",
        "REMOTE_ADDR": "127.0.0.1",
        # As of Python 3.13 the standard library's `get_environ`, which this one calls, asks for no name.
        "REMOTE_HOST": "client.example" if sys.version_info < (3, 13) else "",
        "SERVER_SOFTWARE": WSGIRequestHandler.server_version,
        "is_engine": True,
        "shop.line": "GET /a?b HTTP/1.1 2",
    }
    assert {name: described.get(name) for name in expected} == expected


def test_get_environ_sees_the_length_of_a_body() -> None:
    class Handler(WSGIRequestHandler):
        def get_environ(self) -> dict[str, Any]:
            return super().get_environ()

    with serving(make_server("127.0.0.1", 0, describing, QuietServer, Handler)) as server:
        described = describe(
            server.server_address, method="POST", headers=["Content-Type: text/csv"], body=b"a,b"
        )
    assert (described["CONTENT_TYPE"], described["CONTENT_LENGTH"]) == ("text/csv", "3")


def test_get_stderr_may_be_overridden() -> None:
    errors = io.StringIO()

    class Handler(WSGIRequestHandler):
        def get_stderr(self) -> Any:
            return errors

    def complaining(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.errors"].write("a complaint\n")
        return hello(environ, start_response)

    with (
        serving(make_server("127.0.0.1", 0, complaining, QuietServer, Handler)) as server,
        Connection(server.server_address) as client,
    ):
        client.request("/")
    assert errors.getvalue() == "a complaint\n"


def test_log_message_gets_what_the_standard_library_gives_it() -> None:
    lines: list[tuple[Any, ...]] = []

    class Handler(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            lines.append((self.client_address[0], format, *args))

    class Failing:
        def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
            if environ["PATH_INFO"] == "/fails":
                raise KeyError("missing")
            environ["PATH_INFO"] = environ["REQUEST_METHOD"] = "changed"
            return hello(environ, start_response)

    with (
        serving(make_server("127.0.0.1", 0, Failing(), QuietServer, Handler)) as server,
        Connection(server.server_address) as client,
    ):
        client.request("/fine?a=b")
        client.request("/fails")
    assert lines == [
        ("127.0.0.1", '"%s" %s %s', "GET /fine?a=b HTTP/1.1", "200", "5"),
        ("127.0.0.1", '"%s" %s %s', "GET /fails HTTP/1.1", "500", "26"),
    ]


def test_requests_are_logged_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        with (
            serving(make_server("127.0.0.1", 0, hello)) as server,
            Connection(server.server_address) as client,
        ):
            client.request("/a")
    assert re.search(
        r'^127\.0\.0\.1 - - \[.*\] "GET /a HTTP/1\.1" 200 5 ', capfd.readouterr().err, re.MULTILINE
    )


def test_requests_are_logged_to_what_stands_in_for_standard_error() -> None:
    with (
        contextlib.redirect_stderr(io.StringIO()) as errors,
        serving(make_server("127.0.0.1", 0, hello)) as server,
        Connection(server.server_address) as client,
    ):
        client.request("/a")
    assert re.fullmatch(r'127\.0\.0\.1 - - \[.*\] "GET /a HTTP/1\.1" 200 5\n', errors.getvalue())


def test_a_failure_in_the_log_names_the_application(capfd: pytest.CaptureFixture[str]) -> None:
    def failing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise KeyError("missing")

    with serving(quiet(failing)) as server, Connection(server.server_address) as client:
        assert client.request("/a").status == 500
    name = f"{failing.__module__}:{failing.__qualname__}"
    assert f"the application {name} at GET /a failed" in capfd.readouterr().err


# --- Subclasses that take the I/O


class OwnHandle(QuietHandler):
    def handle(self) -> None:
        super().handle()


class OwnStreams(QuietHandler):
    def setup(self) -> None:
        super().setup()
        self.rfile = self.request.makefile("rb")


class OwnParser(QuietHandler):
    def parse_request(self) -> bool:
        return super().parse_request()


class OwnTimeout(QuietHandler):
    timeout = 10


class Verifying(QuietServer):
    def verify_request(self, request: Any, client_address: Any) -> bool:
        return True


class Finishing(QuietServer):
    def finish_request(self, request: Any, client_address: Any) -> None:
        self.RequestHandlerClass(request, client_address, self)


class OwnThreads(ThreadingMixIn, QuietServer):
    daemon_threads = True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        super().process_request_thread(request, client_address)


@pytest.mark.parametrize(
    ("server_class", "handler_class"),
    [
        pytest.param(QuietServer, OwnHandle, id="handle"),
        pytest.param(QuietServer, OwnStreams, id="rfile"),
        pytest.param(QuietServer, OwnParser, id="parse_request"),
        pytest.param(QuietServer, OwnTimeout, id="timeout"),
        pytest.param(Verifying, QuietHandler, id="verify_request"),
        pytest.param(Finishing, QuietHandler, id="finish_request"),
        pytest.param(OwnThreads, QuietHandler, id="process_request_thread"),
    ],
)
def test_who_takes_the_io_is_served_the_way_of_the_standard_library(
    server_class: type[QuietServer], handler_class: type[WSGIRequestHandler]
) -> None:
    with make_server("127.0.0.1", 0, describing, server_class, handler_class) as server:
        with Connection(server.server_address) as client:
            client.ask("/")
            server.handle_request()
            response = client.read_response()
            assert response.get("Server") == simple_server.software_version
        with serving(server):
            assert describe(server.server_address)["is_engine"] is False


def test_a_method_of_one_server_object_counts_as_overridden() -> None:
    seen: list[Any] = []
    with quiet() as server:
        process_request = server.process_request

        def noting(request: Any, client_address: Any) -> None:
            seen.append(client_address)
            process_request(request, client_address)

        server.process_request = noting
        with serving(server):
            assert describe(server.server_address)["is_engine"] is False
    assert len(seen) == 1


def test_a_socket_that_is_wrapped_is_left_to_the_standard_library() -> None:
    class Wrapped(socket.socket):
        """As that of the module `ssl`, a class of its own."""

    server = make_server("127.0.0.1", 0, describing, QuietServer, QuietHandler)
    server.socket = Wrapped(fileno=server.socket.detach())
    with serving(server):
        assert describe(server.server_address)["is_engine"] is False


# --- Settings


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        pytest.param(
            {"threads": 0},
            ValueError,
            'make_server(): threads: expected a whole number from 1 to 1024, got "0"',
            id="value",
        ),
        pytest.param(
            {"thread": 2},
            TypeError,
            "make_server(): thread is not a setting; did you mean threads?",
            id="name",
        ),
        pytest.param(
            {"bind": ":80"},
            TypeError,
            "make_server(): bind: host and port are arguments of their own",
            id="bind",
        ),
    ],
)
def test_a_wrong_setting_is_an_error(settings: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as raised:
        make_server("127.0.0.1", 0, hello, **settings)
    assert str(raised.value) == sentence


def test_settings_take_a_server_of_this_module() -> None:
    with pytest.raises(
        TypeError, match=r"threads: expected a subclass of portico\.simple_server\.WSGIServer"
    ):
        make_server("127.0.0.1", 0, hello, wsgiref.simple_server.WSGIServer, threads=2)


def test_settings_reach_the_engine() -> None:
    with serving(quiet(hello, max_request_body=10)) as server, Connection(server.server_address) as client:
        assert client.request("/", method="POST", body=b"x" * 11).status == 413
