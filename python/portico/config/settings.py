"""The one table of settings: a new one is a row here, and a field of the engine's if Rust needs it.

The rows are also the typed attributes of `Settings`, so no setting is listed a second time: the command
line, the environment variables, the help and the documentation are all generated from the rows (step by
step: docs/contributing/add-a-setting.md). Unit and attribute name go together: a duration ends in `_s`, a
size in `_bytes`. Rows of one group stand together.

Values are plain built-in types: they cross an exec (process/plan.py).
"""

from __future__ import annotations

from portico.config.addresses import DEFAULT_HOST, DEFAULT_PORT
from portico.config.kinds import (
    AddressText,
    Application,
    Choice,
    Directory,
    Duration,
    EnvironmentVariable,
    FieldText,
    Flag,
    LogFile,
    Middleware,
    MountPath,
    Network,
    NumberOrAuto,
    Size,
    Text,
    UrlPath,
    WholeNumber,
)
from portico.config.setting import Group, ManySetting, Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_APPLICATION = Group("application", "app")
_PROCESSES = Group("processes", "processes")
_LISTENING = Group("listening", "listening")
_REQUEST_LIMITS = Group("limits of one request", "request_limits")
_CONNECTION_LIMITS = Group("limits of one connection", "connection_limits")
_WORKER_LIMITS = Group("limits of one worker", "worker_limits")
_RESPONSES = Group("responses to slow readers", "slow_readers")
_TIMES = Group("times", "times")
_REVERSE_PROXIES = Group("reverse proxies", "reverse_proxies")
_LOGS = Group("logs", "logs")

_THIS_MACHINE = ("127.0.0.0/8", "::1", "unix")


class Settings:
    """All settings of one server, each with where its value came from.

    `values` and `origins` are keyed by attribute; an origin reads like `--threads on the command line`.
    """

    app = Setting(
        "app",
        Application(),
        "",
        positional=True,
        group=_APPLICATION,
        documentation="The application: `pkg.mod:attribute`, or `pkg.mod:factory()`, perhaps with literals "
        "as arguments. A file may stand in place of the module: `src/shop/wsgi.py:app`. Without an "
        "attribute, `application` is taken, or else `app`. Without APP it is looked for in the working "
        "directory: Django's by manage.py or DJANGO_SETTINGS_MODULE, what FLASK_APP names, then app.py and "
        "wsgi.py. More in docs/application.md.",
    )
    factory = Setting(
        "factory",
        Flag(),
        False,
        group=_APPLICATION,
        documentation="Whether APP names a factory, which is called without arguments and returns the "
        "application, as `pkg.mod:factory()` says. Without an attribute, `create_app` is taken, or else "
        "`make_app`.",
    )
    chdir = Setting(
        "chdir",
        Directory(),
        "",
        group=_APPLICATION,
        summary="Work in this directory.",
        documentation="Work in this directory. It is importable, and all other relative paths start from it.",
    )
    pythonpath = ManySetting(
        "pythonpath",
        Directory(),
        (),
        separator=":",
        group=_APPLICATION,
        summary="Import from this directory, too.",
        documentation="A directory to import from, after the working directory. May be repeated.",
    )
    env = ManySetting(
        "env",
        EnvironmentVariable(),
        (),
        separator=",",
        short_flag="-e",
        group=_APPLICATION,
        summary="A variable for the application.",
        documentation="An environment variable for the application. May be repeated.",
    )

    script_name = Setting(
        "script_name",
        MountPath(),
        "",
        key="mount",
        group=_APPLICATION,
        documentation="Where the application is mounted, as SCRIPT_NAME tells it, such as /shop. Requests "
        "below it have it moved from PATH_INFO, others get a 404. A reverse proxy that says SCRIPT_NAME "
        "itself (uwsgi, FastCGI, SCGI) is left alone; an X-Forwarded-Prefix, which it has stripped, stands "
        "before it.",
    )
    strict = Setting(
        "strict",
        Flag(),
        False,
        group=_APPLICATION,
        documentation="Whether the application is held to all of PEP 3333. Without it, a hop-by-hop header "
        "(such as Connection) that it sends is dropped, and None in place of a body is an empty one, each "
        "with a warning that is given once; with it, they are errors, and the response is a 500.",
    )
    middleware = ManySetting(
        "middleware",
        Middleware(),
        (),
        separator=",",
        group=_APPLICATION,
        documentation="What is put around the application, such as `portico.middleware:RequestID`: a "
        "callable that gets an application and returns one. May be repeated; the first is the outermost. In "
        'the file each may have arguments, `{ use = "MODULE:NAME", argument = 1 }`. More in '
        "docs/middleware.md.",
    )

    workers = Setting(
        "workers",
        NumberOrAuto(1, 512),
        None,
        short_flag="-w",
        also_environment="WEB_CONCURRENCY",
        group=_PROCESSES,
        summary="Processes; auto is one for each CPU.",
        documentation="How many processes run the application; auto is one for each CPU that "
        "affinity and the cgroup allow.",
    )
    threads = Setting(
        "threads",
        WholeNumber(1, 1024),
        8,
        group=_PROCESSES,
        summary="Most calls at a time in a process.",
        documentation="The most calls of the application at the same time in one worker. Threads are started "
        "when calls block; fast applications stay on one. With 1 the application need not be "
        "thread-safe.",
    )
    timeout_s = Setting(
        "timeout",
        Duration(0, 86400),
        60.0,
        short_flag="-t",
        group=_PROCESSES,
        summary="The longest that one call may take.",
        documentation="The longest that a call of the application may keep its client waiting: from its "
        "start, or from the last block that left. Its worker is replaced after that, and the stacks are "
        "logged; other calls get 3 s to finish. So long may a request wait for the interpreter, too. 0 is no "
        "limit.",
    )
    graceful_timeout_s = Setting(
        "graceful_timeout",
        Duration(0, 86400),
        30.0,
        group=_PROCESSES,
        summary="The longest that a stop may take.",
        documentation="How long a worker that was told to stop may go on serving the requests in flight.",
    )
    name = Setting(
        "name",
        Text("NAME", "a name"),
        "",
        short_flag="-n",
        group=_PROCESSES,
        documentation="What the processes are called: `ps`, `top` and `htop` show `portico: supervisor NAME` "
        "and `portico: worker 1 NAME`. Without it, APP as it was given. The service, upstream or image of "
        "`portico generate` has this name too, or else that of the application's module.",
    )

    bind = ManySetting(
        "bind",
        AddressText(),
        (f"{DEFAULT_HOST}:{DEFAULT_PORT}",),
        separator=",",
        short_flag="-b",
        group=_LISTENING,
        summary="Where to listen.",
        documentation="Where to listen: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH, unix:@NAME (abstract), "
        "fd://N (inherited) or fd://NAME (from systemd). What is spoken there is HTTP, uwsgi, FastCGI or "
        "SCGI: http://HOST:PORT, uwsgi://HOST:PORT, fastcgi+unix:PATH, scgi+fd://N and so on; without a "
        "scheme it is HTTP. Options follow after `?`, with `&` between them: mode=660, owner=NAME and "
        "group=NAME for the path of a Unix socket, proxy=required (PROXY protocol), persistent=on (uwsgi), "
        "stderr=on (fastcgi). May be repeated. Port 0 takes any free port. The environment variable PORT is "
        "a short form of 0.0.0.0:PORT. More in docs/listeners.md.",
    )
    backlog = Setting(
        "backlog",
        WholeNumber(1, 65535),
        2048,
        group=_LISTENING,
        documentation="How many connections may wait to be accepted, for each address. An inherited socket "
        "keeps what it has.",
    )
    uwsgi_allow_from = ManySetting(
        "uwsgi_allow_from",
        Network(),
        _THIS_MACHINE,
        separator=",",
        group=_LISTENING,
        documentation="Who may connect to a uwsgi listener. The protocol has no authentication, and its "
        "peers say who the client is: an address, a network such as 10.0.0.0/8, `unix` for all Unix sockets, "
        "`*` for everybody, or `none`. May be repeated; what is given replaces the default.",
    )
    fastcgi_allow_from = ManySetting(
        "fastcgi_allow_from",
        Network(),
        _THIS_MACHINE,
        separator=",",
        group=_LISTENING,
        documentation="Who may connect to a FastCGI listener; as uwsgi_allow_from.",
    )
    scgi_allow_from = ManySetting(
        "scgi_allow_from",
        Network(),
        _THIS_MACHINE,
        separator=",",
        group=_LISTENING,
        documentation="Who may connect to a SCGI listener; as uwsgi_allow_from.",
    )
    proxy_allow_from = ManySetting(
        "proxy_allow_from",
        Network(),
        _THIS_MACHINE,
        separator=",",
        group=_LISTENING,
        documentation="Whose PROXY header is believed where a listener has proxy=required; connections of "
        "others are closed. Entries as in uwsgi_allow_from.",
    )
    server_header = Setting(
        "server_header",
        FieldText(),
        "portico",
        group=_LISTENING,
        documentation="What the Server header of responses says, unless the application sends one. Empty, or "
        "none, is no such header.",
    )
    max_variables = Setting(
        "max_variables",
        WholeNumber(1, 10_000),
        250,
        group=_LISTENING,
        documentation="The most variables of one request over uwsgi, FastCGI or SCGI, headers among them; "
        "one more is rejected with status 431.",
    )
    max_variables_bytes = Setting(
        "max_variables_size",
        Size(64),
        64 << 10,
        group=_LISTENING,
        documentation="The most bytes of the variables of one such request, their lengths among them; more "
        "are rejected with status 431. A uwsgi packet cannot have more than 65535.",
    )

    max_request_line_bytes = Setting(
        "max_request_line",
        Size(64),
        8190,
        group=_REQUEST_LIMITS,
        documentation="The longest request line (method, target and version), without its CRLF; a longer one "
        "is rejected with status 414.",
    )
    max_headers = Setting(
        "max_headers",
        WholeNumber(1, 10_000),
        100,
        group=_REQUEST_LIMITS,
        documentation="The most header lines of one request; one more is rejected with status 431.",
    )
    max_header_bytes = Setting(
        "max_header",
        Size(64),
        16 << 10,
        group=_REQUEST_LIMITS,
        documentation="The longest header line (name, colon and value), without its CRLF; a longer one is "
        "rejected with status 431.",
    )
    max_head_bytes = Setting(
        "max_head",
        Size(64),
        64 << 10,
        group=_REQUEST_LIMITS,
        documentation="The largest request head: request line, header lines and the empty line together. A "
        "larger one is rejected with status 431. It has to be larger than max_request_line and max_header.",
    )
    max_request_body_bytes = Setting(
        "max_request_body",
        Size(),
        1 << 30,
        group=_REQUEST_LIMITS,
        summary="The largest request body.",
        documentation="The largest request body; a larger one is rejected with status 413. 0 is no limit.",
    )
    body_memory_bytes = Setting(
        "body_memory",
        Size(),
        128 << 10,
        group=_REQUEST_LIMITS,
        documentation="How much of a request body is kept in memory before it goes to a temporary file.",
    )
    body_spool_bytes = Setting(
        "body_spool",
        Size(),
        1 << 30,
        group=_REQUEST_LIMITS,
        documentation="How much of a request body is received before the application is called; the rest of "
        "a larger one is streamed to it, and its client can hold a thread by sending slowly. If that one is "
        "chunked, the application gets it without CONTENT_LENGTH and with HTTP_TRANSFER_ENCODING: chunked; "
        "frameworks that know only the former (Django) take it for empty. It cannot be smaller than "
        "body_memory.",
    )
    max_chunk_extension_bytes = Setting(
        "max_chunk_extension",
        Size(),
        16 << 10,
        group=_REQUEST_LIMITS,
        documentation="The most bytes between the chunk sizes of a body and their line ends, spaces "
        "included, of all its chunks together; more are rejected with status 400. 0 allows none.",
    )
    max_trailer_bytes = Setting(
        "max_trailer",
        Size(),
        8 << 10,
        group=_REQUEST_LIMITS,
        documentation="The most bytes of trailer lines after a chunked body, with their CRLFs; more are "
        "rejected with status 431. 0 allows none. Applications never see trailers.",
    )

    max_pipelined = Setting(
        "max_pipelined",
        WholeNumber(0, 1_000_000),
        1000,
        group=_CONNECTION_LIMITS,
        documentation="How many requests in a row a client may send without waiting for the response before; "
        "the connection is closed after the response to the last of them. 0 is no limit.",
    )
    max_requests_per_connection = Setting(
        "max_requests_per_connection",
        WholeNumber(0, 1_000_000_000),
        100_000,
        group=_CONNECTION_LIMITS,
        documentation="How many requests one connection may bring; it is closed after the response to the "
        "last of them. 0 is no limit.",
    )

    max_connections = Setting(
        "max_connections",
        WholeNumber(1, 1_000_000),
        10_000,
        group=_WORKER_LIMITS,
        documentation="The most open connections of one worker. At the limit, idle ones (those nearest to "
        "their deadline first) are closed to make room; if there are none, new ones wait to be accepted.",
    )
    max_connections_per_address = Setting(
        "max_connections_per_address",
        WholeNumber(0, 1_000_000),
        0,
        group=_WORKER_LIMITS,
        documentation="The most open connections of one client address in one worker; one more is closed at "
        "once. Unix sockets, the peers in forwarded_allow_ips and whoever connects to a listener of uwsgi, "
        "FastCGI, SCGI or with a PROXY header do not count. 0 is no limit.",
    )
    max_in_flight = Setting(
        "max_in_flight",
        WholeNumber(1, 1_000_000),
        2048,
        group=_WORKER_LIMITS,
        documentation="The most requests of one worker that run or wait for a thread; one more is rejected "
        "with status 503 and Retry-After.",
    )
    max_buffered_bytes = Setting(
        "max_buffered",
        Size(),
        256 << 20,
        group=_WORKER_LIMITS,
        documentation="The most memory that the requests of one worker (heads and bodies) and what slow "
        "readers have not taken of their responses may take together; responses at most three quarters of "
        "it. Beyond it, bodies and responses go to temporary files at once, and connections whose head is "
        "not complete are closed, those nearest to their deadline first.",
    )
    max_temporary_bytes = Setting(
        "max_temporary",
        Size(),
        4 << 30,
        group=_WORKER_LIMITS,
        documentation="The most space that the temporary files of one worker (bodies and responses) may take "
        "together. Beyond it, request bodies are rejected with status 507, and applications wait for the "
        "readers of their responses. The files are in TMPDIR.",
    )

    response_memory_bytes = Setting(
        "response_memory",
        Size(),
        256 << 10,
        group=_RESPONSES,
        documentation="How much of one response is kept in memory for a slow reader, so that the application "
        "can go on.",
    )
    response_spool_bytes = Setting(
        "response_spool",
        Size(),
        64 << 20,
        group=_RESPONSES,
        documentation="How much of one response is kept in memory and in a temporary file for a slow reader; "
        "beyond it the application waits. It cannot be smaller than response_memory.",
    )
    write_timeout_s = Setting(
        "write_timeout",
        Duration(0.1, 86400),
        60.0,
        group=_RESPONSES,
        documentation="How long a client may take no byte of a response; then its connection is aborted.",
    )
    min_response_rate_bytes = Setting(
        "min_response_rate",
        Size(),
        500,
        group=_RESPONSES,
        documentation="Bytes per second that a client has to take of a response on average, once "
        "write_timeout is used up; a slower connection is aborted. 0 is no limit.",
    )

    handshake_timeout_s = Setting(
        "handshake_timeout",
        Duration(0.1, 86400),
        10.0,
        group=_TIMES,
        documentation="How long a new connection may take to send its first byte, or its whole PROXY "
        "header where there has to be one; then it is closed without a response.",
    )
    head_timeout_s = Setting(
        "head_timeout",
        Duration(0.1, 86400),
        20.0,
        group=_TIMES,
        documentation="How long a request head may take, from its first byte to its last, however often "
        "bytes come; then it is rejected with status 408.",
    )
    body_timeout_s = Setting(
        "body_timeout",
        Duration(0.1, 86400),
        20.0,
        group=_TIMES,
        documentation="How long a request body may stall in all; each min_body_rate of bytes that it brings "
        "earns it a second more. Then the request is rejected with status 408, or reading raises "
        "where the application is already reading.",
    )
    min_body_rate_bytes = Setting(
        "min_body_rate",
        Size(),
        500,
        group=_TIMES,
        documentation="Bytes per second that a request body has to bring once body_timeout is used up. With "
        "0, only single stalls are limited, to body_timeout.",
    )
    request_timeout_s = Setting(
        "request_timeout",
        Duration(0, 86400),
        3600.0,
        group=_TIMES,
        documentation="How long a request may take to arrive, from its first byte to its last; then it is "
        "rejected with status 408. 0 is no limit.",
    )
    queue_timeout_s = Setting(
        "queue_timeout",
        Duration(0, 86400),
        30.0,
        group=_TIMES,
        documentation="How long a request may wait for a thread; then it gets a 503 and "
        "Retry-After, and the application is not called. It counts from the first byte of the request (from "
        "the last, if its body had to be waited for) or from X-Request-Start of a peer in "
        "forwarded_allow_ips. 0 is no limit.",
    )
    keep_alive_s = Setting(
        "keep_alive",
        Duration(0, 86400),
        15.0,
        group=_TIMES,
        summary="How long to keep idle connections.",
        documentation="How long an idle connection is kept for its next request. 0 closes after each "
        "response.",
    )
    linger_timeout_s = Setting(
        "linger_timeout",
        Duration(0, 60),
        2.0,
        group=_TIMES,
        documentation="How long what a client still sends after the last response is read and thrown away, "
        "so that the response reaches it.",
    )

    forwarded_allow_ips = ManySetting(
        "forwarded_allow_ips",
        Network(),
        ("127.0.0.1", "::1", "unix"),
        separator=",",
        also_environment="FORWARDED_ALLOW_IPS",
        group=_REVERSE_PROXIES,
        summary="Trusted proxies.",
        documentation="Which peers are reverse proxies, whose Forwarded and X-Forwarded-* headers are "
        "believed: an address, a network such as 10.0.0.0/8, `unix` for all Unix sockets, `*` for "
        "everybody, or `none`. May be repeated; what is given replaces the default. An empty environment "
        "variable counts as not set.",
    )
    untrusted_forwarded = Setting(
        "untrusted_forwarded",
        Choice("remove", "keep"),
        "remove",
        group=_REVERSE_PROXIES,
        documentation="What becomes of forwarded headers from peers that are not in forwarded_allow_ips: "
        "remove hides Forwarded, X-Forwarded-For, -Proto, -Host, -Port, -Prefix and X-Request-Start from the "
        "application; keep shows them as HTTP_X_FORWARDED_* and so on, as other "
        "servers do, and an application that believes them can be deceived.",
    )
    health_paths = ManySetting(
        "health_path",
        UrlPath(),
        (),
        separator=",",
        group=_REVERSE_PROXIES,
        summary="The path of a health check.",
        documentation="A path that the worker itself serves to GET and HEAD, also while all threads are "
        "busy: 200 `ok`, or 503 `draining` once it was told to stop (on connections that are open; new "
        "ones are refused from then on). No access line is written. May be repeated.",
    )

    access_log = Setting(
        "access_log",
        LogFile(),
        "-",
        group=_LOGS,
        summary="Where requests are logged.",
        documentation="Where the access log goes: a file, - for standard output, or off. Size and time in a "
        "line are those of the application's call; a slow reader may take longer. If nobody reads what a "
        "pipe should take, a worker keeps 1 MiB of lines and gives up the rest, with a warning: requests do "
        "not wait for their log. After a file was moved away, HUP opens it anew.",
    )
    error_log = Setting(
        "error_log",
        LogFile("a file, or - for standard error", ("-",)),
        "-",
        group=_LOGS,
        documentation="Where the error log goes, and whatever else is written to standard error: a file, or "
        "- to leave standard error as it is. After a file was moved away, HUP opens it anew.",
    )
    log_level = Setting(
        "log_level",
        Choice(
            *("trace", "debug", "info", "warning", "error", "critical"),
            synonyms=(("warn", "warning"),),
        ),
        "info",
        group=_LOGS,
        summary="The least that is logged, as debug.",
        documentation="The least important records that the error log keeps of what portico itself says. "
        "trace follows each request by the number of its connection: accepted, head, queued, called, head "
        "sent, done. What the application writes to wsgi.errors is there at every level and as it was "
        "written, with no date or level before it, and so is the traceback of an exception that it raises. "
        "If nobody reads what a pipe should take, each process keeps 256 KiB and gives up the rest, which "
        "is said later: neither requests nor signals wait.",
    )

    __slots__ = ("origins", "values")

    def __init__(self, values: dict[str, Any], origins: dict[str, str]) -> None:
        self.values = values
        self.origins = origins


TABLE: tuple[Setting[Any], ...] = tuple(row for row in vars(Settings).values() if isinstance(row, Setting))
"""Every row, in the order of the help."""


def by_group() -> dict[Group, list[Setting[Any]]]:
    """Return the rows of each group, both in the order of the help."""
    groups: dict[Group, list[Setting[Any]]] = {}
    for row in TABLE:
        groups.setdefault(row.group, []).append(row)
    return groups
