"""The servers compared: how each is started for a case, and what it can do.

Receives a `Launch` (what the case asks for) and returns a `Command`. A peer gets the options
with which it is fastest; portico keeps its defaults unless the case names a number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
PEERS = BENCH / ".peers"
CACHE = BENCH / ".cache"
LIMIT = CACHE / "epoll_limit"
PORTICO = ROOT / ".venv" / "bin" / "portico"
IDLE_CONNECTIONS = 5000


class Role(Enum):
    """Which side of a ratio a server is on."""

    PORTICO = "portico"
    PEER = "peer"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Launch:
    """What a case asks of a server."""

    app: str
    port: int
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


def _portico(launch: Launch) -> Command:
    argv = [str(PORTICO), "run", launch.app, "-w", str(launch.workers), "--threads", str(launch.threads or 8)]
    scheme = "" if launch.speaks == "http" else f"{launch.speaks}://"
    argv += ["-b", f"{scheme}127.0.0.1:{launch.port}", "--access-log", str(launch.access_log or "off")]
    argv += ["--keep-alive", "120s"] if launch.idle else []
    # Flask and Django are installed beside the peers only.
    borrows = launch.app.startswith(("bench.flask_app", "bench.django_app"))
    packages = next(PEERS.glob("lib/python3*/site-packages"), None) if borrows else None
    return Command(argv, {"PYTHONPATH": str(packages)} if packages else {})


def baseline(executable: Path) -> Server:
    """Another build of portico, to be measured beside this one."""

    def command(launch: Launch) -> Command:
        ours = _portico(launch)
        return Command([str(executable), *ours.argv[1:]], ours.environment)

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


def _gunicorn_sync(launch: Launch) -> Command:
    return _gunicorn(launch, "-k", "sync")


def _gunicorn_gthread(launch: Launch) -> Command:
    return _gunicorn(launch, "-k", "gthread", "--threads", str(launch.threads or 8))


def _granian(launch: Launch) -> Command:
    argv = [str(PEERS / "bin/granian"), launch.app, "--interface", "wsgi", "--http", "1", "--no-ws"]
    argv += ["--host", "127.0.0.1", "--port", str(launch.port), "--workers", str(launch.workers)]
    # Left to itself it takes several: with one it was 40 % dearer.
    argv += ["--blocking-threads", str(launch.threads)] if launch.threads else []
    argv += ["--backlog", "8192", "--backpressure", "8192"] if launch.idle else []
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
    argv += ["--logto", str(launch.access_log)] if launch.access_log else ["--disable-logging"]
    return Command(argv)


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


def _limit(launch: Launch) -> Command:
    return Command([str(LIMIT), str(launch.port), launch.limit_reply])


SERVERS = (
    Server("C epoll limit", Role.LIMIT, "", _limit),
    Server("portico", Role.PORTICO, "portico", _portico, threads=True, workers=True, access_log=True),
    Server("fastwsgi", Role.PEER, "fastwsgi", _launched("fastwsgi"), workers=True),
    Server("bjoern", Role.PEER, "bjoern", _launched("bjoern")),
    Server("granian", Role.PEER, "granian", _granian, threads=True, workers=True, access_log=True),
    Server("uWSGI", Role.PEER, "uWSGI", _uwsgi, threads=True, workers=True, access_log=True),
    Server("waitress", Role.PEER, "waitress", _waitress, threads=True),
    Server("cheroot", Role.PEER, "cheroot", _launched("cheroot"), threads=True),
    Server("gunicorn gthread", Role.PEER, "gunicorn", _gunicorn_gthread, True, True, True),
    Server("gunicorn sync", Role.PEER, "gunicorn", _gunicorn_sync, workers=True, access_log=True),
)
BY_NAME = {server.name: server for server in SERVERS}
