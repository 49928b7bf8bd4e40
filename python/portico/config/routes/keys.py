"""The keys of the tables that make routes: rows as those of settings, read and printed by the same code.

What an application may have of its own are rows of the table of settings; the rest is here. A key is a row of
the class of its table, and nothing else lists it: schema and documentation are made of these. Runs in the
process of the command line only.
"""

from __future__ import annotations

from typing import Any

from portico.config.kinds import (
    Choice,
    Directory,
    Duration,
    ErrorPageFile,
    FieldText,
    FilePath,
    Flag,
    MountPath,
    NumberOrAuto,
    WholeNumber,
)
from portico.config.routes.kinds import (
    AnyText,
    Balance,
    ExactPath,
    FileName,
    HealthPath,
    Host,
    RedirectTarget,
    ResolverAddress,
    ResponseHeader,
    ServerName,
    Status,
    UnknownHost,
    UpstreamAddress,
    UpstreamName,
    Variable,
)
from portico.config.routes.table import FALLS_BACK
from portico.config.setting import Group, ManySetting, Setting
from portico.config.settings import Settings, by_group
from portico.config.values import Values

_APP = Group("an application", "app")
_STATIC = Group("files", "static")
_UPSTREAM = Group("other servers", "upstream")
_REDIRECT = Group("redirects", "redirect")
_RESPOND = Group("fixed responses", "respond")
_ROUTES = Group("all routes", "routes")


def _mounts(group: Group) -> ManySetting[str]:
    return ManySetting(
        "mount",
        MountPath(),
        (),
        separator=",",
        group=group,
        documentation="A path; it and all below it are meant (`/a` is `/a` and `/a/b`, not `/ab`). One, or a "
        "list. Without it, all of the host. It is decoded: `/café`, not `/caf%C3%A9`.",
    )


def _paths(group: Group) -> ManySetting[str]:
    return ManySetting(
        "path",
        ExactPath(),
        (),
        separator=",",
        group=group,
        documentation="In place of `mount`: this path alone, decoded. One, or a list.",
    )


def _hosts(group: Group) -> ManySetting[str]:
    return ManySetting(
        "host",
        Host(),
        (),
        separator=",",
        group=group,
        documentation="A host, as in `shop.example.com`, or all names below one, as in `*.example.com`. One, "
        "or a list. Without it, any.",
    )


def _error_pages(group: Group) -> ManySetting[str]:
    return ManySetting(
        "error_pages",
        ErrorPageFile(),
        (),
        separator=",",
        group=group,
        documentation="Files that are the bodies of what the server responds with in its place, by status: "
        '`{ 404 = "404.html", 5xx = "500.html" }`. They go before those of `[error_pages]`.',
    )


class AppKeys(Values):
    """What an application has beside settings."""

    __slots__ = ()

    mounts = _mounts(_APP)
    hosts = _hosts(_APP)
    strip = Setting(
        "strip",
        Flag(),
        True,
        group=_APP,
        documentation="Whether the mount is taken from PATH_INFO and becomes SCRIPT_NAME. With false, "
        "PATH_INFO is the whole path and SCRIPT_NAME is empty.",
    )
    venv = Setting(
        "venv",
        Directory(),
        "",
        group=_APP,
        documentation="The virtual environment that it is imported from.",
    )


class StaticKeys(Values):
    """Files of a folder."""

    __slots__ = ()

    mounts = _mounts(_STATIC)
    hosts = _hosts(_STATIC)
    root = Setting(
        "root",
        Directory(),
        "",
        group=_STATIC,
        documentation="The folder. What follows the mount is looked for in it: with `/static`, "
        "`/static/a.css` is `a.css` there.",
    )
    index = ManySetting(
        "index",
        FileName(),
        ("index.html",),
        separator=",",
        group=_STATIC,
        documentation="What stands for a folder: the first that is there. An empty list is none.",
    )
    fallback = Setting(
        "fallback",
        Choice("none", FALLS_BACK),
        "none",
        group=_STATIC,
        documentation="Who gets a request for a file that is not there: with `app`, the next row that "
        "fits, which may have the same host and mount; with `none`, nobody, and it is a 404.",
    )
    cache_control = Setting(
        "cache_control",
        FieldText(),
        "no-cache",
        group=_STATIC,
        documentation="The Cache-Control of files whose names have no hash of their content; those that have "
        "one are immutable. `none` is no such header.",
    )
    error_pages = _error_pages(_STATIC)


class UpstreamKeys(Values):
    """Other servers, to which requests are passed."""

    __slots__ = ()

    name = Setting(
        "name",
        UpstreamName(),
        "",
        group=_UPSTREAM,
        documentation="What `portico ctl upstream` and the error log call them. Without it, the former calls "
        "them by host and mount, as in `shop.example.com/search` or `/search`.",
    )
    mounts = _mounts(_UPSTREAM)
    hosts = _hosts(_UPSTREAM)
    strip = Setting(
        "strip",
        Flag(),
        False,
        group=_UPSTREAM,
        documentation="Whether the mount is taken from the path, and told as X-Forwarded-Prefix.",
    )
    to = ManySetting(
        "to",
        UpstreamAddress(),
        (),
        separator=",",
        group=_UPSTREAM,
        documentation="Where they are, and what is spoken there: `http://HOST:PORT`, `https://HOST:PORT` or "
        "`unix:PATH`, `uwsgi://HOST:PORT` or `uwsgi+unix:PATH`, `fastcgi://HOST:PORT` or "
        "`fastcgi+unix:PATH`. One, or a list. All addresses of a name are servers of their own. "
        "`srv+http://_http._tcp.shop.example.com`, with `resolver` `dns`, is all that its SRV records list; "
        "`srv+https` is the same over TLS.",
    )
    ca = Setting(
        "ca",
        FilePath(),
        "",
        group=_UPSTREAM,
        documentation="Over TLS: a file of certificates (PEM). Only servers whose certificate one of these "
        "vouches for are asked. Without it, those of the system are taken, or of SSL_CERT_FILE and "
        "SSL_CERT_DIR.",
    )
    server_name = Setting(
        "server_name",
        ServerName(),
        "",
        group=_UPSTREAM,
        documentation="Over TLS: whom their certificates have to be of, which they are also told (SNI). "
        "Without it, the host of each address in `to`; of an SRV record, the domain below `_https._tcp`.",
    )
    client_certificate = Setting(
        "client_certificate",
        FilePath(),
        "",
        group=_UPSTREAM,
        documentation="Over TLS: the certificate that portico shows to servers that ask for one, with those "
        "between it and one that they trust (PEM).",
    )
    client_key = Setting(
        "client_key",
        FilePath(),
        "",
        group=_UPSTREAM,
        documentation="The key of `client_certificate` (PEM, without a passphrase). Workers read it: their "
        "user has to be able to.",
    )
    verify = Setting(
        "verify",
        Flag(),
        True,
        group=_UPSTREAM,
        documentation="Over TLS: false trusts any certificate, and so whoever is in between. For a trial; "
        "`ca` is what a certificate of one's own asks for.",
    )
    variables = ManySetting(
        "variables",
        Variable(),
        (),
        separator=",",
        group=_UPSTREAM,
        documentation="What they are told beside the request, over uwsgi and FastCGI: names and values, such "
        'as `{ SCRIPT_FILENAME = "/srv/shop/index.php" }` for PHP. One that the request has, too, is '
        "replaced.",
    )
    balance = Setting(
        "balance",
        Balance(),
        "round-robin",
        group=_UPSTREAM,
        documentation="Which of several gets a request: `round-robin`, `least-requests`, or always the same "
        "for one value of a header or a cookie, as in `header:X-User` or `cookie:session`.",
    )
    keep = Setting(
        "keep",
        WholeNumber(0, 10_000),
        128,
        group=_UPSTREAM,
        documentation="How many idle connections to each of them a worker keeps.",
    )
    keep_timeout_s = Setting(
        "keep_timeout",
        Duration(0.1, 86400),
        1.5,
        group=_UPSTREAM,
        documentation="How long such a connection is kept: less than they keep theirs, since one that they "
        "close at the very moment of a request costs it. A portico that reloads keeps them for 2 s.",
    )
    connect_timeout_s = Setting(
        "connect_timeout",
        Duration(0.01, 3600),
        5.0,
        group=_UPSTREAM,
        documentation="How long a connection may take to be made.",
    )
    timeout_s = Setting(
        "timeout",
        Duration(0, 86400),
        60.0,
        group=_UPSTREAM,
        documentation="How long the client may be kept waiting for the response to begin, or for its next "
        "block. 0 is no limit.",
    )
    tunnel_timeout_s = Setting(
        "tunnel_timeout",
        Duration(0, 86400 * 365),
        3600.0,
        group=_UPSTREAM,
        documentation="How long a web socket, or what else a connection was upgraded to, may be silent. "
        "0 is no limit.",
    )
    max_in_flight = Setting(
        "max_in_flight",
        WholeNumber(0, 1_000_000),
        0,
        group=_UPSTREAM,
        documentation="How many requests of a worker each of them may have at a time. 0 is any number.",
    )
    retries = Setting(
        "retries",
        WholeNumber(0, 100),
        2,
        group=_UPSTREAM,
        documentation="To how many others a request is given after one has failed, if nothing of a response "
        "has come, and it was not sent yet or its method is idempotent.",
    )
    eject_after = Setting(
        "eject_after",
        WholeNumber(0, 10_000),
        3,
        group=_UPSTREAM,
        documentation="After how many failures in a row one gets no more requests for a while. 0 is never.",
    )
    eject_for_s = Setting(
        "eject_for",
        Duration(0.1, 86400),
        10.0,
        group=_UPSTREAM,
        documentation="How long that is; each time that it fails again, twice as long, up to sixteen times.",
    )
    health_path = Setting(
        "health_path",
        HealthPath(),
        "",
        group=_UPSTREAM,
        documentation="A path that each of them is asked for in time: one that does not respond with 200 to "
        "399 twice in a row gets no requests until it does so twice. Without it, none is asked.",
    )
    health_interval_s = Setting(
        "health_interval",
        Duration(0.01, 86400),
        5.0,
        group=_UPSTREAM,
        documentation="How long it is between two health checks.",
    )
    health_timeout_s = Setting(
        "health_timeout",
        Duration(0.01, 3600),
        2.0,
        group=_UPSTREAM,
        documentation="How long the response to one may take.",
    )
    resolver = Setting(
        "resolver",
        ResolverAddress(),
        "system",
        group=_UPSTREAM,
        documentation="Who is asked for the addresses of a name: `system` is getaddrinfo(3), `dns` are the "
        "DNS servers of `/etc/resolv.conf`, after `/etc/hosts`, and `dns://127.0.0.1:8600` is that one "
        "server. By the last two, addresses are looked up again when their validity (TTL) ends, and "
        "SRV records are read; they take `pip install 'portico-server[dns]'`.",
    )
    resolve_s = Setting(
        "resolve",
        Duration(0.1, 86400),
        30.0,
        group=_UPSTREAM,
        documentation="How long it is until a name is looked up again: its addresses may be others then. "
        "With `resolver` `dns` the DNS says that, and this is for names of `/etc/hosts`, and the longest "
        "after a look-up that has failed.",
    )
    error_pages = _error_pages(_UPSTREAM)


class RedirectKeys(Values):
    """Redirects."""

    __slots__ = ()

    mounts = _mounts(_REDIRECT)
    paths = _paths(_REDIRECT)
    hosts = _hosts(_REDIRECT)
    to = Setting(
        "to",
        RedirectTarget(),
        "",
        group=_REDIRECT,
        documentation="Where it leads: an URL, or a path of the same host.",
    )
    append = Setting(
        "append",
        Flag(),
        True,
        group=_REDIRECT,
        documentation="Whether what follows the mount, and the query, is appended: with `/old`, "
        '`to = "/new"` and a request for `/old/a?b`, that is `/new/a?b`. false if `to` has a query or a '
        "fragment.",
    )
    status = Setting(
        "status",
        Status(301, 302, 303, 307, 308),
        307,
        group=_REDIRECT,
        documentation="301 and 308 are for ever, 302, 303 and 307 for now; 307 and 308 keep the method and "
        "the body.",
    )


class RespondKeys(Values):
    """Responses that are always the same."""

    __slots__ = ()

    mounts = _mounts(_RESPOND)
    paths = _paths(_RESPOND)
    hosts = _hosts(_RESPOND)
    status = Setting(
        "status",
        WholeNumber(200, 599),
        200,
        group=_RESPOND,
        documentation="The status.",
    )
    body = Setting(
        "body",
        AnyText(),
        "",
        group=_RESPOND,
        documentation="The body, in UTF-8.",
    )
    file = Setting(
        "file",
        FilePath(),
        "",
        group=_RESPOND,
        documentation="In place of `body`: a file that is read at the start.",
    )
    headers = ManySetting(
        "headers",
        ResponseHeader(),
        (),
        separator=",",
        group=_RESPOND,
        documentation="Its headers. Without a Content-Type, that is `text/plain; charset=utf-8`.",
    )


class RoutesKeys(Values):
    """What is said of all routes together."""

    __slots__ = ()

    unknown_host = Setting(
        "unknown_host",
        UnknownHost(),
        0,
        group=_ROUTES,
        documentation="What a request gets whose host no row names: 421 (Misdirected Request), or with "
        '`"default"` the rows without a host. Without it, 421 if all rows have one.',
    )
    apps = Setting(
        "apps",
        Directory(),
        "",
        group=_ROUTES,
        documentation="A folder of applications: each file `NAME.toml` in it has the keys of an `[[app]]`, "
        "and the application has a pool of its own. The folder is looked at every other second: a file that "
        "appears is served, one that is touched is reloaded, one that goes is drained.",
    )
    apps_as_owner = Setting(
        "apps_as_owner",
        Flag(),
        False,
        group=_ROUTES,
        documentation="Whether each application of `apps` runs as the owner of its file, where portico runs "
        "as root. Such a file may be written by its owner alone, and says nothing of `user`, `group`, "
        "`groups` and `capabilities`.",
    )
    workers = Setting(
        "workers",
        NumberOrAuto(1, 512),
        None,
        group=_ROUTES,
        documentation="How many processes pass requests to the pools, where there are several; auto is one "
        "for each CPU.",
    )
    starts_at_once = Setting(
        "starts_at_once",
        NumberOrAuto(1, 512),
        None,
        group=_ROUTES,
        documentation="How many pools may start or reload at a time; the others wait, and one that a request "
        "waits for goes first. auto is one for each CPU, and two at least.",
    )


def _own_rows(part: type[Values]) -> tuple[Setting[Any], ...]:
    return tuple(row for row in vars(part).values() if isinstance(row, Setting))


_GROUPS_OF_A_POOL = ("processes", "scaling", "reloads", "care", "privileges")
_OF_THE_SERVER = (Settings.hooks, Settings.drain_delay_s)
_LIMITS_OF_A_POOL = (
    *(Settings.max_request_body_bytes, Settings.body_memory_bytes, Settings.body_spool_bytes),
    *(Settings.max_in_flight, Settings.queue_timeout_s),
)


def _of_a_pool() -> tuple[Setting[Any], ...]:
    """Return the settings of tables of their own that an application may have for itself."""
    rows = [row for group, rows in by_group().items() if group.table in _GROUPS_OF_A_POOL for row in rows]
    return (*(row for row in rows if row not in _OF_THE_SERVER), *_LIMITS_OF_A_POOL)


def _of_an_application() -> tuple[Setting[Any], ...]:
    [rows] = [rows for group, rows in by_group().items() if group.table == _APP.table]
    # Where it is mounted may be several paths here.
    return tuple(row for row in rows if row is not Settings.script_name)


OF_A_POOL = _of_a_pool()
TABLES: dict[str, tuple[Setting[Any], ...]] = {
    "app": (*_of_an_application(), *_own_rows(AppKeys), Settings.error_pages, *OF_A_POOL),
    "static": _own_rows(StaticKeys),
    "upstream": _own_rows(UpstreamKeys),
    "redirect": _own_rows(RedirectKeys),
    "respond": _own_rows(RespondKeys),
    "routes": _own_rows(RoutesKeys),
}
"""The rows of each table that makes routes; of all but the last there may be several."""
ONCE = "routes"
"""The table that stands once."""
