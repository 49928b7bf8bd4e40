"""What names of upstreams have now, as the DNS says, and for how long that is valid: a call for each look-up.

Needs dnspython, and waits: it runs in the process that resolves, and nowhere else. What is in /etc/hosts is
taken first, as the resolver of the system does.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import dns.exception
import dns.rdatatype
import dns.resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dns.name import Name

_SERVICES = ("srv+http", "srv+https")
_PORTS = {"http": 80, "https": 443}
_HOSTS = "/etc/hosts"
_USUAL_WEIGHT = 1
# What passes through every network in one datagram; more comes over TCP (https://www.dnsflagday.net/2020).
_MOST_PAYLOAD_BYTES = 1232
# For one server, and for all of them.
_TIMEOUT_S, _LIFETIME_S = 2.0, 6.0

LookUpError = dns.exception.DNSException


class NameAddresses:
    """What a name has: `addresses` as the engine reads them, and for how long; None if nobody said."""

    __slots__ = ("addresses", "valid_s")

    def __init__(self, found: set[tuple[str, int, int, int]], valid_s: float | None) -> None:
        """Each of `found` is an address, a port, a weight and a priority."""
        self.addresses = ",".join(
            f"{f'[{address}]' if ':' in address else address}:{port} {weight} {priority}"
            for address, port, weight, priority in sorted(found)
        )
        self.valid_s = valid_s


def look_up(place: str, resolver: str) -> NameAddresses:
    """Look up `place` (`https://NAME:PORT`, `srv+http://NAME`) by `resolver`: `dns` or `dns://ADDRESS:PORT`.

    Raises LookUpError, ValueError or OSError, with a sentence; what a server sends may raise others.
    """
    parts = urlsplit(place)
    name, asked = parts.hostname or "", _resolver(resolver)
    if parts.scheme in _SERVICES:
        return _of_service(name, asked)
    port = parts.port or _PORTS[parts.scheme]
    addresses, valid_s = _in_hosts(name), None
    if not addresses:
        addresses, valid_s = _addresses(name, asked, search=True)
    return NameAddresses({(address, port, _USUAL_WEIGHT, 0) for address in addresses}, valid_s)


def _resolver(text: str) -> dns.resolver.Resolver:
    # Anew each time: a network that changes writes another file.
    resolver = dns.resolver.Resolver(configure=text == "dns")
    if text != "dns":
        parts = urlsplit(text)
        resolver.nameservers, resolver.port = [parts.hostname or ""], parts.port or 53
    resolver.timeout, resolver.lifetime = _TIMEOUT_S, _LIFETIME_S
    resolver.use_edns(0, 0, _MOST_PAYLOAD_BYTES)
    return resolver


def _of_service(name: str, asked: dns.resolver.Resolver) -> NameAddresses:
    """RFC 2782: a port, a weight and a priority for each target, whose addresses may have come along."""
    reply = asked.resolve(name, "SRV", search=True)
    valid_s = float(reply.chaining_result.minimum_ttl)
    found: set[tuple[str, int, int, int]] = set()
    failure: Exception | None = None
    for record in reply:
        if len(record.target.labels) == 1:
            # "A Target of "." means that the service is decidedly not available at this domain."
            continue
        try:
            addresses, valid_here_s = _along(reply, record.target) or _addresses(record.target, asked)
        except LookUpError as error:
            # The others are there all the same.
            failure = error
            continue
        valid_s = min(valid_s, valid_here_s)
        # The weights of those of one priority are compared; 0 is the least, and not nothing.
        found |= {(each, record.port, max(record.weight, 1), record.priority) for each in addresses}
    if not found:
        raise failure or ValueError(f"the SRV records of {name} name no server")
    return NameAddresses(found, valid_s)


def _along(reply: dns.resolver.Answer, target: object) -> tuple[set[str], float] | None:
    """Return the addresses of `target` that have come with `reply`, in its additional section."""
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        for records in reply.response.additional:
            if records.name == target and records.rdtype == kind:
                return {record.address for record in records}, float(records.ttl)
    return None


def _addresses(
    name: Name | str, asked: dns.resolver.Resolver, *, search: bool = False
) -> tuple[set[str], float]:
    """Return the addresses of IPv4, or where there are none those of IPv6: as of the system's resolver."""
    reply = asked.resolve(name, "A", search=search, raise_on_no_answer=False)
    if reply.rrset is None:
        reply = asked.resolve(name, "AAAA", search=search)
    return {record.address for record in reply}, float(reply.chaining_result.minimum_ttl)


def _in_hosts(name: str) -> set[str]:
    found = {address for address, names in _hosts() if name in names}
    # As above.
    return {address for address in found if ":" not in address} or found


def _hosts() -> Iterator[tuple[str, list[str]]]:
    """Yield each address of /etc/hosts with its names (hosts(5))."""
    try:
        with open(_HOSTS, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return
    for line in lines:
        address, *names = line.partition("#")[0].lower().split() or [""]
        try:
            yield str(ipaddress.ip_address(address)), names
        except ValueError:
            continue
