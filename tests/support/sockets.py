"""What the kernel knows of the server's end of a TCP connection, also after the server has closed it.

It is asked for one socket (sock_diag(7)): /proc/net/tcp is slow where there are many.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from support.raw_client import Connection
from support.server import Server
from support.waiting import wait_until

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_ALL_STATES = 0xFFFFFFFF
_STATE_OFFSET, _INODE_OFFSET = 16 + 1, 16 + 4 + 48 + 16
"""In a struct inet_diag_msg behind its struct nlmsghdr."""


@dataclass(frozen=True)
class ServerEnd:
    """The server's end of one connection; `state` is a number of enum tcp_state (linux/tcp_states.h)."""

    state: int
    is_held: bool
    """Whether it belongs to a process: accepted, and not closed yet. Else the kernel alone keeps it."""


def server_end(server: Server, connection: Connection) -> ServerEnd | None:
    """The server's end of `connection`; None once the kernel has forgotten it."""
    ports = struct.pack("!HH", server.port, connection.socket.getsockname()[1])
    address = socket.inet_aton("127.0.0.1") + bytes(12)
    question = struct.pack("BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES)
    question += ports + address * 2 + struct.pack("I", 0) + b"\xff" * 8
    header = struct.pack("IHHII", 16 + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asker:
        asker.send(header + question)
        reply = asker.recv(4096)
    if struct.unpack_from("H", reply, 4)[0] != _SOCK_DIAG_BY_FAMILY or reply[20:24] != ports:
        return None  # no such socket, or only the one that listens
    # An inode of 0 belongs to no process.
    return ServerEnd(reply[_STATE_OFFSET], bool(struct.unpack_from("I", reply, _INODE_OFFSET)[0]))


def is_held(server: Server, connection: Connection) -> bool:
    """Whether a process has the server's end of `connection`."""
    end = server_end(server, connection)
    return end is not None and end.is_held


def wait_accepted(server: Server, connection: Connection) -> None:
    """Wait until the server has `connection`."""
    wait_until(lambda: is_held(server, connection), what="the server to accept")
