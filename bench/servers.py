"""The servers compared: how each is started for a case, and what it can do.

Receives a `Launch` (what the case asks for) and returns a `Command`. A peer gets the options
with which it is fastest; portico keeps its defaults unless the case names a number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

import other_servers
from saved import FIRST, hide_watchfiles, save

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
PEERS = BENCH / ".peers"
NEWER = BENCH / ".peers-3.13"
"""For what does not load into an older Python."""
CACHE = BENCH / ".cache"
LIMIT = CACHE / "epoll_limit"
SPIN = CACHE / "spin"
PORTICO = ROOT / ".venv" / "bin" / "portico"
NEWER_PORTICO = ROOT / "target" / "pythons" / "3.13" / "bin" / "portico"
"""Built by `make test-pythons`."""
WEFT = "weft (Python 3.13)"
PORTICO_ON_NEWER = "portico (Python 3.13)"
IDLE_CONNECTIONS = 5000
WATCHFILES = "watchfiles"
POLLING = "polling"
"""How `portico dev` hears of changes."""


class Role(Enum):
    """Which side of a ratio a server is on."""

    PORTICO = "portico"
    PEER = "peer"
    LIMIT = "limit"
    NEWER = "newer"
    """On another Python than the rest, so that only the rows of this role can be compared."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a case asks of a server."""

    app: str
    port: int
    folder: Path
    """For whatever belongs to this start."""
    limit_reply: str
    """Second argument of epoll_limit."""
    threads: int | None = None
    """None: whatever suits the server best when the application is fast."""
    workers: int = 1
    access_log: Path | None = None
    idle: bool = False
    """Thousands of connections will be open for some seconds."""
    speaks: str = "http"
    """`http` or `uwsgi`."""
    watcher: str = ""
    """Serve for development, with this way to hear of changes."""
    files: Path | None = None
    """A folder whose files are to be had below other_servers.FILES_PREFIX."""
    upstream: int = 0
    """The port of another server, which is to respond to everything; 0: there is none."""
    applications: int = 0
    """How many there are, by path; 0: one, and no routes."""
    admin_port: int = 0
    """Where portico tells its metrics, its log being in JSON; 0: nowhere, and as it is by default."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, what it adds to the environment, and where its standard output goes."""

    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    stdout: Path | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the tables."""

    name: str
    role: Role
    package: str
    """Name of the distribution whose version is shown."""
    command: Callable[[Launch], Command]
    threads: bool = False
    workers: bool = False
    access_log: bool = False
    program: Path | None = None
    """What must be there, where that is not a package of the peers."""
    is_named: bool = False
    """It is in the tables of cases that name it alone: no WSGI server."""


def _portico(launch: Launch, executable: Path = PORTICO, environment: Path = PEERS, way: str = "") -> Command:
    if launch.watcher:
        return _portico_dev(launch, executable)
    argv = [str(executable), "run", launch.app]
    argv += ["-w", str(launch.workers)]
    # Of greenlets there are 1,000 by default, of loops one.
    argv += ["--worker", way] if way else ["--threads", str(launch.threads or 8)]
    scheme = "" if launch.speaks == "http" else f"{launch.speaks}://"
    argv += ["-b", f"{scheme}127.0.0.1:{launch.port}", "--access-log", str(launch.access_log or "off")]
    argv += ["--keep-alive", "120s"] if launch.idle else []
    if launch.admin_port:
        argv += ["--access-log-format", "json", "--admin-bind", f"127.0.0.1:{launch.admin_port}"]
    argv += ["--static", f"{other_servers.FILES_PREFIX}={launch.files}"] if launch.files else []
    if launch.upstream:
        argv[2:3] = ["-c", str(other_servers.portico(launch.folder, other_servers.to(launch.upstream)))]
    if launch.applications:
        rows = other_servers.applications(launch.app, launch.applications)
        argv[2:3] = ["-c", str(other_servers.portico(launch.folder, rows)), "--chdir", str(ROOT)]
    # Flask, Django, gevent and Tornado are installed beside the peers only.
    borrows = way or launch.app.startswith(("bench.flask_app", "bench.django_app"))
    packages = next(environment.glob("lib/python3*/site-packages"), None) if borrows else None
    return Command(argv, {"PYTHONPATH": str(packages)} if packages else {})


def _portico_dev(launch: Launch, executable: Path) -> Command:
    save(launch.folder, FIRST)
    hiding = hide_watchfiles(launch.folder) if launch.watcher == POLLING else None
    argv = [str(executable), "dev", launch.app, "--chdir", str(launch.folder)]
    argv += ["-b", f"127.0.0.1:{launch.port}", "--access-log", "off"]
    return Command(argv, {"PYTHONPATH": str(hiding)} if hiding else {})


def dev_label(watcher: str) -> str:
    """Return the name of the row of `portico dev`."""
    return f"portico dev, {watcher}"


def way_label(way: str) -> str:
    """Return the name of the row of portico with `--worker`."""
    return f"portico {way}"


WAYS = ("gevent", "asyncio", "tornado")
"""Of `portico run --worker`, beside threads."""


def _portico_way(way: str) -> Callable[[Launch], Command]:
    def command(launch: Launch) -> Command:
        return _portico(launch, way=way)

    return command


def _native(server: Callable[[Launch], Command]) -> Callable[[Launch], Command]:
    """A Tornado application, of the same name, in the place of the WSGI application."""

    def command(launch: Launch) -> Command:
        return server(replace(launch, app=launch.app.replace("bench.apps:", "bench.tornado_app:")))

    return command


def _newer_portico(launch: Launch) -> Command:
    return _portico(launch, NEWER_PORTICO, NEWER)


def baseline(executable: Path) -> Server:
    """Another build of portico, to be measured beside this one."""

    def command(launch: Launch) -> Command:
        return _portico(launch, executable)

    return Server("before", Role.PEER, "", command, threads=True, workers=True, access_log=True)


def _gunicorn(launch: Launch, *kind: str) -> Command:
    argv = [
        str(PEERS / "bin/gunicorn"),
        launch.app,
        "-b",
        f"127.0.0.1:{launch.port}",
        "-w",
        str(launch.workers),
    ]
    argv += ["--log-level", "error", "--backlog", "2048", *kind]
    argv += ["--access-logfile", str(launch.access_log)] if launch.access_log else []
    argv += ["--worker-connections", "6000", "--keep-alive", "120"] if launch.idle else []
    return Command(argv)


# Left to itself it takes the parser in C wherever that is installed.
IN_PYTHON = ("--http-parser", "python")
IN_C = ("--http-parser", "fast")


def _gunicorn_sync(launch: Launch) -> Command:
    return _gunicorn(launch, "-k", "sync", *IN_PYTHON)


def _gunicorn_gthread(launch: Launch) -> Command:
    return _gunicorn(launch, "-k", "gthread", "--threads", str(launch.threads or 8), *IN_PYTHON)


def _gunicorn_h1c(launch: Launch) -> Command:
    return _gunicorn(launch, "-k", "gthread", "--threads", str(launch.threads or 8), *IN_C)


def _gunicorn_gevent(launch: Launch) -> Command:
    # With the parser in C, which is the faster one; as many connections as there may be threads.
    many = ["--worker-connections", "6000"] if launch.threads else []
    return _gunicorn(launch, "-k", "gevent", *many, *IN_C)


def _gunicorn_tornado(launch: Launch) -> Command:
    return _gunicorn(launch, "-k", "tornado")


def _granian(launch: Launch) -> Command:
    argv = [str(PEERS / "bin/granian"), launch.app, "--interface", "wsgi", "--http", "1", "--no-ws"]
    argv += ["--host", "127.0.0.1", "--port", str(launch.port), "--workers", str(launch.workers)]
    # Left to itself it takes several: with one it was 40 % dearer.
    argv += ["--blocking-threads", str(launch.threads)] if launch.threads else []
    argv += ["--backlog", "8192", "--backpressure", "8192"] if launch.idle else []
    argv += ["--static-path-route", other_servers.FILES_PREFIX] if launch.files else []
    argv += ["--static-path-mount", str(launch.files)] if launch.files else []
    # Its access log goes to standard output, at level info.
    argv += ["--access-log"] if launch.access_log else ["--log-level", "warning"]
    return Command(argv, stdout=launch.access_log)


def _uwsgi(launch: Launch) -> Command:
    # --http11-socket would keep connections, and was half again as dear. So it closes each, and says
    # so in a header: without it the load generator counts every end as an error.
    socket = (
        ["--uwsgi-socket"]
        if launch.speaks == "uwsgi"
        else ["--add-header", "Connection: close", "--http-socket"]
    )
    argv = [str(PEERS / "bin/uwsgi"), *socket, f"127.0.0.1:{launch.port}", "--master"]
    argv += ["--need-app", "--listen", "2048", "--wsgi", launch.app]
    argv += ["-p", str(launch.workers), "--virtualenv", str(PEERS), "--die-on-term"]
    argv += ["--threads", str(launch.threads)] if launch.threads and launch.threads > 1 else []
    argv += ["--static-map", f"{other_servers.FILES_PREFIX}={launch.files}"] if launch.files else []
    argv += ["--logto", str(launch.access_log)] if launch.access_log else ["--disable-logging"]
    return Command(argv)


def _uwsgi_gevent(launch: Launch) -> Command:
    found = _uwsgi(replace(launch, threads=None))
    return replace(
        found, argv=[*found.argv, "--gevent", str(launch.threads or 1000), "--gevent-early-monkey-patch"]
    )


def _peregrine(launch: Launch) -> Command:
    argv = [str(PEERS / "bin/peregrine"), "--protocol", "wsgi", "--no-auto-venv"]
    argv += ["--host", "127.0.0.1", "--port", str(launch.port), "--workers", str(launch.workers)]
    argv += ["--wsgi-threads", str(launch.threads)] if launch.threads else []
    argv += ["--max-connections", "6000", "--keep-alive", "120000"] if launch.idle else []
    argv += ["--access-log"] if launch.access_log else []
    return Command([*argv, launch.app], stdout=launch.access_log)


def _weft(launch: Launch) -> Command:
    argv = [str(NEWER / "bin/weft"), "--protocol", "wsgi", "--no-auto-venv"]
    argv += ["--host", "127.0.0.1", "--port", str(launch.port), "--workers", str(launch.workers)]
    argv += ["--wsgi-threads", str(launch.threads)] if launch.threads else []
    argv += ["--max-connections", "6000", "--keep-alive", "120"] if launch.idle else []
    argv += ["--access-log"] if launch.access_log else ["--log-level", "warning"]
    return Command([*argv, launch.app], stdout=launch.access_log)


def _launched(server: str) -> Callable[[Launch], Command]:
    def command(launch: Launch) -> Command:
        argv = [str(PEERS / "bin/python"), str(BENCH / "launch.py"), server, launch.app]
        return Command([*argv, str(launch.port), str(launch.threads or 10), str(launch.workers)])

    return command


def _waitress(launch: Launch) -> Command:
    argv = [str(PEERS / "bin/waitress-serve"), f"--listen=127.0.0.1:{launch.port}", "--backlog=2048"]
    argv += [f"--threads={launch.threads or 4}", "--no-expose-tracebacks"]
    # select() stops at 1,024 descriptors.
    argv += ["--asyncore-use-poll", "--connection-limit=6000"] if launch.idle else []
    return Command([*argv, launch.app])


def _whitenoise(server: Callable[[Launch], Command]) -> Callable[[Launch], Command]:
    """The middleware WhiteNoise in a server: what serves files where no server does."""

    def command(launch: Launch) -> Command:
        found = server(replace(launch, app="bench.whitenoise_app:application", files=None))
        files = {"BENCH_FILES": str(launch.files), "BENCH_FILES_PREFIX": other_servers.FILES_PREFIX}
        return replace(found, environment=found.environment | files)

    return command


def _nginx(launch: Launch) -> Command:
    passing_on, serving = other_servers.passing_on, other_servers.serving
    location = passing_on(launch.upstream) if launch.upstream else serving(launch.files)
    return Command(other_servers.nginx(launch.folder, launch.port, location))


def _haproxy(launch: Launch) -> Command:
    return Command(other_servers.haproxy(launch.folder, launch.port, launch.upstream))


def _limit(launch: Launch) -> Command:
    return Command([str(LIMIT), str(launch.port), launch.limit_reply])


def _named_portico(name: str, command: Callable[[Launch], Command]) -> Server:
    return Server(name, Role.PORTICO, "portico-server", command, program=PORTICO, is_named=True)


SERVERS = (
    Server("C epoll limit", Role.LIMIT, "", _limit, program=LIMIT),
    Server("portico", Role.PORTICO, "portico-server", _portico, True, True, True, PORTICO),
    Server("fastwsgi", Role.PEER, "fastwsgi", _launched("fastwsgi"), workers=True),
    Server("fastpysgi", Role.PEER, "fastpysgi", _launched("fastpysgi"), workers=True),
    Server("freastal", Role.PEER, "freastal", _launched("freastal"), workers=True),
    Server("peregrine", Role.PEER, "peregrine-server", _peregrine, True, True, True),
    Server("bjoern", Role.PEER, "bjoern", _launched("bjoern")),
    Server("granian", Role.PEER, "granian", _granian, threads=True, workers=True, access_log=True),
    Server("uWSGI", Role.PEER, "uWSGI", _uwsgi, threads=True, workers=True, access_log=True),
    Server("waitress", Role.PEER, "waitress", _waitress, threads=True),
    Server("cheroot", Role.PEER, "cheroot", _launched("cheroot"), threads=True),
    Server("gunicorn gthread", Role.PEER, "gunicorn", _gunicorn_gthread, True, True, True),
    Server("gunicorn gthread h1c", Role.PEER, "gunicorn-h1c", _gunicorn_h1c, True, True, True),
    Server("gunicorn sync", Role.PEER, "gunicorn", _gunicorn_sync, workers=True, access_log=True),
    Server("nginx", Role.PEER, "", _nginx, program=other_servers.NGINX, is_named=True),
    Server("HAProxy", Role.PEER, "", _haproxy, program=other_servers.HAPROXY, is_named=True),
    Server("WhiteNoise, granian", Role.PEER, "whitenoise", _whitenoise(_granian), is_named=True),
    Server("WhiteNoise, gunicorn", Role.PEER, "whitenoise", _whitenoise(_gunicorn_gthread), is_named=True),
    *(
        Server(
            way_label(way), Role.PORTICO, "portico-server", _portico_way(way), program=PORTICO, is_named=True
        )
        for way in WAYS
    ),
    Server(
        "portico tornado, native",
        Role.PORTICO,
        "portico-server",
        _native(_portico_way("tornado")),
        program=PORTICO,
        is_named=True,
    ),
    Server("gunicorn gevent", Role.PEER, "gunicorn", _gunicorn_gevent, is_named=True),
    Server("gevent.pywsgi", Role.PEER, "gevent", _launched("pywsgi"), is_named=True),
    Server("uWSGI gevent", Role.PEER, "uWSGI", _uwsgi_gevent, is_named=True),
    Server("gunicorn tornado", Role.PEER, "gunicorn", _gunicorn_tornado, is_named=True),
    Server("gunicorn tornado, native", Role.PEER, "gunicorn", _native(_gunicorn_tornado), is_named=True),
    Server("tornado, native", Role.PEER, "tornado", _native(_launched("tornado")), is_named=True),
    Server(WEFT, Role.NEWER, "weft-server", _weft, True, True, True),
    Server(PORTICO_ON_NEWER, Role.NEWER, "portico-server", _newer_portico, True, True, True, NEWER_PORTICO),
)
BY_NAME = {server.name: server for server in SERVERS}
