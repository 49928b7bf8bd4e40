"""A server of nginx that passes requests on to portico over HTTP, uwsgi, FastCGI or SCGI.

Directives are those of nginx 1.20 and later. What holds for all locations stands at the level of the server,
where each location inherits it.
"""

from __future__ import annotations

from portico.config.settings import Settings
from portico.config.units import format_size
from portico.generate.deployment import Deployment, File
from portico.generate.head import head_comment, join_lines
from portico.generate.layout import Derived, fill, fit_word
from portico.generate.times import CONNECT_S, ProxyTimes, shown, whole_s
from portico.generate.upstream import Upstream, choose

_MODULES = {"http": "proxy", "uwsgi": "uwsgi", "fastcgi": "fastcgi", "scgi": "scgi"}
"""What the directives for each protocol begin with."""
_UWSGI_PACKET = 65535
_OWN_VARIABLES = 2048
"""About what nginx adds to the variables of a request, in bytes."""
_MOST_KEPT_CONNECTIONS = 64
_MOST_REQUESTS = 10_000
_LATE = {10.0: "^[0-9][0-9]", 1.0: "^[1-9]", 0.1: r"^([1-9]|0\.[1-9])", 0.0: "."}
"""Patterns of $request_time, which has seconds with three decimals, that match from so many seconds on."""

_SITE = """
    <head>

    upstream <name> {
        <servers>
        <keep_alive>
    }

    <maps>

    server {
        <listen>
        server_name <server_names>;

        # HTTPS: a certificate, and these lines instead of the listen lines above.
        # listen 443 ssl http2;
        # listen [::]:443 ssl http2;
        # ssl_certificate     /etc/ssl/certs/<name>.pem;
        # ssl_certificate_key /etc/ssl/private/<name>.key;

        # What portico would reject is rejected here, before it is passed on.
        <limits>

        # How slow a client may be: as portico has it for its own clients.
        <client_times>

        # Between nginx and portico. nginx takes the whole body from a slow client before it passes the
        # request on, and the response from portico before a slow client has taken it.
        <module>_connect_timeout <connect>;
        <module>_send_timeout <read>;
        <module>_read_timeout <read>;
        <next>
        <module>_request_buffering on;
        <module>_buffering on;
        <module>_buffer_size 16k;
        <module>_buffers 8 16k;
        <module>_busy_buffers_size 32k;

        <said>

        <static>

        <health>

        location / {
            <module>_pass <target>;
            <to_retry>
        }

        <retry>
    }
"""

_KEEP_ALIVE = """
    # Idle connections are let go before portico closes them, so that no request meets one that is closing.
    keepalive <connections>;
    keepalive_timeout <timeout>;
    keepalive_requests <requests>;
"""

_TRIES = """
    # Each line is one try: what met a worker just when it died is retried, if it is safe to repeat.
    server <server> max_fails=0;
    server <server> max_fails=0;
"""

# No retry from the stock of kept connections: the next one may be to the same dead worker.
_RETRY = """
    # What is safe to repeat, and met a worker just when it died, is retried once, on a new connection.
    location @retry {
        if ($request_method !~ "^(GET|HEAD)$") { return 502; }
        <unless_late>
        <module>_pass <address>;
    }
"""

# A client of HTTP/1.0 may send no Host; an empty one would be left out, and portico has to have one.
_MAPS = """
    map $http_host $portico_<variable>_host {
        ""      $host;
        default $http_host;
    }
"""

_HEADERS = """
    # Who the client is. An empty value removes what the client sent itself.
    proxy_http_version 1.1;
    proxy_set_header Connection <connection>;
    proxy_set_header Host $portico_<variable>_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $portico_<variable>_host;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_set_header X-Forwarded-Prefix "";
    proxy_set_header Forwarded "";
    # An id for the logs of both, and when nginx passed the request on: queue_timeout counts from then.
    proxy_set_header X-Request-ID $request_id;
    proxy_set_header X-Request-Start "t=${msec}";
"""

_VARIABLES = """
    # The request, and who the client is.
    <module>_param REQUEST_METHOD $request_method;
    <module>_param REQUEST_URI $request_uri;
    <module>_param PATH_INFO $document_uri;
    <module>_param QUERY_STRING $query_string;
    <module>_param CONTENT_TYPE $content_type;
    <length>
    <module>_param SERVER_PROTOCOL $server_protocol;
    <module>_param SERVER_NAME $server_name;
    <module>_param SERVER_PORT $server_port;
    <module>_param REMOTE_ADDR $remote_addr;
    <module>_param REMOTE_PORT $remote_port;
    <module>_param REQUEST_SCHEME $scheme;
    <module>_param HTTPS $https if_not_empty;
    # An id for the logs of both, and when nginx passed the request on: queue_timeout counts from then.
    <module>_param HTTP_X_REQUEST_ID $request_id;
    <module>_param HTTP_X_REQUEST_START "t=${msec}";
    <keep>
"""

_STATIC = """
    # Files, without portico.
    location ^~ <url> {
        alias <directory>;
    }
"""

_HEALTH = """
    # Served by a worker of portico itself, also while all threads are busy. Not worth a line in the log.
    location = <path> {
        access_log off;
        <module>_pass <target>;
    }
"""


def files(deployment: Deployment) -> list[File]:
    """Return the one file, for `conf.d`."""
    settings, name = deployment.settings, deployment.name
    upstream = choose(settings, proxy="nginx", schemes=_MODULES)
    times = ProxyTimes(settings)
    module = _MODULES[upstream.scheme]
    target = f"http://{name}" if upstream.is_http else name
    variable = name.replace("-", "_")
    limits, client_times = _limits(settings, upstream), _client_times(settings)
    keep = _kept(settings, upstream, times)
    retry = [] if keep else _retry(settings, module)
    address = f"unix:{upstream.path}" if upstream.path else upstream.host_and_port
    read = f"{times.read_s}s"
    derived = [
        *keep,
        Derived(f"{module}_send_timeout", read, times.read_source),
        Derived(f"{module}_read_timeout", read, times.read_source),
        *retry,
        *limits,
        *client_times,
    ]
    said = (
        fill(_HEADERS, connection='""' if keep else "close", variable=variable)
        if upstream.is_http
        else fill(
            _VARIABLES,
            # SCGI begins with the length, so nginx adds it by itself.
            length='scgi_param SCGI "1";'
            if module == "scgi"
            else f"{module}_param CONTENT_LENGTH $content_length;",
            module=module,
            keep="fastcgi_keep_conn on;" if keep else "",
        )
    )
    text = fill(
        _SITE,
        head=head_comment(
            deployment,
            upstream,
            proxy="nginx",
            place=f"For /etc/nginx/conf.d/{name}.conf, or what the http block of nginx.conf includes.",
            derived=derived,
        ),
        name=name,
        servers=f"server {address};" if keep else fill(_TRIES, server=address),
        keep_alive=fill(
            _KEEP_ALIVE,
            connections=str(max(1, min(_MOST_KEPT_CONNECTIONS, settings.max_connections // 2))),
            timeout=keep[0].value,
            requests=keep[1].value,
        )
        if keep
        else "",
        maps=fill(_MAPS, variable=variable) if upstream.is_http else "",
        listen=_listen(deployment),
        server_names=" ".join(deployment.server_names) or "_",
        limits=join_lines(f"{limit};" for limit in limits),
        client_times=join_lines(f"{time};" for time in client_times),
        module=module,
        connect=f"{CONNECT_S}s",
        read=read,
        next=f"{module}_next_upstream off;"
        if keep
        else join_lines([f"{module}_next_upstream error;", *(f"{time};" for time in retry)]),
        said=said,
        static="\n".join(
            fill(
                _STATIC,
                url=fit_word(static.url, origin="--static"),
                directory=fit_word(static.directory, origin="--static"),
            )
            for static in deployment.static
        ),
        health="\n".join(
            fill(_HEALTH, path=fit_word(path, origin="--health-path"), module=module, target=target)
            for path in settings.health_paths
        ),
        target=target,
        to_retry="error_page 502 = @retry;" if keep else "",
        retry=fill(
            _RETRY,
            unless_late=_unless_late(settings),
            module=module,
            address=f"http://{address}" if upstream.is_http else address,
        )
        if keep
        else "",
    )
    return [File(f"{name}.conf", text)]


def _listen(deployment: Deployment) -> str:
    host, port = deployment.listen
    if host:
        return f"listen {f'[{host}]' if ':' in host else host}:{port};"
    return f"listen {port};\nlisten [::]:{port};"


def _kept(settings: Settings, upstream: Upstream, times: ProxyTimes) -> list[Derived]:
    """How connections to portico are kept; nginx closes those of uwsgi and SCGI after each request."""
    if not upstream.can_be_kept or not times.keep_alive_s:
        return []
    most = settings.max_requests_per_connection or _MOST_REQUESTS
    return [
        Derived("keepalive_timeout", f"{times.keep_alive_s}s", times.keep_alive_source),
        Derived(
            "keepalive_requests",
            str(min(most, _MOST_REQUESTS)),
            f"at most {shown(settings, Settings.max_requests_per_connection)}",
        ),
    ]


def _retry(settings: Settings, module: str) -> list[Derived]:
    """A call that took too long, so that its worker was replaced, is not retried."""
    if not settings.timeout_s:
        return []
    limit_ms = max(1, round(settings.timeout_s * 500))
    return [
        Derived(
            f"{module}_next_upstream_timeout",
            _time(limit_ms),
            f"less than {shown(settings, Settings.timeout_s)}",
        )
    ]


def _unless_late(settings: Settings) -> str:
    """As `_retry`, where nginx has no limit of time: a pattern for what took at most half as long."""
    if not settings.timeout_s:
        return ""
    limit_s = next(limit_s for limit_s in _LATE if limit_s <= settings.timeout_s / 2)
    return (
        f'if ($request_time ~ "{_LATE[limit_s]}") {{ return 502; }}'
        f"  # {limit_s:g} s: less than {shown(settings, Settings.timeout_s)}"
    )


def _limits(settings: Settings, upstream: Upstream) -> list[Derived]:
    """What a client may send: the longest line is the size of a buffer, all lines are all buffers."""
    line_bytes = max(settings.max_header_bytes, settings.max_request_line_bytes)
    whole = Settings.max_head_bytes if upstream.is_http else Settings.max_variables_bytes
    room_bytes = settings.values[whole.attribute]
    if upstream.scheme == "uwsgi":
        # Beyond it nginx responds with 500. The target is passed on three times: whole, as path and as query.
        room_bytes = min(room_bytes, _UWSGI_PACKET) - _OWN_VARIABLES - 2 * settings.max_request_line_bytes
    line_bytes = max(1024, min(line_bytes, room_bytes))
    parts = (Settings.max_header_bytes, Settings.max_request_line_bytes, whole)
    buffers = f"{max(1, room_bytes // line_bytes)} {_size(line_bytes)}"
    return [
        Derived("large_client_header_buffers", buffers, ", ".join(shown(settings, part) for part in parts)),
        Derived(
            "client_max_body_size",
            _length(settings.max_request_body_bytes),
            shown(settings, Settings.max_request_body_bytes),
        ),
        Derived(
            "client_body_buffer_size",
            _size(max(1024, settings.body_memory_bytes)),
            shown(settings, Settings.body_memory_bytes),
        ),
    ]


def _client_times(settings: Settings) -> list[Derived]:
    rows = {
        "client_header_timeout": Settings.head_timeout_s,
        "client_body_timeout": Settings.body_timeout_s,
        "send_timeout": Settings.write_timeout_s,
    }
    return [
        Derived(name, f"{whole_s(settings.values[row.attribute])}s", shown(settings, row))
        for name, row in rows.items()
    ]


def _time(time_ms: int) -> str:
    return f"{time_ms}ms" if time_ms % 1000 else f"{time_ms // 1000}s"


def _size(size_bytes: int) -> str:
    """Return `size_bytes` as nginx reads it where a buffer is meant; there it knows no unit above m."""
    return format_size(size_bytes).lower() if size_bytes < 1 << 30 else f"{-(-size_bytes >> 20)}m"


def _length(length_bytes: int) -> str:
    """Return `length_bytes` as nginx reads it where a file is meant; there it knows no unit above g."""
    text = format_size(length_bytes).lower()
    return f"{int(text[:-1]) * 1024}g" if text.endswith("t") else text
