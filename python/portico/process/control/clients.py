"""The clients of the control socket: bounded in number, in bytes and in time, and never waited for.

A client sends one line after the other, and gets one for each. While it has not taken a response, or a verb
has no outcome yet, nothing more is read of it than a bound; while there are as many clients as there may be,
others wait in the kernel's queue. In each round of the loop each gets one request done.
"""

from __future__ import annotations

import os
import select

from portico import _core, log
from portico.errors import reason_of
from portico.process.control import PROTOCOL
from portico.process.control.json_lines import read_line, write_line
from portico.process.control.lasting import Lasting
from portico.process.control.verb_error import VerbError
from portico.process.control.verbs import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.control.subject import Subject
    from portico.process.control.verbs import Outcome
    from portico.process.loop import Loop

MOST_CLIENTS = 32
MOST_LINE_BYTES = 4096
# For a request to come, or a response to be taken.
PATIENCE_S = 10.0
# Until a descriptor may be free again.
_PAUSE_S = 1.0
_ROOT = 0


class Client:
    """One connection. `until_s` is when to lose patience, if there is no `outcome` to wait for."""

    __slots__ = ("fd", "has_ended", "is_last", "outcome", "received", "unsent", "until_s")

    def __init__(self, fd: int, until_s: float) -> None:
        self.fd = fd
        self.until_s = until_s
        self.received = b""
        self.unsent = b""
        # What a verb that takes its time will come to.
        self.outcome: Outcome | None = None
        # Whether it will send no more.
        self.has_ended = False
        # Whether it is closed after what is unsent.
        self.is_last = False

    @property
    def has_request(self) -> bool:
        """Whether it has sent something that can be dealt with now."""
        is_busy = self.unsent or self.outcome is not None or self.is_last
        return not is_busy and (b"\n" in self.received or len(self.received) > MOST_LINE_BYTES)


class Clients:
    """All of them; `listener_fd` is where they come from."""

    __slots__ = ("_accept_at_s", "_clients", "_listener_fd", "_loop", "_subject")

    def __init__(self, loop: Loop, listener_fd: int, subject: Subject) -> None:
        self._loop = loop
        self._listener_fd = listener_fd
        self._subject = subject
        self._clients: dict[int, Client] = {}
        # When to accept again, after there were no descriptors left.
        self._accept_at_s: float | None = None

    def accept(self, now_s: float) -> None:
        """Take in who has come, as long as there is room."""
        self._accept_at_s = None
        while len(self._clients) < MOST_CLIENTS:
            try:
                accepted = _core.accept_connection(self._listener_fd)
            except OSError as error:
                log.warning(f"control: cannot accept a client: {error.strerror}")
                self._loop.forget(self._listener_fd)
                self._accept_at_s = now_s + _PAUSE_S
                return
            if accepted is None:
                return
            fd, user_id = accepted
            client = self._clients[fd] = Client(fd, now_s + PATIENCE_S)
            if user_id not in (os.geteuid(), _ROOT):
                self._respond(client, _failure("forbidden", f"user {user_id} may not ask this server"))
                client.is_last = True
            self._loop.watch(fd, lambda now_s, client=client: self._read(client))  # type: ignore[misc]
        self._loop.forget(self._listener_fd)

    def look(self, now_s: float) -> None:
        """Deal with what clients have sent, and with what has come of their requests."""
        if self._accept_at_s is not None and now_s >= self._accept_at_s:
            self._let_in()
        for client in list(self._clients.values()):
            self._step(client, now_s)

    def due_s(self) -> float | None:
        dues = [
            0.0 if client.has_request else client.until_s
            for client in self._clients.values()
            if client.outcome is None
        ]
        dues += [each.outcome.until_s for each in self._clients.values() if isinstance(each.outcome, Lasting)]
        if self._accept_at_s is not None:
            dues.append(self._accept_at_s)
        return min(dues, default=None)

    def close(self) -> None:
        """In a worker: let go of all clients."""
        for client in self._clients.values():
            _end(client.outcome)
            os.close(client.fd)

    def _step(self, client: Client, now_s: float) -> None:
        if client.outcome is not None:
            self._look_at_outcome(client, now_s)
        elif client.has_request:
            line, newline, client.received = client.received.partition(b"\n")
            client.until_s = now_s + PATIENCE_S
            if newline and len(line) <= MOST_LINE_BYTES:
                self._begin(client, line, now_s)
            else:
                self._reject(client, f"expected a line of at most {MOST_LINE_BYTES} bytes")
        if client.unsent:
            self._send(client)
        elif client.outcome is None and (client.is_last or (client.has_ended and not client.has_request)):
            self._forget(client)
        if client.outcome is None and now_s >= client.until_s:
            self._forget(client)

    def _begin(self, client: Client, line: bytes, now_s: float) -> None:
        try:
            request = read_line(line)
        except ValueError:
            self._reject(client, "expected a flat object of JSON in a line")
            return
        try:
            begun = begin(self._subject, request, now_s)
        except VerbError as error:
            self._respond(client, _failure(error.code, error.message))
            return
        except (OSError, ImportError) as error:
            # Such as no descriptor to read a module with, or a file of /proc.
            self._respond(client, _failure("failed", reason_of(error)))
            return
        if callable(begun):
            client.outcome = begun
            self._look_at_outcome(client, now_s)
        else:
            self._respond(client, _success(begun))

    def _look_at_outcome(self, client: Client, now_s: float) -> None:
        assert client.outcome is not None, "asked only where there is one"
        try:
            result = client.outcome()
        except VerbError as error:
            response = _failure(error.code, error.message)
        else:
            if result is None:
                return
            response = _success(result)
        client.outcome = None
        client.until_s = now_s + PATIENCE_S
        self._respond(client, response)

    def _reject(self, client: Client, message: str) -> None:
        """Say what was wrong with the line, and end: where the next request begins is not known."""
        self._respond(client, _failure("bad-request", message))
        client.is_last = True

    def _respond(self, client: Client, response: dict[str, Any]) -> None:
        client.unsent = write_line(response)

    def _read(self, client: Client) -> None:
        try:
            data = os.read(client.fd, MOST_LINE_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:
            self._forget(client)
            return
        client.received += data
        if not data:
            client.has_ended = True
        if client.has_ended:
            self._watch_for_hangup(client)
        elif len(client.received) > MOST_LINE_BYTES:
            # The rest is read when there is room.
            self._loop.forget(client.fd)

    def _send(self, client: Client) -> None:
        """Send as much as the client takes, and watch for room for the rest; then read on."""
        try:
            client.unsent = client.unsent[os.write(client.fd, client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._forget(client)
            return
        if client.unsent:
            self._loop.watch(client.fd, lambda now_s: self._send(client), when=select.POLLOUT)
        elif client.is_last or (client.has_ended and not client.has_request):
            self._forget(client)
        elif client.has_ended:
            self._watch_for_hangup(client)
        elif len(client.received) > MOST_LINE_BYTES:
            self._loop.forget(client.fd)
        else:
            self._loop.watch(client.fd, lambda now_s: self._read(client))

    def _watch_for_hangup(self, client: Client) -> None:
        """It sends no more, but may wait for a response: until it has closed its end altogether."""
        self._loop.watch(client.fd, lambda now_s: self._forget(client), when=0)

    def _forget(self, client: Client) -> None:
        if self._clients.pop(client.fd, None) is None:
            return
        self._loop.forget(client.fd)
        os.close(client.fd)
        _end(client.outcome)
        client.outcome = None
        if self._accept_at_s is None:
            self._let_in()

    def _let_in(self) -> None:
        self._accept_at_s = None
        self._loop.watch(self._listener_fd, self.accept)


def _end(outcome: Outcome | None) -> None:
    """Let go of what an outcome holds that nobody waits for."""
    if isinstance(outcome, Lasting):
        outcome.end()


def _success(result: dict[str, Any]) -> dict[str, Any]:
    return {"protocol": PROTOCOL, "ok": True, "result": result}


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"protocol": PROTOCOL, "ok": False, "error": code, "message": message}
