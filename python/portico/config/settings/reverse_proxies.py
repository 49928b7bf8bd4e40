"""Which peers are reverse proxies and what is believed of them, and what health checks they may do."""

from __future__ import annotations

from portico.config.kinds import Choice, Network, UrlPath
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_REVERSE_PROXIES = Group("reverse proxies", "reverse_proxies")


class ReverseProxySettings(Values):
    """The rows of the group `reverse proxies`."""

    __slots__ = ()

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
