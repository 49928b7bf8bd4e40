"""Which of portico's addresses a reverse proxy uses, and whom portico has to believe or let in for that.

Pure: receives settings, hands on an `Upstream` or raises OperatorError. The reverse proxy is taken to run on
the same machine; nothing here can know of another one, so the generated comments say what changes then.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection
from dataclasses import dataclass

from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.config.setting import Setting
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import OperatorError
from portico.generate.layout import fit_word

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
ALLOW_FROM = {
    "uwsgi": Settings.uwsgi_allow_from,
    "fastcgi": Settings.fastcgi_allow_from,
    "scgi": Settings.scgi_allow_from,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where a reverse proxy finds portico: at a `host` and `port`, or a Unix socket at `path` (absolute).

    `bind` is what the operator wrote. `is_proxy`: each connection has to begin with a PROXY header.
    """

    scheme: str
    host: str
    port: int
    path: str
    is_proxy: bool
    bind: str

    @property
    def is_http(self) -> bool:
        """Whether it speaks HTTP, so that headers tell of the client; else variables do."""
        return self.scheme == "http"

    @property
    def can_be_kept(self) -> bool:
        """Whether a connection may have several requests.

        FastCGI cannot announce that one closes. Over TCP that travels with the last response; over a Unix
        socket the next request may come in between.
        """
        return self.is_http or (self.scheme == "fastcgi" and not self.path)

    @property
    def host_and_port(self) -> str:
        """The TCP address as all reverse proxies write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def peer(self) -> str:
        """As whom portico sees a reverse proxy on the same machine."""
        if self.path:
            return "unix"
        return "127.0.0.1" if self.host == "localhost" or self.host.startswith("127.") else self.host


def choose(
    settings: Settings, *, proxy: str, schemes: Collection[str], sends_proxy: bool = False
) -> Upstream:
    """Return the first listener that a `proxy` can use, which speaks `schemes` and may send a PROXY header.

    Raises OperatorError, with the reason for each listener, if it can use none.
    """
    reasons = []
    for text in settings.bind:
        address = parse_address(text)
        reason = _obstacle(address, schemes=schemes, sends_proxy=sends_proxy)
        if not reason:
            return _upstream(settings, address, text)
        reasons.append(f"{text}: {reason}")
    raise OperatorError(
        f"{proxy} can use none of the addresses ({settings.origins[Settings.bind.attribute]}): "
        + "; ".join(reasons)
    )


def believed(settings: Settings, upstream: Upstream, *, proxy: str) -> str:
    """Return paragraphs for the operator: which settings let portico believe the `proxy`, or have to."""
    rows: list[tuple[Setting[tuple[str, ...]], str]] = []
    if upstream.is_proxy:
        rows.append((Settings.proxy_allow_from, "the PROXY header of"))
    if not upstream.is_http:
        rows.append((ALLOW_FROM[upstream.scheme], "what is said of the client by"))
    elif not upstream.is_proxy:
        rows.append((Settings.forwarded_allow_ips, "the X-Forwarded-* headers of"))
    return "\n".join(_believed(settings, row, upstream.peer, f"{what} {proxy}", proxy) for row, what in rows)


def _believed(settings: Settings, row: Setting[tuple[str, ...]], peer: str, what: str, proxy: str) -> str:
    entries: tuple[str, ...] = settings.values[row.attribute]
    option = row.flags[-1]
    elsewhere = (
        f"If {proxy} runs on another machine, portico has to be started with {option} and its address."
    )
    if covers(entries, peer):
        return f"portico believes {what}, because {row.name} is {' '.join(entries)}. {elsewhere}"
    needed = [entry for entry in (*entries, peer) if entry != "none"]
    options = " ".join(f"{option} {entry}" for entry in needed)
    return (
        f"ATTENTION: portico would not believe {what}, because {row.name} is {' '.join(entries)}. Start it "
        f"with {options}. {elsewhere}"
    )


def _obstacle(address: Address, *, schemes: Collection[str], sends_proxy: bool) -> str:
    if address.scheme not in schemes:
        return f"it does not speak {address.scheme}"
    if address.proxy and not sends_proxy:
        return "it sends no PROXY header there"
    if address.is_inherited:
        return "that does not say where the socket listens; name the address that the .socket unit has"
    if address.is_abstract:
        return "it cannot connect to abstract Unix sockets"
    if not address.path and not address.port:
        return "port 0 is another one at each start"
    return ""


def _upstream(settings: Settings, address: Address, text: str) -> Upstream:
    origin = settings.origins[Settings.bind.attribute]
    path = os.path.normpath(os.path.join(working_directory(settings), address.path)) if address.path else ""
    fit_word(path, origin=origin)
    return Upstream(
        scheme=address.scheme,
        host=_EVERY_ADDRESS.get(address.host, address.host),
        port=address.port,
        path=path,
        is_proxy=address.proxy,
        bind=text,
    )


def covers(entries: Collection[str], peer: str) -> bool:
    """Say whether `entries` of a list of peers have `peer`; a host name is nothing that they could have."""
    if "*" in entries or peer in entries:
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    networks = [ipaddress.ip_network(entry) for entry in entries if entry not in ("unix", "none")]
    return any(address in network for network in networks)
