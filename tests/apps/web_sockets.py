"""Web sockets as WSGI applications do them: by Flask-Sock, by simple-websocket alone, and by hand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask, request
from flask_sock import Sock
from simple_websocket import Server

from apps import recorder

app = Flask(__name__)
sock = Sock(app)

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-By: hand\r\n\r\n"


@sock.route("/echo")
def echo(ws: Server) -> None:
    while (data := ws.receive()) != "bye":
        ws.send(data)


@app.route("/pinging", websocket=True)
def pinging() -> str:
    """Says whether its pings, a few, were answered, each before the next was due: else it had closed."""
    ws = Server.accept(request.environ, ping_interval=0.1)
    began_s = time.monotonic()
    while time.monotonic() - began_s < 0.45:
        ws.receive(timeout=0.05)
    ws.send("all pings answered" if ws.connected and ws.pong_received else "lost")
    ws.close()
    return ""


@sock.route("/fails")
def fails(ws: Server) -> None:
    ws.send("soon")
    raise KeyError("the view has failed")


@sock.route("/until-draining")
def until_draining(ws: Server) -> None:
    ws.send("hello")
    while not request.environ["portico.draining"]():
        ws.receive(timeout=0.05)
    ws.send("going")


@app.get("/plain")
def plain() -> str:
    return "plain"


Environ = dict[str, Any]
StartResponse = Callable[..., Any]
By = Callable[[socket.socket, Environ, StartResponse], Iterable[bytes]]
BY_HAND: dict[str, By] = {}


def by_hand(function: By) -> By:
    BY_HAND["/" + function.__name__.replace("_", "-")] = function
    return function


@by_hand
def upper(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    own.sendall(HEAD)
    while data := own.recv(65536):
        own.sendall(data.upper())
    return []


@by_hand
def both_ways(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends and receives at the same time: as much as the query says."""
    own.sendall(HEAD)
    count = int(environ["QUERY_STRING"])
    sending = threading.Thread(target=own.sendall, args=[b"x" * count])
    sending.start()
    received = 0
    while received < count:
        received += len(own.recv(65536))
    sending.join()
    own.sendall(b"%20d" % received)
    return []


@by_hand
def kinds(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """What it is for who looks closely."""
    is_same = environ["gunicorn.socket"] is own
    said = (type(own).__name__, type(own).__module__, own.family.name, own.gettimeout(), is_same)
    with own.dup() as other, socket.socket(fileno=own.detach()) as again:
        other.sendall(HEAD)
        again.sendall(repr(said).encode())
    return []


@by_hand
def raises(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    own.sendall(HEAD + b"raised")
    raise {"stop": StopIteration, "error": ConnectionError, "value": ValueError}[environ["QUERY_STRING"]]


@by_hand
def responds_too(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    own.sendall(HEAD + b"own")
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    write(b"with write")
    return [b"returned"]


@by_hand
def returns_none(own: socket.socket, environ: Environ, start_response: StartResponse) -> Any:
    own.sendall(HEAD + b"none")


@by_hand
def generates(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    own.sendall(HEAD + b"generated")
    yield b""
    yield b"lost"


@by_hand
def stays(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Goes on after its socket is closed, until the gate opens."""
    own.sendall(HEAD + b"closed")
    own.close()
    recorder.record(recorder.key_of(environ), "inside")
    recorder.pass_gate(recorder.key_of(environ))
    return []


@by_hand
def forbids(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    own.sendall(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    return []


@by_hand
def never(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"not taken"]


@by_hand
def closes_only(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    own.close()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"closed only"]


@by_hand
def too_late(own: socket.socket, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Begins a response, and then writes to the socket."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    try:
        own.sendall(HEAD)
    except OSError as error:
        yield type(error).__name__.encode()


recorder.start()


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    function = BY_HAND.get(environ["PATH_INFO"])
    if environ["PATH_INFO"] == "/keys":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [",".join(sorted(key for key in environ if key.endswith(".socket"))).encode()]
    if function is None:
        return app(environ, start_response)
    return function(environ["werkzeug.socket"], environ, start_response)
