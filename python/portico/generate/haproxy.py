"""A configuration of HAProxy 2.4 and later that passes requests on to portico over HTTP or FastCGI.

Over HTTP it may say who the client is by the PROXY protocol, where the listener wants that, or else by
headers.
"""

from __future__ import annotations

from portico.config.settings import Settings
from portico.errors import OperatorError
from portico.generate.deployment import Deployment, File
from portico.generate.head import head_comment, join_lines
from portico.generate.layout import Derived, fill
from portico.generate.times import CONNECT_S, ProxyTimes, shown, whole_s
from portico.generate.upstream import Upstream, choose

_SCHEMES = ("http", "fastcgi")
_SMALLEST_BUFFER = 16384
_ROOM_FOR_OWN = 1024
_FEWEST_HEADERS, _MOST_HEADERS = 32, 32767
"""Less are too few for HAProxy's own messages, more it does not take."""

_CONFIGURATION = """
    <head>

    global
        log /dev/log local0
        user haproxy
        group haproxy
        <chroot>
        # A request's head has to fit in a buffer, less 1024 bytes for what is added here.
        <buffers>

    defaults
        mode http
        log global
        option httplog
        option dontlognull
        # A request whose client has left is given up, so that portico hears of it too.
        option abortonclose
        # How slow a client may be: as portico has it for its own clients.
        <client_times>
        # Between HAProxy and portico.
        timeout connect <connect>s
        <server_time>

    frontend <name>_front
        <bind>
        # HTTPS: a certificate with its key, and this line.
        # bind :443 ssl crt /etc/haproxy/<name>.pem alpn h2,http/1.1

        # What portico would reject is rejected here, before it is passed on.
        <body_limit>

        # An id for the logs of both.
        unique-id-format %[uuid()]
        http-request set-header X-Request-ID %[unique-id]
        <said>

        <route>

    backend <name>
        <fastcgi>
        <reuse>
        <retries>
        <check>
        server <name> <server><options>

    <application>
"""

_HEADERS = """
    # Who the client is. What it sent itself is replaced or removed.
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http unless { ssl_fc }
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request del-header X-Forwarded-Host
    http-request set-header X-Forwarded-Host %[req.hdr(Host)] if { req.hdr(Host) -m len gt 0 }
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request del-header X-Forwarded-Prefix
    http-request del-header Forwarded
"""

_START = """
    # When the request came: queue_timeout counts from then. Not with a body, whose client may be slow,
    # because HAProxy passes it on while it comes.
    http-request del-header X-Request-Start
    acl has_body req.hdr(Content-Length) -m found
    acl has_body req.hdr(Transfer-Encoding) -m found
    http-request set-header X-Request-Start t=%[date(0,ms)] unless has_body
"""

_PROXY = """
    # Who the client is, says the PROXY header of the connection to portico: no header of the request is
    # needed.
"""

_REUSE = """
    # A connection to portico for each one of a client, so that a retry is on a new one.
    http-reuse never
"""

_RETRIES = """
    # What is safe to repeat, and met a worker just when it died, is retried once.
    retries 1
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
"""

_CHECK = """
    # Served by a worker of portico itself, also while all threads are busy.
    option httpchk
    http-check send meth GET uri <path> ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
"""

_APPLICATION = """
    fcgi-app <name>
        # The protocol has to say how long a body is before the body comes: one that is sent in chunks has to
        # fit in a buffer, else HAProxy responds with 400. For such clients let portico listen for HTTP. The
        # root is nothing that portico looks at, but HAProxy has to have one.
        docroot /
        # It would be left out otherwise.
        pass-header Authorization
        <keep>
"""


def files(deployment: Deployment) -> list[File]:
    """Return the one file, `haproxy.cfg`. Raises OperatorError for files to serve, which HAProxy cannot."""
    settings, name = deployment.settings, deployment.name
    if deployment.static:
        raise OperatorError(
            f"--static {deployment.static[0].url}: HAProxy serves no files; use nginx or Apache, or let the "
            "application serve them"
        )
    upstream = choose(settings, proxy="HAProxy", schemes=_SCHEMES, sends_proxy=True)
    times = ProxyTimes(settings)
    server_time = Derived("timeout server", f"{times.read_s}s", times.read_source)
    buffers, body_limit = _buffers(settings, upstream), _body_limit(settings)
    is_kept = upstream.can_be_kept and times.keep_alive_s > 0
    client_times = [*_client_times(settings), _between_requests(settings, times, is_kept=is_kept)]
    options = [
        *_proxy_options(upstream),
        *(["proto fcgi"] if not upstream.is_http else []),
        "check inter 5s fall 2 rise 1",
    ]
    path = next(iter(settings.health_paths), "") if upstream.is_http else ""
    text = fill(
        _CONFIGURATION,
        head=head_comment(
            deployment,
            upstream,
            proxy="HAProxy",
            place="For /etc/haproxy/haproxy.cfg.",
            derived=[server_time, *client_times, *buffers, *body_limit],
        ),
        name=name,
        chroot="# No chroot: the Unix socket would be out of reach."
        if upstream.path
        else "chroot /var/lib/haproxy",
        buffers=join_lines(buffers),
        client_times=join_lines(client_times),
        connect=str(CONNECT_S),
        server_time=str(server_time),
        bind=_bind(deployment),
        body_limit=join_lines(
            f"http-request deny deny_status 413 if {{ {limit.name} gt {limit.value} }}"
            for limit in body_limit
        ),
        said=fill(_PROXY)
        if upstream.is_proxy
        else (fill(_HEADERS) if upstream.is_http else "") + fill(_START),
        route=_route(deployment),
        fastcgi="" if upstream.is_http else f"use-fcgi-app {name}",
        reuse=fill(_REUSE) if is_kept else "option http-server-close",
        retries=fill(_RETRIES),
        check=fill(_CHECK, path=path)
        if path
        else "# No health check by HTTP: one of the connection is made.",
        server=f"unix@{upstream.path}" if upstream.path else upstream.host_and_port,
        options="".join(f" {option}" for option in options),
        application=""
        if upstream.is_http
        else fill(_APPLICATION, name=name, keep="option keep-conn" if is_kept else "no option keep-conn"),
    )
    return [File("haproxy.cfg", text)]


def _bind(deployment: Deployment) -> str:
    host, port = deployment.listen
    if host:
        return f"bind {f'[{host}]' if ':' in host else host}:{port}"
    return f"bind :{port}\nbind :::{port} v6only"


def _route(deployment: Deployment) -> str:
    if not deployment.server_names:
        return f"default_backend {deployment.name}"
    lines = []
    for name in deployment.server_names:
        match = f"-m end -i {name.removeprefix('*')}" if name.startswith("*.") else f"-m str -i {name}"
        lines.append(f"acl is_{deployment.name} req.hdr(Host),host_only {match}")
    return "\n".join([*lines, f"use_backend {deployment.name} if is_{deployment.name}"])


def _between_requests(settings: Settings, times: ProxyTimes, *, is_kept: bool) -> Derived:
    """How long a client may wait with its next request, and with it its own connection to portico."""
    name = "timeout http-keep-alive"
    if is_kept:
        return Derived(name, f"{times.keep_alive_s}s", times.keep_alive_source)
    return Derived(name, f"{max(1, whole_s(settings.keep_alive_s))}s", shown(settings, Settings.keep_alive_s))


def _client_times(settings: Settings) -> list[Derived]:
    stalls = (Settings.body_timeout_s, Settings.write_timeout_s)
    stall_s = max(settings.body_timeout_s, settings.write_timeout_s)
    named = ", ".join(shown(settings, row) for row in stalls)
    return [
        Derived(
            "timeout http-request",
            f"{whole_s(settings.head_timeout_s)}s",
            shown(settings, Settings.head_timeout_s),
        ),
        Derived("timeout client", f"{whole_s(stall_s)}s", f"the longer of {named}"),
    ]


def _buffers(settings: Settings, upstream: Upstream) -> list[Derived]:
    whole, number = (
        (Settings.max_head_bytes, Settings.max_headers)
        if upstream.is_http
        else (Settings.max_variables_bytes, Settings.max_variables)
    )
    size_bytes = max(_SMALLEST_BUFFER, settings.values[whole.attribute])
    return [
        Derived("tune.bufsize", str(size_bytes), shown(settings, whole)),
        Derived("tune.maxrewrite", str(_ROOM_FOR_OWN), "of the above, for the headers that HAProxy adds"),
        Derived(
            "tune.http.maxhdr",
            str(min(_MOST_HEADERS, max(_FEWEST_HEADERS, settings.values[number.attribute]))),
            shown(settings, number),
        ),
    ]


def _body_limit(settings: Settings) -> list[Derived]:
    most_bytes = settings.max_request_body_bytes
    source = shown(settings, Settings.max_request_body_bytes)
    return [Derived("req.body_size", str(most_bytes), source)] if most_bytes else []


def _proxy_options(upstream: Upstream) -> list[str]:
    """The header that begins each connection, also of a check; it says whether the client came by TLS."""
    if not upstream.is_proxy:
        return []
    return ["send-proxy-v2-ssl", "proxy-v2-options crc32c", "check-send-proxy"]
