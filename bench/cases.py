"""The cases: what is asked, of whom, and which figures make up the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import apps
import other_servers
from servers import POLLING, WATCHFILES, WAYS, Role, Server, dev_label, way_label

BROWSER_HEADERS = (  # with Host, which the load generator adds, the 12 that a browser sends
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://shop.example/catalogue/shoes?page=3",
    "Cookie: session=5f2c7e0b9d6a4c1e8f3b; csrftoken=Zk3vT1uQ8mYp0aLr; theme=dark",
    "DNT: 1",
    "Connection: keep-alive",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
)


BEHIND_NGINX = ("portico", "granian", "gunicorn gthread")
SERVING_FILES = ("portico", "nginx", "granian", "uWSGI", "WhiteNoise, granian", "WhiteNoise, gunicorn")
PASSING_ON = ("portico", "nginx", "HAProxy")
OTHER_WAYS = ("gunicorn gevent", "gevent.pywsgi", "uWSGI gevent", "gunicorn tornado", "tornado, native")
WAITING = (
    *("portico", "portico gevent", "portico tornado, native", "granian"),
    *("gunicorn gevent", "gevent.pywsgi", "uWSGI gevent", "gunicorn tornado, native", "tornado, native"),
)
"""Those in which 1,000 calls can wait at one time: a loop waits only in coroutines, which WSGI has not."""


LOG_OFF = ", log off"
OBSERVED = "portico, JSON log and metrics"


class Client(Enum):
    """What drives a load."""

    WRK = "wrk"
    SPIN = "spin"
    """Never sleeps (spin.c), so that waking it is on no server's account."""


class DriveKind(Enum):
    """How a case is driven."""

    LOAD = "load"
    MIX = "mix"
    MEMORY = "memory"
    IDLE = "idle"
    START = "start"
    SAVE = "save"


@dataclass(frozen=True, slots=True)
class Case:
    """One table."""

    name: str
    title: str
    app: str = "bench.apps:hello"
    expected: bytes = apps.HELLO
    kind: DriveKind = DriveKind.LOAD
    client: Client = Client.WRK
    depth: int = 1
    """Requests that a connection sends before it reads; spin alone can do more than one."""
    path: str = "/"
    body_bytes: int = 0
    """More than 0: a POST with this many bytes."""
    headers: tuple[str, ...] = ()
    connections: int = 32
    threads: int | None = None
    workers: int = 1
    access_log: bool = False
    needs_threads: bool = False
    limit_reply: str | None = None
    """Canned reply of the C limit; None: it has no row here."""
    lateness: bool = False
    """Also measure how late the blocks of a paced response arrive."""
    needs_close: bool = False
    """The framework relies on close() of what it returns: servers that do not call it are marked."""
    proxy: str = ""
    """What nginx as reverse proxy speaks: `http` (kept connections) or `uwsgi`. Empty: there is no nginx."""
    servers: tuple[str, ...] = ()
    """The only rows; empty: all."""
    only_portico_threads: tuple[int, ...] = ()
    """Rows are portico with each of these numbers of threads, and nobody else."""
    only_portico_applications: tuple[int, ...] = ()
    """Rows are portico with each of these numbers of applications, the last of which is asked."""
    file: str = ""
    """The name of a file with what is expected, which no application is asked for."""
    passes_on: bool = False
    """The C limit responds, on the load generator's CPU, and the rows pass requests on to it."""
    watchers: tuple[str, ...] = ()
    """Rows are `portico dev` that hears of changes in each of these ways, and nobody else."""
    columns: tuple[str, ...] = ("cpu_us", "rps", "p50_ms", "p99_ms", "pss_mb")
    """Metrics in the order shown; the first orders the rows."""


CASES = (
    Case("hello", "Hello: 13 bytes, keep-alive, 32 connections", limit_reply="13"),
    Case("browser", "Browser: hello with 12 request headers", headers=BROWSER_HEADERS, limit_reply="13"),
    Case("close", "Close: a connection per request", headers=("Connection: close",), limit_reply="13"),
    Case("10k", "A body of 10 KiB", "bench.apps:body_10k", apps.TEN_KIB, limit_reply="10240"),
    Case("1m", "A body of 1 MiB", "bench.apps:body_1m", apps.ONE_MIB, limit_reply="1048576"),
    Case(
        "post", "POST of 1 KiB, echoed", "bench.apps:echo", b"p" * 1024, body_bytes=1024, limit_reply="1024"
    ),
    Case(
        "stream",
        "Stream: 20 blocks of 100 bytes from a generator, length unknown",
        "bench.apps:stream",
        apps.BLOCK * 20,
        limit_reply="chunked",
        lateness=True,
        columns=("cpu_us", "rps", "p50_ms", "p99_ms", "late_ms", "latest_ms", "pss_mb"),
    ),
    Case(
        "sleep",
        "Sleep: 5 ms per call, 32 connections, 32 threads",
        "bench.apps:sleep",
        threads=32,
        needs_threads=True,
        columns=("rps", "cpu_us", "p50_ms", "p99_ms", "pss_mb"),
    ),
    Case(
        "mix",
        "Mix: 8 connections sleeping 5 ms beside 8 fast ones, 32 threads",
        "bench.apps:mix",
        kind=DriveKind.MIX,
        connections=8,
        threads=32,
        columns=("fast_rps", "slow_rps", "fast_p99_ms", "slow_p50_ms", "slow_p99_ms", "cpu_us"),
    ),
    Case(
        "ways-hello",
        "Ways to execute: hello, keep-alive, 32 connections",
        servers=("portico", *map(way_label, WAYS), "portico tornado, native", *OTHER_WAYS),
    ),
    Case(
        "ways-sleep",
        "Ways to execute: 100 ms of sleep per call, 1,000 connections; 1,000 threads where there are threads",
        "bench.apps:long_sleep",
        connections=1000,
        threads=1000,
        servers=WAITING,
        columns=("rps", "cpu_us", "p50_ms", "p99_ms", "pss_mb"),
    ),
    Case("threads", "Hello, portico with 32 threads and with 1", only_portico_threads=(32, 1)),
    Case(
        "routes",
        "Hello of the last of several applications, chosen by its path",
        path=f"/{other_servers.LAST}",
        only_portico_applications=(1000, 1),
        columns=("cpu_us", "rps", "pss_mb"),
    ),
    Case("log", "Hello with the access log on and off, to a file in memory", access_log=True),
    Case(
        "pipelined",
        "Pipelined: hello, 16 requests in one segment, 8 connections, a client that never sleeps",
        client=Client.SPIN,
        depth=16,
        connections=8,
    ),
    Case("flask", "Flask hello, a client that never sleeps", "bench.flask_app:app", client=Client.SPIN),
    Case(
        "django",
        "Django hello, a client that never sleeps",
        "bench.django_app:application",
        client=Client.SPIN,
        needs_close=True,
    ),
    Case("uwsgi-nginx", "nginx, uwsgi_pass: hello", proxy="uwsgi", servers=("portico", "uWSGI")),
    Case(
        "uwsgi-nginx-browser",
        "nginx, uwsgi_pass: hello with 12 request headers",
        headers=BROWSER_HEADERS,
        proxy="uwsgi",
        servers=("portico", "uWSGI"),
    ),
    Case("http-nginx", "nginx, proxy_pass, kept connections: hello", proxy="http", servers=BEHIND_NGINX),
    Case(
        "http-nginx-browser",
        "nginx, proxy_pass, kept connections: hello with 12 request headers",
        headers=BROWSER_HEADERS,
        proxy="http",
        servers=BEHIND_NGINX,
    ),
    Case(
        "file-10k",
        "A file of 10 KiB, below a prefix; no application is asked",
        expected=apps.TEN_KIB,
        path=f"{other_servers.FILES_PREFIX}/file.txt",
        file="file.txt",
        servers=SERVING_FILES,
    ),
    Case(
        "file-10m",
        "A file of 10 MiB, below a prefix; no application is asked",
        expected=apps.ONE_MIB * 10,
        path=f"{other_servers.FILES_PREFIX}/file.txt",
        file="file.txt",
        connections=8,
        servers=SERVING_FILES,
    ),
    Case(
        "pass-on",
        "Hello of another server, passed on over kept connections",
        limit_reply="13",
        passes_on=True,
        servers=PASSING_ON,
    ),
    Case(
        "start",
        "From the command to the first response, hello; and `import portico`, beyond a bare interpreter",
        kind=DriveKind.START,
        columns=("first_ms", "import_ms", "pss_mb"),
    ),
    Case(
        "save",
        "portico dev: from a save to the response of the new code, and to its reload where nobody asks",
        "saved",
        kind=DriveKind.SAVE,
        watchers=(WATCHFILES, POLLING),
        columns=("saved_ms", "unasked_ms"),
    ),
    Case("memory-1", "Memory of the whole tree, hello, 1 worker", kind=DriveKind.MEMORY, columns=("pss_mb",)),
    Case(
        "memory-4",
        "Memory of the whole tree, hello, 4 workers",
        kind=DriveKind.MEMORY,
        workers=4,
        columns=("pss_mb",),
    ),
    Case(
        "idle",
        "5,000 idle keep-alive connections",
        kind=DriveKind.IDLE,
        limit_reply="13",
        columns=("kb_per_connection", "kept", "pss_mb"),
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A server as it appears in one table."""

    label: str
    server: Server
    threads: int | None
    access_log: bool
    watcher: str = ""
    applications: int = 0
    is_observed: bool = False
    """All that portico can tell of a request is told: the log in JSON, and metrics."""


def rows(case: Case, servers: tuple[Server, ...]) -> Iterator[Row]:
    """The rows of a case among the servers that are here and able."""
    for server in servers:
        if server.is_named and not case.servers:
            continue
        if case.servers and server.role is not Role.LIMIT and server.name not in (*case.servers, "before"):
            continue
        if case.only_portico_threads:
            if server.role is Role.PORTICO:
                for threads in case.only_portico_threads:
                    yield Row(f"portico, threads = {threads}", server, threads, False)
            continue
        if case.only_portico_applications:
            if server.role is Role.PORTICO:
                for count in case.only_portico_applications:
                    yield Row(f"portico, applications = {count}", server, None, False, applications=count)
            continue
        if case.watchers:
            if server.role is Role.PORTICO:
                for watcher in case.watchers:
                    yield Row(dev_label(watcher), server, None, False, watcher)
            continue
        if server.role is Role.LIMIT:
            if case.limit_reply is not None:
                yield Row(server.name, server, None, False)
            continue
        if case.needs_threads and not server.threads:
            continue
        if case.workers > 1 and not server.workers:
            continue
        if case.access_log and not server.access_log:
            continue
        yield Row(server.name, server, case.threads, case.access_log)
        if case.access_log:
            yield Row(f"{server.name}{LOG_OFF}", server, case.threads, False)
            if server.role is Role.PORTICO:
                yield Row(OBSERVED, server, case.threads, True, is_observed=True)
