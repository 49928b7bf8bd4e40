"""A virtual host of Apache httpd 2.4 that passes requests on to portico over HTTP, uwsgi, FastCGI or SCGI.

Where Apache would be stricter or more generous than portico by default, the file says so and why.
"""

from __future__ import annotations

from portico.config.setting import Setting
from portico.config.settings import Settings
from portico.generate.deployment import Deployment, File
from portico.generate.head import head_comment, join_lines
from portico.generate.layout import Derived, fill, fit_word
from portico.generate.times import CONNECT_S, ProxyTimes, shown, whole_s
from portico.generate.upstream import Upstream, choose

_MODULES = {"http": "proxy_http", "uwsgi": "proxy_uwsgi", "fastcgi": "proxy_fcgi", "scgi": "proxy_scgi"}
_SCHEMES = {"http": "http", "uwsgi": "uwsgi", "fastcgi": "fcgi", "scgi": "scgi"}
_OWN_HEADERS = 8
"""How many headers Apache adds to those of the client."""
_OWN_VARIABLES = 40
"""How many variables it adds; with `SSLOptions +StdEnvVars` many more, for a larger max_variables."""

_SITE = """
    <head>

    <listen>
    <VirtualHost <address>>
        <server_names>

        # HTTPS: another VirtualHost, on port 443, with these lines and all that follow.
        # SSLEngine on
        # SSLCertificateFile    /etc/ssl/certs/<name>.pem
        # SSLCertificateKeyFile /etc/ssl/private/<name>.key

        # What portico would reject is rejected here, before it is passed on. Of virtual hosts with the same
        # address, Apache takes the limits of lines from the first one.
        <limits>

        # How slow a client may be: as portico has it for its own clients.
        <client_times>

        # Otherwise a path with an escaped slash would get a 404.
        AllowEncodedSlashes <slashes>

        # An id for the logs of both. And when the request came: queue_timeout counts from then; not with a
        # body, whose client may be slow, because Apache passes it on while it comes.
        RequestHeader set X-Request-ID "%{UNIQUE_ID}e"
        RequestHeader unset X-Request-Start
        RequestHeader set X-Request-Start "%t" "expr=-z '%{HTTP:Content-Length}%{HTTP:Transfer-Encoding}'"

        <said>

        <static>

        # The server is never taken for dead (retry=0): portico listens also while it replaces its workers. It
        # is the only one, so it is not probed either.<health>
        ProxyPass "/" "<target>" retry=0 connectiontimeout=<connect> timeout=<read> <passing>

        <retry>
    </VirtualHost>
"""

# Over HTTP it would not help: there Apache ends the kept connection of a client without a response.
_RETRY = """
    # What is safe to repeat, and met a worker just when it died, is retried once. An error of the
    # application's own does not come here.
    ErrorDocument 500 /portico-retry
    ErrorDocument 502 /portico-retry
    ErrorDocument 503 /portico-retry
    RewriteEngine On
    RewriteMap unescape int:unescape
    RewriteCond %{THE_REQUEST} "^(?:GET|HEAD) (/[^? ]*)\\??([^ ]*) "
    RewriteRule ^/portico-retry$ ${unescape:%1}?%2 [NE,PT,L]
    RewriteRule ^/portico-retry$ - [R=502]
"""

_HEADERS = """
    # Who the client is. What it sent itself is removed.
    ProxyPreserveHost On
    ProxyAddHeaders Off
    RequestHeader set X-Forwarded-For "expr=%{REMOTE_ADDR}"
    RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"
    RequestHeader set X-Forwarded-Port "expr=%{SERVER_PORT}"
    RequestHeader unset X-Forwarded-Host
    RequestHeader set X-Forwarded-Host "expr=%{HTTP_HOST}" "expr=-n %{HTTP_HOST}"
    RequestHeader unset X-Forwarded-Prefix
    RequestHeader unset Forwarded
"""

_VARIABLES = """
    # Variables say who the client is. Without this line Authorization would not be among them.
    <Location "/">
        CGIPassAuth On
    </Location>
    <backend>
    <length>
    <chunks>
"""

_LENGTH = """
    # Responses keep their Content-Length, which portico sees to.
    SetEnv ap_trust_cgilike_cl 1
"""

_NO_CHUNKS = """
    # The protocol has to say how long a body is before the body comes: one that is sent in chunks Apache
    # responds with 411 (SetEnv proxy-sendcl is for HTTP and FastCGI only). For such clients let portico
    # listen for HTTP.
"""

_STATIC = """
    # Files, without portico.
    ProxyPass "<url>" "!"
    Alias "<url>" "<directory>"
    <Directory "<directory>">
        Options -Indexes
        Require all granted
    </Directory>
"""


def files(deployment: Deployment) -> list[File]:
    """Return the one file, for `sites-available`."""
    settings, name = deployment.settings, deployment.name
    upstream = choose(settings, proxy="Apache", schemes=_MODULES)
    times = ProxyTimes(settings)
    limits, client_times = _limits(settings, upstream), _client_times(settings)
    kept = (
        Derived("ttl", str(times.keep_alive_s), times.keep_alive_source)
        if upstream.is_http and times.keep_alive_s
        else None
    )
    read = Derived("timeout", str(times.read_s), times.read_source)
    modules = ["proxy", _MODULES[upstream.scheme], "headers", "unique_id", "reqtimeout"]
    if not upstream.is_http:
        modules.append("rewrite")
    text = fill(
        _SITE,
        head=head_comment(
            deployment,
            upstream,
            proxy="Apache",
            place=f"For /etc/apache2/sites-available/{name}.conf; on Debian:\n"
            f"  a2enmod {' '.join(modules)} && a2ensite {name} && systemctl reload apache2",
            derived=[*([kept] if kept else []), read, *limits, *client_times],
        ),
        listen=_listen(deployment),
        address=_address(deployment),
        server_names=_server_names(deployment),
        name=name,
        limits=join_lines(limits),
        client_times=join_lines(client_times),
        # Over HTTP the path is passed on as the client wrote it; a variable has it decoded, all of it.
        slashes="NoDecode" if upstream.is_http else "On",
        said=_said(upstream),
        static="\n".join(
            fill(
                _STATIC,
                url=fit_word(static.url, origin="--static").strip('"'),
                directory=fit_word(static.directory, origin="--static").strip('"'),
            )
            for static in deployment.static
        ),
        health=f" {', '.join(settings.health_paths)} passes through like the rest."
        if settings.health_paths
        else "",
        target=_target(upstream, name),
        connect=str(CONNECT_S),
        read=read.value,
        passing=_passing(upstream, kept),
        retry="" if upstream.is_http else fill(_RETRY),
    )
    return [File(f"{name}.conf", text)]


def _listen(deployment: Deployment) -> str:
    host, port = deployment.listen
    return "" if port == 80 and not host else f"Listen {_address(deployment)}".replace("*:", "")


def _address(deployment: Deployment) -> str:
    host, port = deployment.listen
    return f"{f'[{host}]' if ':' in host else host or '*'}:{port}"


def _server_names(deployment: Deployment) -> str:
    first, *others = deployment.server_names or ("",)
    if not first:
        return "# ServerName shop.example"
    # The name itself cannot have a wildcard, an alias can.
    return "\n".join(
        [f"ServerName {first.removeprefix('*.')}", *(f"ServerAlias {other}" for other in others)]
    ) + (f"\nServerAlias {first}" if first.startswith("*.") else "")


def _limits(settings: Settings, upstream: Upstream) -> list[Derived]:
    number, added = (
        (Settings.max_headers, _OWN_HEADERS) if upstream.is_http else (Settings.max_variables, _OWN_VARIABLES)
    )
    count = settings.values[number.attribute]
    return [
        _limit("LimitRequestLine", settings, Settings.max_request_line_bytes),
        _limit("LimitRequestFieldSize", settings, Settings.max_header_bytes),
        Derived(
            "LimitRequestFields",
            str(max(1, count - added)),
            f"{shown(settings, number)}, less {added} that Apache adds",
        ),
        _limit("LimitRequestBody", settings, Settings.max_request_body_bytes),
    ]


def _limit(directive: str, settings: Settings, row: Setting[int]) -> Derived:
    return Derived(directive, str(settings.values[row.attribute]), shown(settings, row))


def _client_times(settings: Settings) -> list[Derived]:
    head_s, body_s = whole_s(settings.head_timeout_s), whole_s(settings.body_timeout_s)
    rate = settings.min_body_rate_bytes
    return [
        Derived(
            "RequestReadTimeout",
            f"header={head_s} body={body_s}" + (f",MinRate={rate}" if rate else ""),
            ", ".join(
                shown(settings, row)
                for row in (Settings.head_timeout_s, Settings.body_timeout_s, Settings.min_body_rate_bytes)
            ),
        ),
        Derived("Timeout", str(whole_s(settings.write_timeout_s)), shown(settings, Settings.write_timeout_s)),
    ]


def _said(upstream: Upstream) -> str:
    if upstream.is_http:
        return fill(_HEADERS)
    return fill(
        _VARIABLES,
        backend="ProxyFCGIBackendType GENERIC" if upstream.scheme == "fastcgi" else "",
        length=fill(_LENGTH) if upstream.scheme in ("fastcgi", "scgi") else "",
        chunks=fill(_NO_CHUNKS) if upstream.scheme in ("uwsgi", "scgi") else "",
    )


def _target(upstream: Upstream, name: str) -> str:
    scheme = _SCHEMES[upstream.scheme]
    if upstream.path:
        return f"unix:{upstream.path}|{scheme}://{name}/"
    return f"{scheme}://{upstream.host_and_port}/"


def _passing(upstream: Upstream, kept: Derived | None) -> str:
    """What else ProxyPass needs. But over HTTP connections are used once: a second try has a new one."""
    options = ["disablereuse=on" if kept is None else f"{kept.name}={kept.value}"]
    if upstream.is_http:
        options.append("nocanon")
    if upstream.scheme == "fastcgi":
        # Blocks of a response go on as they come, as with the other protocols.
        options.append("flushpackets=on")
    return " ".join(options)
