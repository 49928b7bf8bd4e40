"""`RequestID`: a name for each request, in environ, in the response and in whatever is logged meanwhile.

Receives environ, hands it on with `portico.request_id`. Runs on the thread of the call. The filter for
`logging` is request_id_filter.py, so that who does not log need not import that.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

from portico.middleware.fields import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from portico.types import Environ, ExcInfo, StartResponse, Write, WSGIApplication

    Trust = Callable[[Environ], bool]

ENVIRON_KEY = "portico.request_id"
current_request_id: ContextVar[str] = ContextVar(ENVIRON_KEY, default="")
"""The name of the request that this thread (or greenlet, or task) is in; empty outside of one."""

_LONGEST = 128
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~+/=:@")
"""What a name may be made of: nothing that could forge a log line or a header."""


class RequestID:
    """Give each request a name.

    It is in `environ["portico.request_id"]`, in the response header `header` (in place of any that the
    application sends), and in `current_request_id` while the application runs or makes its blocks.

    A name that the request brings in `header` is taken if whoever sent it is `trusted` and it is well-formed:
    at most 128 characters of letters, digits and `-_.~+/=:@`. `trusted` is a sequence of addresses and
    networks, compared with REMOTE_ADDR as the server gave it, where `unix` stands for Unix sockets and `*`
    for everybody; or a callable that gets environ and says yes or no. By default nobody is. Behind a reverse
    proxy that sets or removes the header of every request it is `*`.

    `make` returns a new name; without it that is 32 hexadecimal digits of the randomness of the system.

    Raises ValueError for a `header` that is none, and for something in `trusted` that is no address.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        header: str = "X-Request-ID",
        trusted: Sequence[str] | Trust = (),
        make: Callable[[], str] | None = None,
    ) -> None:
        if not NAME.fullmatch(header):
            raise ValueError(f"header: expected the name of a header, such as X-Request-ID, got {header!r}")
        self.app = app
        self._header = header
        self._key = "HTTP_" + header.upper().replace("-", "_")
        self._is_trusted = trusted if callable(trusted) else _trust_in(trusted)
        self._make = make or _random_name

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name = environ.get(self._key, "")
        if not (name and _is_well_formed(name) and self._is_trusted(environ)):
            name = self._make()
        environ[ENVIRON_KEY] = name
        header = self._header

        def start(status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /) -> Write:
            kept = [pair for pair in headers if pair[0].lower() != header.lower()]
            try:
                return start_response(status, [*kept, (header, name)], *([exc_info] if exc_info else []))
            finally:
                exc_info = None  # PEP 3333 "Error Handling": no circle of frames

        before = current_request_id.get()
        current_request_id.set(name)
        try:
            result = self.app(environ, start)
        finally:
            current_request_id.set(before)
        if _is_made(result, environ):
            return result
        return _NamedBlocks(result, name)


class _NamedBlocks:
    """A body whose blocks are made with `current_request_id` set, though not what happens in between."""

    def __init__(self, result: Iterable[bytes], name: str) -> None:
        self._result = result
        self._name = name
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._named(self._next_block)

    def close(self) -> None:
        """Close what the application has returned."""
        if close := getattr(self._result, "close", None):
            self._named(close)

    def _next_block(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self._result)
        return next(self._iterator)

    def _named(self, call: Callable[[], bytes]) -> bytes:
        # Not by a token: a server may take each block in another context.
        before = current_request_id.get()
        current_request_id.set(self._name)
        try:
            return call()
        finally:
            current_request_id.set(before)


def _is_made(result: Iterable[bytes], environ: Environ) -> bool:
    """Say whether no code of the application makes the blocks: then the server does best with what it is."""
    wrapper = environ.get("wsgi.file_wrapper")
    return type(result) in (list, tuple) or (isinstance(wrapper, type) and isinstance(result, wrapper))


def _is_well_formed(name: str) -> bool:
    return len(name) <= _LONGEST and _ALLOWED.issuperset(name)


def _random_name() -> str:
    return os.urandom(16).hex()


def _trust_in(peers: Sequence[str]) -> Trust:
    """Return what says whether a request comes from one of `peers`."""
    if isinstance(peers, str):
        peers = [peers]
    if "*" in peers:
        return lambda environ: True
    has_unix = "unix" in peers
    networks = _networks([peer for peer in peers if peer != "unix"])
    if not networks:
        return lambda environ: has_unix and not environ.get("REMOTE_ADDR")
    # Here, because most have no networks, and a worker without the library is a smaller one.
    from ipaddress import ip_address

    def is_trusted(environ: Environ) -> bool:
        text = environ.get("REMOTE_ADDR")
        if not text:
            return has_unix
        try:
            address = ip_address(text)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in networks)

    return is_trusted


def _networks(peers: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    if not peers:
        return []
    from ipaddress import ip_network

    try:
        return [ip_network(peer) for peer in peers]
    except ValueError as error:
        raise ValueError(f"trusted: expected addresses, networks, unix or *: {error}") from None
