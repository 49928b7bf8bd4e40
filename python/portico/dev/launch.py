"""The development server's start: bind the sockets, then become the loop, in the same process, by exec.

As process/launch.py, whose steps it uses: the loop and its workers begin in a fresh interpreter, which has
nothing of click, Django's management or Flask's command line.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence

from portico.config.check import check
from portico.config.settings import Settings
from portico.dev.options import DevelopmentPlan, Options, dump_development_plan
from portico.dev.settings import for_development
from portico.process.launch import become, make_plan
from portico.process.plan import Listener

_SILENT_S = 60


def develop(settings: Settings, options: Options, *, started_at_s: float, program: str = "portico") -> None:
    """Serve the application of `settings` for development; does not return.

    `started_at_s` is on the monotonic clock; `program` is what the application sees in `sys.argv[0]`. Raises
    OperatorError if a setting is wrong, or an address cannot be bound.
    """
    settings = for_development(settings)
    check(settings)
    plan = make_plan(settings, started_at_s=started_at_s)
    _keep_back_silent_connections(plan.listeners)
    data = dump_development_plan(DevelopmentPlan(plan, options))
    become("portico.dev.__main__", data, plan, program=program)


def _keep_back_silent_connections(listeners: Sequence[Listener]) -> None:
    """Let no worker have a connection before it brings a request.

    Browsers open some in advance: one that a worker has accepted could not be left to its successor.
    """
    for listener in listeners:
        with socket.socket(fileno=os.dup(listener.fd)) as listening:
            if listening.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
                # An inherited socket of MPTCP or SCTP may not have it; it serves all the same.
                with contextlib.suppress(OSError):
                    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_S)
