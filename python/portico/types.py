"""Names for the types of PEP 3333 and for what the engine is given; for annotations only.

Importing `typing` costs a process 1.7 MB, so the supervised processes import this module for type checking
only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
OnInterrupt: TypeAlias = Callable[[BaseException], object]
OnResponse: TypeAlias = Callable[[int, int], object]


class EventLoop(Protocol):
    """What has many calls of the application at a time on one thread (`portico.event_loops`).

    `calls` is the engine's end: a `portico._core.EventLoop`.
    """

    def prepare(self) -> None:
        """Change what the application will import; in a worker, before anything of it is imported."""

    def leave_behind(self) -> list[str]:
        """Give back what no forked worker can have; name what that takes from the application."""

    def begin_anew(self) -> None:
        """In a worker that was forked: have again what was left behind."""

    def run(self, calls: Any, /) -> None:
        """Run the loop on the main thread until `calls.is_over()`."""

    def park(self, number: int, /) -> None:
        """Give the thread up until `calls.begin_turn()` says that the wait with this number is over."""


class ErrorLog(Protocol):
    """`wsgi.errors` (PEP 3333 "Input and Error Streams")."""

    def write(self, text: str, /) -> int: ...
    def writelines(self, lines: Iterable[str], /) -> None: ...
    def flush(self) -> None: ...


class EngineListener(Protocol):
    """One listening socket, or one connection that somebody else has accepted (`is_connection`).

    `fd` is taken over by the engine, which closes it when it drains; a server that has nothing but
    connections drains once they have ended. `protocol` is http, uwsgi, fastcgi or scgi. `proxy`: each
    connection begins with a header of the PROXY protocol. `persistent` (uwsgi): a connection is kept where
    the framing is exact. `stderr` (fastcgi): `wsgi.errors` goes to the peer as STDERR records. `display` is
    for log lines.
    """

    fd: int
    protocol: str
    proxy: bool
    persistent: bool
    stderr: bool
    display: str
    is_connection: bool


class EngineApplication(Protocol):
    """An application beside the first: as `EngineProcess` has it for that."""

    application: WSGIApplication
    application_name: str
    innermost: WSGIApplication | None
    has_middleware: bool


EngineFolder: TypeAlias = tuple[str, list[str], str]
"""A directory whose files are served: where it is, the names of what stands for it or a directory in it, and
the Cache-Control of files whose names have no hash of their content, empty for none."""


class EngineRoute(Protocol):
    """What requests to `host` for `path` lead to, and for all below it unless it `is_exact`: one of four.

    `host` is in lower case and without a port, begins with `*.` for all names below one, and is empty for
    any; `path` is decoded, and empty or begins and does not end with a slash. `application` is the number of
    one, and the path that becomes its SCRIPT_NAME, or an empty one. `files` is the number of a folder, the
    path below which its files are, and whether what is not there is left to the next row. `response` is a
    status, headers and a body. `redirect` is a status, an address, and the path in whose place that stands if
    what follows in the request's is put behind it. `upstream` is the number of one, and the path that is
    taken from the request's and told as X-Forwarded-Prefix, or an empty one.
    """

    host: str
    path: str
    is_exact: bool
    application: tuple[int, str] | None
    files: tuple[int, str, bool] | None
    response: tuple[int, list[tuple[str, str]], bytes] | None
    redirect: tuple[int, str, str | None] | None
    upstream: tuple[int, str] | None


class EngineTls(Protocol):
    """How TLS is spoken with an upstream. Each is empty where nothing was said.

    `server_name` is whom certificates have to be of, in place of the host of each address; `ca` is a file of
    those who are trusted, in place of the system's; `client_certificate` and `client_key` are files that say
    who this server is. Without `verify` anybody is trusted.
    """

    server_name: str
    ca: str
    client_certificate: str
    client_key: str
    verify: bool


class EngineUpstream(Protocol):
    """Other servers that serve the same: the keys of `[[upstream]]`.

    `name` is for log lines, `key` is what orders call them, `counted_as` what durations are counted by, `to`
    are addresses such as `http://HOST:PORT`, `uwsgi+unix:PATH` and `srv+http://NAME`, `variables` what is
    told beside the request over uwsgi and FastCGI; `resolve_s` is None where orders say what addresses names
    have. `balance` is round-robin, least-requests, header:NAME or cookie:NAME. 0 is no limit in `timeout_s`,
    `tunnel_timeout_s` and `max_in_flight`, and never in `eject_after`; `health_path` is empty where none is
    asked, else `health_host` is what it is asked of.
    """

    name: str
    key: str
    counted_as: str
    to: Sequence[str]
    variables: Sequence[tuple[str, str]]
    balance: str
    keep: int
    keep_timeout_s: float
    connect_timeout_s: float
    timeout_s: float
    tunnel_timeout_s: float
    max_in_flight: int
    retries: int
    eject_after: int
    eject_for_s: float
    tls: EngineTls
    resolve_s: float | None
    health_path: str
    health_host: str
    health_interval_s: float
    health_timeout_s: float


EnginePages: TypeAlias = tuple[Sequence[Sequence[str]], Sequence[Sequence[str]], Sequence[Sequence[str]]]
"""Of applications, folders and upstreams, each in the order of their numbers: `STATUS=FILE` for each page."""


class EngineRouting(Protocol):
    """The table of routes of a server with several applications, or with other servers behind it.

    `others` are those beside the first, with the numbers from 1 on; `folders` and `upstreams` have those from
    0 on. `routes` are in the order in which they are tried. With `rejects_unknown_hosts` a request to a
    host that no route names gets 421, whatever there is for any host. `error_pages` are those of each
    application, folder and upstream. `member_orders` is what was ordered of members of upstreams since the
    configuration was read (`Members` of `portico.process.messages`).
    """

    others: Sequence[EngineApplication]
    folders: Sequence[EngineFolder]
    upstreams: Sequence[EngineUpstream]
    routes: Sequence[EngineRoute]
    rejects_unknown_hosts: bool
    error_pages: EnginePages
    member_orders: str


class EngineProcess(Protocol):
    """What the engine is told of its process, beside the settings (`portico.config.settings.Settings`).

    `signal_fd` is the read end of a pipe that brings signals, one number per byte: TERM, INT and QUIT tell it
    to leave. `wakeup_fd` is where the interpreter writes signals (`signal.set_wakeup_fd`), if `serve` is
    called on the main thread: then handlers run also while it waits. It is the write end of `signal_fd`, or
    of `wakeup_read_fd`: what is read there tells nobody to leave. `supervisor_fd` is the worker's end of the
    socketpair over which orders come (`portico.process.messages`): its end of file is the supervisor's death.
    `ready_frame` is what is written there once connections are accepted. `gate_fd` is a socket to who is
    asked before each connection is accepted: a byte asks, a byte lets one in, as soon as a thread is free;
    what is not let in is left to whoever accepts at that listener next. `access_log_fd` is where access lines
    go, `spans_fd` where spans do. Each descriptor may be -1 for none, and stays the caller's. `multiprocess`:
    other workers serve the same application. `errors` is `wsgi.errors`. `has_metrics`: durations of requests
    are counted in the slot.

    `application_name` is what the error log calls the application; where it is empty, what the callable says
    of itself is taken. `innermost` is the application without what is put around it, None if that is nothing:
    its code is named where a block is no bytes and does not show who has made it, with the remark that the
    middleware around it may have, if `has_middleware`.

    `on_interrupt` and `on_response` are for a program that serves beside all else that it does. With
    `on_interrupt`, which takes that `serve` is called on the main thread, what a signal's handler raises, and
    a KeyboardInterrupt out of the application, is handed over instead of logged. `on_response` is called on
    the thread of each call after its end, with the status (499 if the client had left before, 0 if there was
    none) and the number of bytes of the body.

    `event_loop` is what runs the calls, on the thread that `serve` is called on; None if they have threads.
    `routing` is None for a server of one application.
    """

    listeners: list[EngineListener]
    signal_fd: int
    wakeup_fd: int
    wakeup_read_fd: int
    supervisor_fd: int
    ready_frame: bytes
    gate_fd: int
    multiprocess: bool
    access_log_fd: int
    spans_fd: int
    access_log_colour: bool
    errors: ErrorLog
    has_metrics: bool
    application_name: str
    innermost: WSGIApplication | None
    has_middleware: bool
    on_interrupt: OnInterrupt | None
    on_response: OnResponse | None
    event_loop: EventLoop | None
    routing: EngineRouting | None
