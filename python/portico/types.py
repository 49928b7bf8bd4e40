"""Names for the types of PEP 3333 and for what the engine is given; for annotations only.

Importing `typing` costs a process 1.7 MB, so the supervised processes import this module for type checking
only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, TypeAlias

Environ: TypeAlias = dict[str, Any]
ExcInfo: TypeAlias = (
    "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]"
)
Write: TypeAlias = Callable[[bytes], object]


class StartResponse(Protocol):
    """What an application calls with its status and headers (PEP 3333 "The start_response() Callable")."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Write: ...


WSGIApplication: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]


class ErrorLog(Protocol):
    """`wsgi.errors` (PEP 3333 "Input and Error Streams")."""

    def write(self, text: str, /) -> int: ...
    def writelines(self, lines: Iterable[str], /) -> None: ...
    def flush(self) -> None: ...


class EngineListener(Protocol):
    """One listening socket.

    `protocol` is http, uwsgi, fastcgi or scgi. `proxy`: each connection begins with a header of the PROXY
    protocol, which only the peers in `proxy_allow_from` may send. `persistent` (uwsgi): a connection is kept
    where the framing is exact. `stderr` (fastcgi): `wsgi.errors` goes to the peer as STDERR records. Peers
    are addresses, networks, `unix` or `*`; `allow_from` are those that may connect. `display` is for log
    lines.
    """

    fd: int
    protocol: str
    proxy: bool
    persistent: bool
    stderr: bool
    allow_from: list[str]
    proxy_allow_from: list[str]
    display: str


class EngineSettings(Protocol):
    """All that one worker's engine is told, taken over once when it starts."""

    listeners: list[EngineListener]
    signal_fd: int
    lifeline_fd: int
    threads: int
    multiprocess: bool
    graceful_timeout_s: float
    max_request_line_bytes: int
    max_headers: int
    max_header_bytes: int
    max_head_bytes: int
    max_variables: int
    max_variables_bytes: int
    max_request_body_bytes: int
    body_memory_bytes: int
    body_spool_bytes: int
    max_chunk_extension_bytes: int
    max_trailer_bytes: int
    max_pipelined: int
    max_requests_per_connection: int
    max_connections: int
    max_connections_per_address: int
    max_in_flight: int
    max_buffered_bytes: int
    max_temporary_bytes: int
    response_memory_bytes: int
    response_spool_bytes: int
    write_timeout_s: float
    min_response_rate_bytes: int
    handshake_timeout_s: float
    head_timeout_s: float
    body_timeout_s: float
    min_body_rate_bytes: int
    request_timeout_s: float
    queue_timeout_s: float
    keep_alive_s: float
    linger_timeout_s: float
    forwarded_allow_ips: list[str]
    keep_untrusted_forwarded: bool
    health_paths: list[str]
    access_log_fd: int
    access_log_colour: bool
    errors: ErrorLog
