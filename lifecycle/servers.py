"""The servers compared: how each is started, which signals it understands, and how it is told its limits.

All have two workers with eight threads, and the options that their documentation recommends for a service
that is not to stop. What a server cannot do has no entry, and no figure.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / ".peers"
WORKERS, THREADS = 2, 8
TIMEOUT_S = 2
"""For calls, where an event wants that."""
MOST_REQUESTS = 50
MAX_RSS_MIB = 100
"""Of a worker that leaks; at its start each has less than half of that."""
APPLICATION = "site_app:application"
"""In the folder where the server runs."""

CALLS, REQUESTS, MEMORY = "calls", "requests", "memory"
"""What can have a limit."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file that is read again on a reload."""

    name: str
    good: str
    bad: str
    argv: tuple[str, ...]
    """By which the server is told of it."""


@dataclass(frozen=True, slots=True)
class Server:
    """One column of the tables."""

    name: str
    package: str
    """The distribution whose version is shown."""
    command: Callable[[int], list[str]]
    """For a port."""
    configuration: Configuration | None = None
    more: signal.Signals | None = None
    """One worker more; `fewer`: one less."""
    fewer: signal.Signals | None = None
    upgrade: signal.Signals | None = None
    """Starts another version of the program."""
    has_successor: bool = False
    """The other version is another process, which takes over when the first is told to stop."""
    limits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Options for what can have a limit."""


def _portico(port: int) -> list[str]:
    argv = [sys.executable, "-m", "portico", "run", APPLICATION, "-b", f"127.0.0.1:{port}"]
    return [*argv, "-w", str(WORKERS), "--threads", str(THREADS), "--access-log", "off"]


def _gunicorn(port: int) -> list[str]:
    argv = [str(PEERS / "bin/gunicorn"), APPLICATION, "-b", f"127.0.0.1:{port}", "-w", str(WORKERS)]
    return [*argv, "-k", "gthread", "--threads", str(THREADS), "--backlog", "2048", "--pid", "gunicorn.pid"]


def _uwsgi(port: int) -> list[str]:
    # It closes each connection, and says so, as in the benchmark: bench/servers.py.
    argv = [
        str(PEERS / "bin/uwsgi"),
        "--add-header",
        "Connection: close",
        "--http-socket",
        f"127.0.0.1:{port}",
    ]
    argv += ["--master", "--need-app", "--listen", "2048", "--wsgi", APPLICATION, "--die-on-term"]
    argv += ["-p", str(WORKERS), "--threads", str(THREADS), "--virtualenv", str(PEERS)]
    return [*argv, "--disable-logging"]


def _granian(port: int) -> list[str]:
    argv = [str(PEERS / "bin/granian"), APPLICATION, "--interface", "wsgi", "--http", "1", "--no-ws"]
    argv += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
    return [*argv, "--blocking-threads", str(THREADS), "--respawn-failed-workers"]


_CARE = {
    REQUESTS: ("--max-requests", str(MOST_REQUESTS), "--min-lifetime", "0"),
    MEMORY: ("--max-rss", f"{MAX_RSS_MIB}M"),
}

SERVERS = (
    Server(
        "portico",
        "portico-server",
        _portico,
        Configuration("portico.toml", "[processes]\ntimeout = 60\n", "[processes]\ntimeout = soon\n", ()),
        more=signal.SIGTTIN,
        fewer=signal.SIGTTOU,
        upgrade=signal.SIGUSR2 if find_spec("portico.process.take_over") else None,
        limits={
            CALLS: ("--timeout", str(TIMEOUT_S)),
            **(_CARE if find_spec("portico.process.care") else {}),
        },
    ),
    Server(
        "gunicorn",
        "gunicorn",
        _gunicorn,
        Configuration("conf.py", "timeout = 30\n", "timeout = soon\n", ("-c", "conf.py")),
        more=signal.SIGTTIN,
        fewer=signal.SIGTTOU,
        upgrade=signal.SIGUSR2,
        has_successor=True,
        # Its timeout is of workers, not of calls.
        limits={CALLS: ("--timeout", str(TIMEOUT_S)), REQUESTS: ("--max-requests", str(MOST_REQUESTS))},
    ),
    Server(
        "uWSGI",
        "uwsgi",
        _uwsgi,
        Configuration(
            "site.ini", "[uwsgi]\nstrict = true\n", "[uwsgi\nstrict = true\n", ("--ini", "site.ini")
        ),
        # Its HUP is an upgrade, too: the master becomes the program that is there now.
        limits={
            CALLS: ("--harakiri", str(TIMEOUT_S)),
            REQUESTS: ("--max-requests", str(MOST_REQUESTS)),
            MEMORY: ("--memory-report", "--reload-on-rss", str(MAX_RSS_MIB)),
        },
    ),
    Server(
        "granian",
        "granian",
        _granian,
        limits={MEMORY: ("--workers-max-rss", str(MAX_RSS_MIB), "--rss-sample-interval", "1")},
    ),
)
BY_NAME = {server.name: server for server in SERVERS}
