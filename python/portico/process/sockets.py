"""The listening sockets: opened once, before the first fork, for ever. Errors say who is in the way.

Runs in the process of the command line, which then becomes the supervisor (process/launch.py). Receives
checked addresses, hands on listening, non-blocking, inheritable descriptors.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
import stat
import sys

from portico.config.address import Address
from portico.errors import BindError, quoted
from portico.process.plain_socket import Socket
from portico.process.plan import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portico.process.inherited import Activation
    from portico.process.service_manager.stored_sockets import StoredSockets

_MODE_FOR_A_GROUP = 0o660
"""Linux asks for the right to write before it connects, which the usual umask leaves to the owner alone."""


def bind_all(
    addresses: Sequence[Address],
    *,
    backlog: int,
    write_timeout_s: float = 0.0,
    activation: Activation | None = None,
    kept: Sequence[Listener] = (),
    option: str = "--bind",
) -> list[Listener]:
    """Listen on each of `addresses`, the inherited ones first; all or none.

    Where one of `kept` listens already, that is taken; it stays as it is if another address fails.

    So is what the service manager has kept since a start before; what no address asks for is given back to
    it. A free port that was found, and the absolute form of a path, are written into the addresses. `backlog`
    is for sockets that are bound here, `activation` is what systemd has passed on; after `write_timeout_s`
    the kernel gives up what a client does not take (0: its own limits hold). Raises BindError if one fails,
    which names `option` as the way to another one.
    """
    stored = None if activation is None else activation.stored
    still = [
        _still(address, listener) for address in addresses for listener in kept if _is_at(address, listener)
    ]
    addresses = [address for address in addresses if not any(_is_at(address, listener) for listener in kept)]
    listeners: list[Listener] = []
    try:
        # First, because a socket that is opened here might take a number that nobody has passed on.
        for address in addresses:
            if address.is_inherited:
                listeners.extend(_take_over(address, activation, listeners, write_timeout_s))
        restored = {
            id(address): _restored(address, addresses, stored, backlog, write_timeout_s)
            for address in addresses
            if not address.is_inherited
        }
        listeners += filter(None, restored.values())
        # Before anything is bound: it may be in the way.
        if stored is not None:
            stored.give_back()
        for address in addresses:
            if restored.get(id(address), True):
                continue
            if address.path:
                listeners.append(_bind_unix(address, backlog))
            else:
                listeners.append(_bind_tcp(address, addresses, backlog, write_timeout_s, option))
    except BaseException:
        for listener in listeners:
            listener.leave()
        raise
    return still + listeners


def _is_at(address: Address, listener: Listener) -> bool:
    return listener.asked == address.place


def _still(address: Address, listener: Listener) -> Listener:
    """Return `listener` as `address` asks for it now: another scheme, other options."""
    asked = address.place
    display = listener.display
    if not address.is_inherited:
        address.port, address.path = listener.address.port, listener.address.path
        display = address.display()
    return Listener(listener.fd, address, display, asked=asked, identity=listener.identity)


def _restored(
    address: Address,
    addresses: Sequence[Address],
    stored: StoredSockets | None,
    backlog: int,
    write_timeout_s: float,
) -> Listener | None:
    """Return what the service manager has kept of `address`, if there is something, as if bound here."""
    if not stored:
        return None
    asked = address.place
    if address.is_abstract:
        found = stored.take(lambda one: one.getsockname() == b"\0" + os.fsencode(address.path))
    elif address.path:
        address.path = os.path.abspath(address.path)
        found = stored.take_at(address.path)
    else:
        place = _resolve(address)
        option = int(_is_for_ipv6_alone(address, addresses))
        found = stored.take(lambda one: _is_bound_to(one, place, ipv6_only=option))
    if found is None:
        return None
    with found:
        identity = None
        if address.is_file:
            identity = _identity(address)
            _set_mode(address)
            _give_to(address, _owner_id(address), _group_id(address))
        elif not address.path:
            _tune(found, write_timeout_s)
        found.listen(backlog)
        listener = Listener(found.keep(), address, address.display(), asked=asked, identity=identity)
    listener.is_stored = True
    return listener


def _is_bound_to(found: Socket, place: tuple[int, tuple[str, int]], *, ipv6_only: int) -> bool:
    family, sockaddr = place
    if found.family != family or found.getsockname()[:2] != sockaddr[:2]:
        return False
    return family != socket.AF_INET6 or found.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == ipv6_only


def _is_for_ipv6_alone(address: Address, addresses: Sequence[Address]) -> bool:
    """Whether IPv4 has that port bound as well; else [::] takes both, as container platforms expect."""
    return any(other.host and ":" not in other.host and other.port == address.port for other in addresses)


def _bind_tcp(
    address: Address, addresses: Sequence[Address], backlog: int, write_timeout_s: float, option: str
) -> Listener:
    family, sockaddr = _resolve(address)
    with _tcp_socket(family, address, option) as listener:
        # A restart must not wait until the connections of the last run have left TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _tune(listener, write_timeout_s)
        if family == socket.AF_INET6:
            is_alone = int(_is_for_ipv6_alone(address, addresses))
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_alone)
        try:
            listener.bind(sockaddr)
            listener.listen(backlog)
        except OSError as error:
            raise _explain_tcp(error, address, option) from None
        asked = address.place
        address.port = listener.getsockname()[1]
        return Listener(listener.keep(), address, address.display(), asked=asked)


def _tcp_socket(family: int, address: Address, option: str) -> Socket:
    try:
        return Socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise BindError(address, error.strerror or str(error)) from None
        version, other = ("IPv6", "IPv4") if family == socket.AF_INET6 else ("IPv4", "IPv6")
        raise BindError(
            address, f"this machine has no {version}; choose an address of {other} with {option}"
        ) from None


def _resolve(address: Address) -> tuple[int, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            _encoded(address.host),
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV,
        )
    except socket.gaierror as error:
        raise BindError(address, f"the host name is not known ({error.strerror})") from None
    # `localhost` is often both; clients that try only one try IPv4.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, sockaddr = found[0]
    return family, sockaddr  # type: ignore[return-value]


def _encoded(host: str) -> str | bytes:
    """Return `host` as bytes, unless it is international: that of text takes tables that are long to load."""
    return host.encode() if host.isascii() else host


def _tune(listener: Socket, write_timeout_s: float) -> None:
    """Set what is right for TCP listeners of every protocol here; what is accepted inherits it (tcp(7))."""
    # A response leaves in few large writes: Nagle's delay only hurts.
    options = {socket.TCP_NODELAY: 1}
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        # In all protocols the client speaks first. Linux: wake the listener only once a request is there;
        # accept and first read cost one wakeup. 1 is a number of seconds, after which one that stayed
        # silent is handed over all the same.
        options[socket.TCP_DEFER_ACCEPT] = 1
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Also after the close, where nobody else is left to give up what a client does not take.
        options[socket.TCP_USER_TIMEOUT] = round(write_timeout_s * 1000)
    for option, value in options.items():
        # An inherited socket of MPTCP or SCTP may not have it; it serves all the same.
        try:  # noqa: SIM105 - contextlib takes longer than what is done here
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:
            pass


def _take_over(
    address: Address, activation: Activation | None, taken: Sequence[Listener], write_timeout_s: float
) -> Iterator[Listener]:
    """Yield the inherited sockets that `address` means; their file, if any, is not ours to remove."""
    # Here, because few have any.
    from portico.process.inherited import NOTHING_PASSED_ON, inherited_place, open_inherited

    for fd in (activation or NOTHING_PASSED_ON).descriptors(address):
        for other in taken:
            if other.fd == fd:
                raise BindError(address, f"descriptor {fd} is taken for {other.address} already")
        listener = open_inherited(address, fd)
        if listener.family != socket.AF_UNIX:
            _tune(listener, write_timeout_s)
        display = f"{inherited_place(listener, address).display()} (from {address.place})"
        yield Listener(listener.keep(), address, display)


def _bind_unix(address: Address, backlog: int) -> Listener:
    if address.is_abstract:
        return _bind_abstract(address, backlog)
    address.path = os.path.abspath(address.path)
    owner_id, group_id = _owner_id(address), _group_id(address)
    _remove_stale(address)
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        _bind_with_mode(listener, address)
        kept = Listener(listener.fileno(), address, address.display(), identity=_identity(address))
        try:
            _give_to(address, owner_id, group_id)
            # Only now can anybody connect.
            listener.listen(backlog)
        except BaseException:
            kept.remove_file()
            raise
        listener.keep()
        return kept


def _identity(address: Address) -> tuple[int, int]:
    found = os.lstat(address.path)
    return found.st_dev, found.st_ino


def _set_mode(address: Address) -> None:
    """Give the file of a socket the mode that a bind would have given it."""
    mode = _mode(address)
    if mode is None:
        umask = os.umask(0)
        os.umask(umask)
        mode = 0o777 & ~umask
    if stat.S_IMODE(os.lstat(address.path).st_mode) != mode:
        try:
            os.chmod(address.path, mode)
        except OSError as error:
            raise BindError(address, f"cannot set the mode of the socket: {error.strerror}") from None


def _mode(address: Address) -> int | None:
    return _MODE_FOR_A_GROUP if address.mode is None and address.group else address.mode


def _bind_abstract(address: Address, backlog: int) -> Listener:
    if sys.platform != "linux":
        raise BindError(address, "only Linux has abstract sockets")
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind("\0" + address.path)
        except OSError as error:
            raise _explain_unix(error, address) from None
        listener.listen(backlog)
        return Listener(listener.keep(), address, address.display())


def _bind_with_mode(listener: Socket, address: Address) -> None:
    mode = _mode(address)
    # The mode from the first moment on, not a moment after the bind.
    umask = os.umask(0o777 & ~mode) if mode is not None else None
    try:
        listener.bind(address.path)
    except OSError as error:
        raise _explain_unix(error, address) from None
    finally:
        if umask is not None:
            os.umask(umask)


def _owner_id(address: Address) -> int:
    """Return the user id that `address` names, or -1, which chown(2) reads as "leave it"."""
    if not address.owner or address.owner.isdecimal():
        return int(address.owner or -1)
    import pwd

    try:
        return pwd.getpwnam(address.owner).pw_uid
    except KeyError:
        raise BindError(address, f"there is no user {quoted(address.owner)}") from None


def _group_id(address: Address) -> int:
    if not address.group or address.group.isdecimal():
        return int(address.group or -1)
    import grp

    try:
        return grp.getgrnam(address.group).gr_gid
    except KeyError:
        raise BindError(address, f"there is no group {quoted(address.group)}") from None


def _give_to(address: Address, owner_id: int, group_id: int) -> None:
    steps = (
        (-1, group_id, f"group {quoted(address.group)}", "that takes root, or a member of the group"),
        (owner_id, -1, f"user {quoted(address.owner)}", "that takes root"),
    )
    for uid, gid, receiver, hint in steps:
        if uid == gid == -1:
            continue
        try:
            os.chown(address.path, uid, gid, follow_symlinks=False)
        except PermissionError:
            raise BindError(address, f"no permission to give the socket to {receiver}: {hint}") from None
        except OSError as error:
            raise BindError(address, f"cannot give the socket to {receiver}: {error.strerror}") from None


def _remove_stale(address: Address) -> None:
    """Remove the socket that a killed server left at the path; unless anyone listens or it is no socket."""
    path = address.path
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(address, f"{quoted(path)} exists and is no socket")
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog must not block: it means that somebody is there.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            pass
        except PermissionError:
            raise BindError(address, f"no permission to see who listens on {quoted(path)}") from None
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise BindError(address, error.strerror or str(error)) from None
            raise _explain_unix_owner(address) from None
        else:
            raise _explain_unix_owner(address)
    try:
        os.unlink(path)
    except OSError as error:
        raise BindError(address, f"cannot remove the stale socket: {error.strerror}") from None


def _explain_tcp(error: OSError, address: Address, option: str) -> BindError:
    if error.errno == errno.EADDRINUSE:
        # Here, because few are in the way of another.
        from portico.process.owners import port_owner

        owner = port_owner(address.port)
        by = f"by process {owner}" if owner else "by another process"
        return BindError(
            address,
            f"the port is in use {by}; stop it, or choose another port with {option}",
            is_in_use=True,
        )
    if error.errno == errno.EACCES:
        return BindError(address, "no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE")
    if error.errno == errno.EADDRNOTAVAIL:
        return BindError(address, f"this machine has no address {address.host}")
    return BindError(address, error.strerror or str(error))


def _explain_unix(error: OSError, address: Address) -> BindError:
    if error.errno == errno.EADDRINUSE:
        return _explain_unix_owner(address)
    directory = os.path.dirname(address.path)
    if error.errno == errno.ENOENT:
        return BindError(address, f"there is no directory {quoted(directory)}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return BindError(address, f"no permission to make a socket in {quoted(directory)}")
    if error.errno is None:
        # Python's own check, which has no number: sun_path holds 108 bytes on Linux, 104 on macOS.
        what = "name" if address.is_abstract else "path"
        return BindError(
            address, f"the {what} is too long for a socket ({len(os.fsencode(address.path))} bytes)"
        )
    return BindError(address, error.strerror or str(error))


def _explain_unix_owner(address: Address) -> BindError:
    from portico.process.owners import unix_owner

    owner = unix_owner(("@" if address.is_abstract else "") + address.path)
    by = f"process {owner} listens there" if owner else "another process listens there"
    return BindError(address, by, is_in_use=True)
