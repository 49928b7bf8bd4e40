"""Where connections are accepted, in which protocol, and from whom."""

from __future__ import annotations

from portico.config.addresses import DEFAULT_HOST, DEFAULT_PORT
from portico.config.kinds import AddressText, FieldText, Network, Size, WholeNumber
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_LISTENING = Group("listening", "listening")

_THIS_MACHINE = ("127.0.0.0/8", "::1", "unix")


class ListeningSettings(Values):
    """The rows of the group `listening`."""

    __slots__ = ()

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
