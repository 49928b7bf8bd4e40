"""One request to a control socket, and its response."""

from __future__ import annotations

import json
import socket
from typing import Any

from portico.errors import EXIT_UNEXPECTED, OperatorError, quoted
from portico.process.control import PROTOCOL

EXIT_NOT_RUNNING = 3
# More is no response.
_MOST_BYTES = 16 * 1024 * 1024
_REJECTED = ("bad-request", "rejected", "busy", "forbidden")


class LostError(OperatorError):
    """The server has closed the connection, or was never heard as one."""


def ask(
    path: str, verb: str, *, timeout_s: float | None = None, until_end: bool = False, **fields: Any
) -> dict[str, Any]:
    """Return the result of `verb` at the server whose control socket is at `path`.

    `until_end`: wait until the server has closed the connection, after its response. `timeout_s` is for each
    step. Raises OperatorError if there is nobody, or with what the server says that was wrong.
    """
    request = {"protocol": PROTOCOL, "verb": verb, **fields}
    # What was typed, in sentences.
    verb = verb.replace("upstream-", "upstream ")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
        except OSError as error:
            raise OperatorError(
                f"nobody can be reached at {quoted(path)}: {error.strerror or error}",
                exit_code=EXIT_NOT_RUNNING,
            ) from None
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = _read_line(connection)
            while until_end and connection.recv(4096):
                pass
        except TimeoutError:
            raise OperatorError(
                f"{verb}: no outcome after {timeout_s:g} s; it may still come", exit_code=EXIT_UNEXPECTED
            ) from None
        except OSError as error:
            raise _lost(verb, error.strerror or str(error)) from None
    return _result(verb, line) | ({"ended": True} if until_end else {})


def upgrade(path: str, *, timeout_s: float | None = None, wait: bool) -> dict[str, Any]:
    """Return what has come of an upgrade of the server whose control socket is at `path`; raises as `ask`.

    The supervisor that takes over has the socket, and none of the connections.
    """
    before = ask(path, "status", timeout_s=timeout_s)
    try:
        return ask(path, "upgrade", timeout_s=timeout_s, wait=wait)
    except LostError:
        return ask(path, "upgrade", timeout_s=timeout_s, wait=wait, after=before["generation"])


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = connection.recv(65536)
        if not data or len(line) > _MOST_BYTES:
            break
        line += data
    return line


def _result(verb: str, line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise _lost(verb, "the server has closed the connection")
    try:
        response = json.loads(line)
        if response["protocol"] != PROTOCOL:
            raise OperatorError(
                f"the server speaks protocol {response['protocol']}, expected {PROTOCOL}: use the `portico` "
                "that it was started by",
                exit_code=EXIT_UNEXPECTED,
            )
        if response["ok"]:
            result: dict[str, Any] = response["result"]
            return result
        failure, message = response["error"], response["message"]
    except (ValueError, KeyError, TypeError):
        raise _lost(verb, "the response is none of this protocol") from None
    code = {"exit_code": EXIT_UNEXPECTED} if failure not in _REJECTED else {}
    raise OperatorError(f"{verb}: {message}", **code)


def _lost(verb: str, why: str) -> LostError:
    return LostError(f"{verb}: the outcome is not known: {why}", exit_code=EXIT_UNEXPECTED)
