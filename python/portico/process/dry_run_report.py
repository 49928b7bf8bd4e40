"""The child's end of a dry run: what it is passed, and what it reports (`dry_run.py`).

Runs in the process of the command line. `process/launch.py` asks here whether this is a dry run, before it
opens sockets, and reports its plan here instead of becoming the supervisor.
"""

from __future__ import annotations

import marshal
import os
import socket
from collections.abc import MutableMapping
from typing import NoReturn

from portico.errors import EXIT_FINE
from portico.process.dry_run import VARIABLE, report_of
from portico.process.plan import Listener, Plan, dump_plan, load_listeners

_LENGTH_BYTES = 4


class DryRunRequest:
    """What the supervisor has passed: `listeners` that it has, under the same descriptors here."""

    def __init__(self, channel: socket.socket, listeners: list[Listener]) -> None:
        self._channel = channel
        self.listeners = listeners

    def report(self, plan: Plan) -> NoReturn:
        """Send `plan` and the sockets that are new in it; ends the process."""
        passed = {listener.fd for listener in self.listeners}
        sent = [listener.fd for listener in plan.listeners if listener.fd not in passed]
        report = report_of(dump_plan(plan), sent)
        # The descriptors travel with the first byte.
        socket.send_fds(self._channel, [report[:1]], sent)
        self._channel.sendall(report[1:])
        os._exit(EXIT_FINE)


def take_request(environment: MutableMapping[str, str]) -> DryRunRequest | None:
    """Return the request if this is a dry run; what says so is taken out of `environment`."""
    number = environment.pop(VARIABLE, "")
    if not number:
        return None
    channel = socket.socket(fileno=int(number))
    channel.setblocking(True)
    length = int.from_bytes(_receive(channel, _LENGTH_BYTES), "little")
    return DryRunRequest(channel, load_listeners(marshal.loads(_receive(channel, length))))


def _receive(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            raise EOFError("the supervisor is gone")
        data += more
    return data
