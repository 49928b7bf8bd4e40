"""When a worker that serves well is replaced: after so many requests, so much time, or at such a size."""

from __future__ import annotations

from portico.config.kinds import Duration, Size, WholeNumber
from portico.config.setting import Group, Setting
from portico.config.values import Values

_CARE = Group("care of workers", "care")
_MOST = 10**12
_LONGEST_S = 366 * 86400


class CareSettings(Values):
    """The rows of the group `care of workers`."""

    __slots__ = ()

    max_requests = Setting(
        "max_requests",
        WholeNumber(0, _MOST),
        0,
        group=_CARE,
        documentation="After how many requests a worker is replaced, for an application that leaks. Its "
        "successor is ready before it takes no more; as it is looked at once a second, it serves a few more "
        "than this. 0 is never.",
    )
    max_requests_jitter = Setting(
        "max_requests_jitter",
        WholeNumber(0, _MOST),
        0,
        group=_CARE,
        documentation="How many requests more than max_requests it may be, at random for each worker, so "
        "that they are not all replaced together.",
    )
    max_lifetime_s = Setting(
        "max_lifetime",
        Duration(0, _LONGEST_S),
        0.0,
        group=_CARE,
        documentation="How long a worker serves before it is replaced, from when it was ready. Its successor "
        "is ready before it takes no more. 0 is for ever.",
    )
    max_lifetime_jitter_s = Setting(
        "max_lifetime_jitter",
        Duration(0, _LONGEST_S),
        0.0,
        group=_CARE,
        documentation="How much longer than max_lifetime it may be, at random for each worker.",
    )
    max_rss_bytes = Setting(
        "max_rss",
        Size(),
        0,
        group=_CARE,
        documentation="How large a worker may become (its resident set, as `ps` shows it; looked at once a "
        "second) before it is replaced. Its successor is ready before it takes no more, so for a while there "
        "is one more: leave room for it. The log says which paths were called while it grew. 0 is no limit.",
    )
    max_rss_hard_bytes = Setting(
        "max_rss_hard",
        Size(),
        0,
        group=_CARE,
        documentation="How large a worker may become before it is killed, with a second for its requests; "
        "those that it takes along are logged. For what grows too fast for max_rss. 0 is no limit.",
    )
    min_lifetime_s = Setting(
        "min_lifetime",
        Duration(0, _LONGEST_S),
        1.0,
        group=_CARE,
        documentation="How long a worker serves at least, from when it was ready, before max_requests or "
        "max_rss replaces it: starting workers costs, too.",
    )
