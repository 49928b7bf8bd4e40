"""The child's end of a dry run: what it is passed, and what it reports (`dry_run.py`).

Runs in the process of the command line. `process/launch.py` asks here whether this is a dry run, before it
opens sockets, and reports its plan here instead of becoming the supervisor.
"""

from __future__ import annotations

import marshal
import os
import socket
from collections.abc import MutableMapping
from typing import Any, NoReturn

from portico._core import __version__
from portico.errors import EXIT_FINE, OperatorError
from portico.process.dry_run import RECORD_VERSION, report_of
from portico.process.invocation import DRY_RUN_VARIABLE
from portico.process.plan import Listener, Plan, dump_plan, load_listeners

_LENGTH_BYTES = 4


class DryRunRequest:
    """What the supervisor has passed: `listeners` that it has, and for the admin address `admin`.

    They have the same descriptors here.

    `hand_over` is what it would hand over to this program in an upgrade; None for a reload.
    """

    def __init__(
        self,
        channel: socket.socket,
        listeners: list[Listener],
        admin: list[Listener],
        hand_over: dict[str, Any] | None,
    ) -> None:
        self._channel = channel
        self.listeners = listeners
        self.admin = admin
        self.hand_over = hand_over

    def report(self, plan: Plan) -> NoReturn:
        """Send `plan` and the sockets that are new in it; ends the process."""
        self.send(plan, None)
        os._exit(EXIT_FINE)

    def send(self, plan: Plan, program: dict[str, Any] | None) -> None:
        """Send `plan`, the sockets that are new in it, and how to call `program`."""
        passed = {listener.fd for listener in (*self.listeners, *self.admin)}
        opened = [listener for listener in plan.sockets if listener.fd not in passed]
        report = report_of(dump_plan(plan), opened, program)
        # The descriptors travel with the first byte.
        socket.send_fds(self._channel, [report[:1]], [listener.fd for listener in opened])
        self._channel.sendall(report[1:])
        self._channel.close()


def take_request(environment: MutableMapping[str, str]) -> DryRunRequest | None:
    """Return the request if this is a dry run; what says so is taken out of `environment`.

    Raises OperatorError where the supervisor is of a version that is not understood here.
    """
    number = environment.pop(DRY_RUN_VARIABLE, "")
    if not number:
        return None
    channel = socket.socket(fileno=int(number))
    channel.setblocking(True)
    length = int.from_bytes(_receive(channel, _LENGTH_BYTES), "little")
    request = marshal.loads(_receive(channel, length))
    check_version(request)
    hand_over = None
    if request["hand_over_fd"] >= 0:
        with open(request["hand_over_fd"], "rb") as file:
            hand_over = marshal.load(file)
        check_version(hand_over)
    # A supervisor of before has no admin address.
    listeners, admin = load_listeners(request["listeners"]), load_listeners(request.get("admin", []))
    return DryRunRequest(channel, listeners, admin, hand_over)


def check_version(record: dict[str, Any]) -> None:
    """Raise OperatorError where `record` is of a version that is not understood here."""
    if record["version"] != RECORD_VERSION:
        raise OperatorError(
            f"the running supervisor hands over records of version {record['version']}, and portico "
            f"{__version__} understands version {RECORD_VERSION}: that takes a restart"
        )


def _receive(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            raise EOFError("the supervisor is gone")
        data += more
    return data
