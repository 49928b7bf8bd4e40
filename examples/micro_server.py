"""A whole WSGI server, to be read: what stands between a socket and an application (PEP 3333).

`python micro_server.py shop:app 8080` serves the `app` of `shop.py`. `portico.wire` knows HTTP."""

import io
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

from portico import wire


class MicroServer:
    """Serves one request at a time, and one on each connection. A `port` of 0 is any that is free."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8000) -> None:
        self.listener = socket.create_server((host, port))
        self.server_name, self.server_port = self.listener.getsockname()[:2]

    def set_app(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application

    def serve_forever(self) -> None:
        while True:
            self.handle_request()

    def handle_request(self) -> None:
        """Accept a connection, read its request, call the application, send what that returns."""
        self.connection, self.client_address = self.listener.accept()
        self.connection.settimeout(10)
        with self.connection, suppress(OSError):  # of a client that has left or is too slow
            try:
                self.parse_request()
            except wire.RequestRejected as rejected:
                return self.connection.sendall(rejected.response)
            self.head, self.encoder = None, wire.ResponseEncoder(self.request, keep_alive=False)
            try:
                self.finish_response(self.application(self.get_environ(), self.start_response))
            except Exception:
                traceback.print_exc()
                if not self.encoder.started:  # if it is, the missing end tells the client
                    self.connection.sendall(self.encoder.head("500 Internal Server Error", [], body_length=0))

    def parse_request(self) -> None:
        """Read the head of a request and its body."""
        parser = wire.RequestParser(max_request_body_bytes=16 << 20)
        self.body = io.BytesIO()
        while not isinstance(event := parser.next_event(), wire.EndOfRequest):
            if event is wire.NEED_DATA:
                parser.feed(self.connection.recv(65536))
            elif isinstance(event, wire.RequestHead):
                self.request = event
                if event.expect_continue:
                    self.connection.sendall(wire.CONTINUE)
            elif isinstance(event, wire.Data):
                self.body.write(event.data)
            else:
                raise ConnectionError("the client has closed the connection")

    def get_environ(self) -> dict[str, Any]:
        """The request as a dictionary (PEP 3333 "environ Variables")."""
        environ = {
            "REQUEST_METHOD": self.request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.request.path,
            "QUERY_STRING": self.request.query,
            "CONTENT_LENGTH": str(self.body.tell()),
            "SERVER_NAME": self.server_name,
            "SERVER_PORT": str(self.server_port),
            "SERVER_PROTOCOL": self.request.version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body.getvalue()),
            "wsgi.errors": sys.stderr,
            **dict.fromkeys(("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"), False),
        }
        for name, value in self.request.headers:
            key = name.upper().replace("-", "_")
            if "_" in name or key in ("CONTENT_LENGTH", "TRANSFER_ENCODING", "PROXY"):
                continue  # the framing is undone; applications take the others for something else
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            environ[key] = f"{environ[key]}, {value}" if key in environ else value
        return environ

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Keep the head until the first block: so long, an error may replace it."""
        if exc_info and self.encoder.started:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info or not self.head, "start_response was called a second time without exc_info"
        self.head = (status, headers)
        return self.write

    def write(self, block: bytes) -> None:
        """Send a block, and the head before the first one."""
        head = b"" if self.encoder.started else self.encoder.head(*self.head)
        self.connection.sendall(head + self.encoder.block(block))

    def finish_response(self, result: Iterable[bytes]) -> None:
        """Send the blocks, each before the next is asked for, and close the iterable in any case."""
        try:
            for block in filter(None, result):
                self.write(block)
            self.write(b"")  # the head, if no block has brought it out
            self.connection.sendall(self.encoder.end())
        finally:
            getattr(result, "close", lambda: None)()


if __name__ == "__main__":
    sys.path.insert(0, "")  # the working directory, as `python -m` has it
    module, _, name = sys.argv[1].partition(":")
    server = MicroServer(port=int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
    server.set_app(getattr(import_module(module), name or "application"))
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
