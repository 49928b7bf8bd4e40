"""How long a connection may take for each of its steps, and a request on its way to the application."""

from __future__ import annotations

from portico.config.kinds import Duration, Size
from portico.config.setting import Group, Setting
from portico.config.values import Values

_TIMES = Group("times", "times")


class TimeSettings(Values):
    """The rows of the group `times`."""

    __slots__ = ()

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
