"""Addresses of `[cluster]`, as the supervisor uses them: text that was checked, sockets that exist."""

from __future__ import annotations

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from portico.process.plan import Listener

    Place: TypeAlias = "tuple[str, int]"
    """A host and a port, or a path and 0."""

_PATH_PREFIX = "unix:"
ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where something is that listens everywhere, for who is on the same machine."""


def read_place(text: str) -> Place:
    """Return the place in `text`, which config/kinds.py has checked."""
    if text.startswith(_PATH_PREFIX):
        return text.removeprefix(_PATH_PREFIX), 0
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def family_of(place: Place) -> int:
    """Return the family of sockets (AF_INET and so on) that `place` is of."""
    host, port = place
    if not port:
        return _socket.AF_UNIX
    return _socket.AF_INET6 if ":" in host else _socket.AF_INET


def served_place(listeners: Iterable[Listener]) -> Place | None:
    """Return where the first listener of HTTP is, as its socket says; None if there is none."""
    for listener in listeners:
        if listener.address.scheme == "http":
            return _place_of(listener.fd)
    return None


def reached(place: Place, through: Place) -> Place:
    """Return `place`; if it is on all addresses, where it is for who is at the other end of `through`.

    `through` is our end of a connection to it, which over a Unix socket is on this machine.
    """
    host, port = place
    if not port or host not in ALL_ADDRESSES:
        return place
    own, own_port = through
    return (own if own_port else ALL_ADDRESSES[host]), port


def own_end(connection: _socket.socket) -> Place:
    """Return where `connection` begins."""
    if connection.family == _socket.AF_UNIX:
        return "", 0
    host, port = connection.getsockname()[:2]
    # An IPv4 address on a socket of IPv6.
    return host.removeprefix("::ffff:"), port


def _place_of(fd: int) -> Place:
    listening = _socket.socket(fileno=fd)
    try:
        if listening.family == _socket.AF_UNIX:
            name = listening.getsockname()
            return (name if isinstance(name, str) else "\0abns"), 0
        host, port = listening.getsockname()[:2]
        return host, port
    finally:
        listening.detach()
