"""Binding the listening sockets: once, before the first fork, for ever. Errors say who is in the way.

Runs in the process of the command line, which then becomes the supervisor (process/launch.py). Receives
checked addresses, hands on listening, non-blocking, inheritable descriptors.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence

from portico.config.addresses import Address
from portico.errors import EXIT_BIND, OperatorError, quoted
from portico.process.owners import port_owner
from portico.process.plan import Listener


def bind_all(addresses: Sequence[Address], *, backlog: int) -> list[Listener]:
    """Listen on each of `addresses`; all or none. Raises OperatorError (exit code 4) if one fails."""
    listeners: list[Listener] = []
    try:
        for address in addresses:
            listeners.append(
                _bind_unix(address, backlog) if address.path else _bind_tcp(address, addresses, backlog)
            )
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _bind_tcp(address: Address, addresses: Sequence[Address], backlog: int) -> Listener:
    family, sockaddr = _resolve(address)
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # A restart must not wait until the connections of the last run have left TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what is accepted: a response leaves in few large writes, Nagle's delay only hurts.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            # [::] also takes IPv4, as container platforms expect, unless the user binds that port for IPv4
            # as well.
            also_ipv4 = any(
                other.port == address.port and not other.path and ":" not in other.host for other in addresses
            )
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(also_ipv4))
        _defer_accept(listener)
        try:
            listener.bind(sockaddr)
            listener.listen(backlog)
        except OSError as error:
            raise _explain_tcp(error, address) from None
        port = listener.getsockname()[1]
        return Listener(_keep(listener), f"http://{Address(host=address.host, port=port)}")


def _resolve(address: Address) -> tuple[int, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            address.host,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV,
        )
    except socket.gaierror as error:
        raise _cannot(address, f"the host name is not known ({error.strerror})") from None
    # `localhost` is often both; clients that try only one try IPv4.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, sockaddr = found[0]
    return family, sockaddr  # type: ignore[return-value]


def _defer_accept(listener: socket.socket) -> None:
    """Linux: wake the listener only once a request is there; accept and first read cost one wakeup.

    1 is a number of seconds, after which a connection that stayed silent is handed over all the same.
    """
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)


def _bind_unix(address: Address, backlog: int) -> Listener:
    path = os.path.abspath(address.path)
    _remove_stale(address, path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # The mode from the first moment on, not a moment after the bind.
        umask = os.umask(0o777 & ~address.mode) if address.mode is not None else None
        try:
            listener.bind(path)
            listener.listen(backlog)
        except OSError as error:
            raise _explain_unix(error, address, path) from None
        finally:
            if umask is not None:
                os.umask(umask)
        found = os.stat(path)
        return Listener(_keep(listener), f"unix:{path}", path=path, device=found.st_dev, inode=found.st_ino)


def _remove_stale(address: Address, path: str) -> None:
    """Remove the socket that a killed server left at `path`; unless anyone listens or it is no socket."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise _cannot(address, f"{quoted(path)} exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog must not block: it means that somebody is there.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            pass
        except PermissionError:
            raise _cannot(address, f"no permission to see who listens on {quoted(path)}") from None
        except BlockingIOError:
            raise _cannot(address, "another process listens there") from None
        else:
            raise _cannot(address, "another process listens there")
    try:
        os.unlink(path)
    except OSError as error:
        raise _cannot(address, f"cannot remove the stale socket: {error.strerror}") from None


def _keep(listener: socket.socket) -> int:
    """Take the descriptor out of its object: it has to outlive the exec."""
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener.detach()


def _explain_tcp(error: OSError, address: Address) -> OperatorError:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(address.port)
        by = f"by process {owner}" if owner else "by another process"
        return _cannot(address, f"the port is in use {by}; stop it, or choose another port with --bind")
    if error.errno == errno.EACCES:
        return _cannot(address, "no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE")
    if error.errno == errno.EADDRNOTAVAIL:
        return _cannot(address, f"this machine has no address {address.host}")
    return _cannot(address, error.strerror or str(error))


def _explain_unix(error: OSError, address: Address, path: str) -> OperatorError:
    directory = os.path.dirname(path)
    if error.errno == errno.ENOENT:
        return _cannot(address, f"there is no directory {quoted(directory)}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return _cannot(address, f"no permission to make a socket in {quoted(directory)}")
    if error.errno is None:
        # Python's own check, which has no number: sun_path holds 108 bytes on Linux, 104 on macOS.
        return _cannot(address, f"the path is too long for a socket ({len(os.fsencode(path))} bytes)")
    return _cannot(address, error.strerror or str(error))


def _cannot(address: Address, reason: str) -> OperatorError:
    return OperatorError(f"cannot listen on {address}: {reason}", exit_code=EXIT_BIND)
