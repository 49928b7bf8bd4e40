"""Sockets that another process has opened and passed on: `fd://N`, and `fd://NAME` from systemd.

Runs in the process of the command line, before anything is bound there. Receives the environment and
addresses, hands on descriptors that were found fit to accept from. It closes nothing.
"""

from __future__ import annotations

import _socket as socket
import os
import stat

from portico.config.address import Address
from portico.config.addresses import FIRST_INHERITED_FD
from portico.errors import BindError, quoted
from portico.process.invocation import COUNT_OF_ACTIVATION
from portico.process.plain_socket import Socket
from portico.process.service_manager.stored_name import is_stored_name
from portico.process.service_manager.stored_sockets import StoredSockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_NAMELESS = "unknown"
"""What systemd calls a descriptor that it was given no name for."""
_NO_SOCKETS = "systemd passed on no sockets; was the .socket unit started?"
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
_MOST_DIGITS = 5


class Activation:
    """What systemd has passed on: a name by descriptor. If there is nothing, `fault` says why.

    `stored` is what portico itself had left with it before a restart.
    """

    __slots__ = ("fault", "names", "stored")

    def __init__(self, names: Mapping[int, str], *, fault: str = "", notify_socket: str = "") -> None:
        stored = {fd: name for fd, name in names.items() if is_stored_name(name)}
        self.stored = StoredSockets(stored, notify_socket)
        self.names = {fd: name for fd, name in names.items() if not is_stored_name(name)}
        self.fault = fault or ("" if self.names else _NO_SOCKETS)

    def descriptors(self, address: Address) -> list[int]:
        """Return the descriptors that `address` means; several sockets of one unit have one name.

        Raises BindError if there is none of that name.
        """
        if address.fd is not None:
            return [address.fd]
        found = [fd for fd, name in self.names.items() if name == address.fd_name]
        if not found:
            raise BindError(address, self.fault or self._other_names())
        return found

    def unused(self, used: Collection[int]) -> Iterator[str]:
        """Close at the exec what no --bind asks for, and yield a sentence about each."""
        for fd, name in self.names.items():
            if fd in used:
                continue
            try:
                os.set_inheritable(fd, False)
            except OSError:
                continue  # it was promised, but is not there
            text = quoted(name)
            yield (
                f"systemd passed on descriptor {fd} (FileDescriptorName={text}), but no --bind asks for it, "
                f"so nobody accepts there: add --bind fd://{fd if name == _NAMELESS else name}, or take it "
                "out of the .socket unit"
            )

    def _other_names(self) -> str:
        names = ", ".join(quoted(name) for name in dict.fromkeys(self.names.values()))
        return f"systemd passed on no socket of this name (FileDescriptorName=); there is {names}"


NOTHING_PASSED_ON = Activation({})


def read_activation(environment: Mapping[str, str], *, pid: int) -> Activation:
    """Return what systemd passes on to the process `pid` by `environment`, as in sd_listen_fds(3)."""
    count, receiver = environment.get(COUNT_OF_ACTIVATION, ""), environment.get("LISTEN_PID", "")
    if not count or count == "0":
        return NOTHING_PASSED_ON
    if receiver != str(pid):
        return Activation(
            {},
            fault=f"LISTEN_PID is {quoted(receiver)}, but this is process {pid}: systemd has to start "
            "portico itself, not a program that starts it",
        )
    if not (count.isascii() and count.isdigit()) or len(count) > _MOST_DIGITS:
        return Activation({}, fault=f"LISTEN_FDS: expected how many sockets there are, got {quoted(count)}")
    fds = range(FIRST_INHERITED_FD, FIRST_INHERITED_FD + int(count))
    if "LISTEN_FDNAMES" not in environment:
        return Activation(dict.fromkeys(fds, _NAMELESS))
    names = environment["LISTEN_FDNAMES"].split(":")
    if len(names) != len(fds):
        return Activation(
            {}, fault=f"LISTEN_FDNAMES: expected as many names as LISTEN_FDS says, {count}, got {len(names)}"
        )
    return Activation(dict(zip(fds, names, strict=True)), notify_socket=environment.get("NOTIFY_SOCKET", ""))


def open_inherited(address: Address, fd: int) -> Socket:
    """Return the listening stream socket behind `fd`; its `detach` gives it back.

    Raises BindError, with `fd` left as it was, if it is anything else.
    """
    try:
        found = Socket(fileno=fd)
    except OSError:
        raise BindError(address, f"descriptor {fd} {_what_else(fd)}") from None
    fault = _unfit(found)
    if fault:
        found.detach()
        raise BindError(address, f"descriptor {fd} {fault}")
    return found


def inherited_place(listener: Socket, address: Address) -> Address:
    """Return what `address` would be if the socket behind it had been bound here."""
    if listener.family == socket.AF_UNIX:
        # Abstract names are bytes that begin with NUL.
        name = listener.getsockname()
        path = name[1:].decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
        place = Address(path=path, is_abstract=isinstance(name, bytes))
    else:
        host, port = listener.getsockname()[:2]
        place = Address(host=host, port=port)
    place.scheme = address.scheme
    place.proxy, place.persistent, place.stderr = address.proxy, address.persistent, address.stderr
    return place


def _unfit(found: Socket) -> str:
    """Return why nobody can be accepted from `found`, or an empty text."""
    if found.type != socket.SOCK_STREAM:
        return "is no stream socket: systemd makes one with ListenStream="
    if found.family not in _FAMILIES:
        return "is a socket of neither TCP nor Unix"
    if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return ""
    try:
        found.getpeername()
    except OSError:
        return "is a socket that does not listen"
    return "is a connection, not a listening socket: with systemd, Accept= has to be no"


def _what_else(fd: int) -> str:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "is not open: whoever starts portico has to pass it on"
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFDIR: "a folder",
    }
    return f"is no socket but {kinds.get(stat.S_IFMT(mode), 'something else')}"
