"""The most that one request, one connection, one worker and one slow reader may take."""

from __future__ import annotations

from portico.config.kinds import Duration, Size, WholeNumber
from portico.config.setting import Group, Setting
from portico.config.values import Values

_REQUEST_LIMITS = Group("limits of one request", "request_limits")
_CONNECTION_LIMITS = Group("limits of one connection", "connection_limits")
_WORKER_LIMITS = Group("limits of one worker", "worker_limits")
_RESPONSES = Group("responses to slow readers", "slow_readers")


class LimitSettings(Values):
    """The rows of the groups `limits of ...` and `responses to slow readers`."""

    __slots__ = ()

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
