"""One portico that listens in every way at once, honest requests to each listener, and what must not stay."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from support.gateway import KEEP_CONNECTION, GatewayConnection, Variables, fastcgi, scgi, uwsgi, variables
from support.raw_client import Response, request_bytes
from support.server import Server, free_port
from support.waiting import wait_until

PROXY_LINE = b"PROXY TCP4 192.0.2.9 198.51.100.1 41000 443\r\n"
"""What stands before an honest request where a header is due."""

LISTENERS = {
    "uwsgi": "uwsgi://{address}",
    "fastcgi": "fastcgi://{address}",
    "scgi": "scgi://{address}",
    "http-proxy": "http://{address}?proxy=required",
    "uwsgi-proxy": "uwsgi://{address}?proxy=required",
    "fastcgi-proxy": "fastcgi://{address}?proxy=required",
    "scgi-proxy": "scgi://{address}?proxy=required",
    "uwsgi-kept": "uwsgi://{address}?persistent=on",
}
"""All ways at once, as `-b` takes them; plain HTTP is there besides."""
GATEWAYS = ("uwsgi", "scgi", "fastcgi")
"""One for each protocol of reverse proxies."""
PROXIED = tuple(name for name in LISTENERS if name.endswith("-proxy"))
"""Those where a PROXY header comes before everything."""
KEPT = ("http", "fastcgi", "uwsgi-kept")
"""Those whose connections may be kept."""

_MEMORY_BYTES = 8 << 20
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""Else the C library keeps the large blocks that an application has freed: 8 MiB for each of its arenas."""
_ENTRY = re.compile(
    r"(\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000\] \[\d+\] \[\w+\]|  (on|with|ready in)) [\x20-\x7e]*"
)


def protocol_of(name: str) -> str:
    """What is spoken on a listener."""
    return name.partition("-")[0]


def request(name: str, given: Variables, body: bytes = b"") -> bytes:
    """A request as bytes, as the listener `name` wants it. CONTENT_LENGTH is added where there is a body."""
    protocol = protocol_of(name)
    start = PROXY_LINE if name.endswith("-proxy") else b""
    if protocol == "http":
        known = dict(given)
        method, target = known["REQUEST_METHOD"], known["REQUEST_URI"]
        return start + request_bytes(target, method, body=body or None)
    if body and "CONTENT_LENGTH" not in dict(given):
        given = [*given, ("CONTENT_LENGTH", str(len(body)))]
    if protocol == "fastcgi":
        return start + fastcgi(given, body, flags=KEEP_CONNECTION)
    return start + {"uwsgi": uwsgi, "scgi": scgi}[protocol](given, body)


def read_response(connection: GatewayConnection, name: str, method: str = "GET") -> Response:
    """The response to a request, as the listener `name` gives it."""
    protocol = protocol_of(name)
    if protocol == "scgi":
        return connection.read_cgi_response(method)
    if protocol == "fastcgi":
        response = connection.read_fastcgi_response(method).response
        assert response is not None
        return response
    return connection.read_response(method)


@dataclass
class GatewayServer:
    """A running server, and where it listens."""

    server: Server
    addresses: dict[str, tuple[str, int]]
    binds: dict[str, str]
    """What a log line shows of a listener."""
    kept: dict[str, GatewayConnection] = field(default_factory=dict)
    """One honest connection that lasts."""

    def connect(self, name: str, *, timeout_s: float = 10.0, source: str | None = None) -> GatewayConnection:
        """A new connection to a listener."""
        return GatewayConnection(self.addresses[name], timeout_s=timeout_s, source=source)

    def ask(self, name: str, target: str = "/honest", method: str = "GET", body: bytes = b"") -> Response:
        """One honest request on a connection of its own."""
        with self.connect(name) as connection:
            connection.send(request(name, variables(target, method), body))
            return read_response(connection, name, method)

    def serves_everybody(self) -> None:
        """Assert that every listener responds, on a fresh connection and on the one that lasts."""
        for name in self.addresses:
            assert self.ask(name).status == 200, name
        for name, connection in self.kept.items():
            connection.send(request(name, variables("/kept")))
            assert read_response(connection, name).status == 200, name

    def wait_for_line(self, name: str, what: str, *, since: int) -> None:
        """Wait for the debug line that says `what` was wrong on a listener."""
        line = rf"\[debug\] {re.escape(self.binds[name])}: \S+( \S+)*: .*{re.escape(what)}"
        self.server.error_log.wait_for(line, since=since)


@contextmanager
def running_gateway_server(
    *options: str,
    listeners: Mapping[str, str] = LISTENERS,
    application: str = "apps.telling:application",
    threads: int = 4,
    kept: Sequence[str] = (),
    is_strict: bool = True,
    has_tracebacks: bool = False,
) -> Iterator[GatewayServer]:
    """A server with `listeners`, for the whole of the block.

    At its end, if `is_strict`: the same worker, no descriptor and hardly any memory more than before; log
    entries of one line each, unless `has_tracebacks`; of warnings at most one a minute for each listener.
    """
    addresses = {name: ("127.0.0.1", free_port()) for name in listeners}
    binds = {name: text.format(address=f"127.0.0.1:{addresses[name][1]}") for name, text in listeners.items()}
    bind_options = [part for bind in binds.values() for part in ("-b", bind)]
    options = ("--log-level", "debug", *bind_options, *options)
    with Server(application, threads=threads, options=options, environment=_ENVIRONMENT) as server:
        addresses["http"] = ("127.0.0.1", server.port)
        binds["http"] = server.url
        gateway = GatewayServer(server, addresses, binds)
        began_s = time.monotonic()
        if is_strict:
            gateway.serves_everybody()
            # Starts all that is started when it is first needed.
            assert gateway.ask("http", "/?application=registers-and-responds&key=first").status == 200
        workers, descriptors, memory = server.worker_pids, server.descriptor_count(), server.memory_bytes()
        for name in kept:
            gateway.kept[name] = gateway.connect(name)
        yield gateway
        for connection in gateway.kept.values():
            with suppress(OSError):
                connection.close()
        if not is_strict:
            return
        assert server.worker_pids == workers, server.log_tail()
        wait_until(lambda: server.descriptor_count() <= descriptors, what="descriptors to be closed")
        # What a crowd has used goes back to the system when it is gone, at the next look.
        wait_until(lambda: server.memory_bytes() - memory < _MEMORY_BYTES, what="memory to be given back")
        wrong = [line for line in server.error_log.lines() if not _ENTRY.fullmatch(line)]
        assert has_tracebacks or not wrong, wrong[:5]
        most = 1 + (time.monotonic() - began_s) // 60
        for bind in binds.values():
            warnings = [line for line in server.error_log.lines() if f"[warning] {bind}: " in line]
            assert len(warnings) <= most, warnings
