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
    from typing import TypeAlias

    from dns.name import Name

    Found: TypeAlias = dict[tuple[str, int], tuple[int, int]]
    """Addresses and ports, each with its priority and weight."""
    Known: TypeAlias = dict[str, set[str]]
    """Targets, each with its addresses."""

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
    """What a name has: `addresses` as the engine reads them, and for how long; None if nobody said.

    `is_whole`: all that it stands for have some. `lacking` is why nobody could say what some of them have, of
    which there is what they had before.
    """

    __slots__ = ("addresses", "is_whole", "lacking", "valid_s")

    def __init__(
        self, found: Found, valid_s: float | None, *, is_whole: bool = True, lacking: str = ""
    ) -> None:
        self.addresses = ",".join(
            f"{f'[{address}]' if ':' in address else address}:{port} {weight} {priority}"
            for (address, port), (priority, weight) in sorted(found.items())
        )
        self.valid_s = valid_s
        self.is_whole = is_whole
        self.lacking = lacking


def look_up(place: str, resolver: str, known: Known) -> NameAddresses:
    """Look up `place` (`https://NAME:PORT`, `srv+http://NAME`) by `resolver`: `dns` or `dns://ADDRESS:PORT`.

    `known` is what the targets of its SRV records had before, which this changes. Raises LookUpError,
    ValueError or OSError, with a sentence; what a server sends may raise others.
    """
    parts = urlsplit(place)
    name, asked = parts.hostname or "", _resolver(resolver)
    if parts.scheme in _SERVICES:
        return _of_service(name, asked, known)
    port = parts.port or _PORTS[parts.scheme]
    addresses, valid_s = _in_hosts(name), None
    if not addresses:
        addresses, valid_s = _addresses(name, asked, search=True)
    return NameAddresses({(address, port): (0, _USUAL_WEIGHT) for address in addresses}, valid_s)


def _resolver(text: str) -> dns.resolver.Resolver:
    # Anew each time: a network that changes writes another file.
    resolver = dns.resolver.Resolver(configure=text == "dns")
    if text != "dns":
        parts = urlsplit(text)
        resolver.nameservers, resolver.port = [parts.hostname or ""], parts.port or 53
    resolver.timeout, resolver.lifetime = _TIMEOUT_S, _LIFETIME_S
    resolver.use_edns(0, 0, _MOST_PAYLOAD_BYTES)
    return resolver


def _of_service(name: str, asked: dns.resolver.Resolver, known: Known) -> NameAddresses:
    """RFC 2782: a port, a weight and a priority for each target, whose addresses may have come along."""
    reply = asked.resolve(name, "SRV", search=True)
    valid_s = float(reply.chaining_result.minimum_ttl)
    found: Found = {}
    targets: Known = {}
    failure = lacking = ""
    for record in reply:
        if len(record.target.labels) == 1 or not record.port:
            # "A Target of "." means that the service is decidedly not available at this domain."
            continue
        target = record.target.to_text(omit_final_dot=True)
        try:
            addresses, valid_here_s = _along(reply, record.target) or _addresses(record.target, asked)
            valid_s = min(valid_s, valid_here_s)
        except LookUpError as error:
            # The others are there all the same; and so is this one, unless somebody has said that it is not.
            failure, addresses = f"{target}: {error}", set()
            if isinstance(error, (dns.resolver.NoNameservers, dns.exception.Timeout)):
                lacking, addresses = failure, known.get(target, set())
        targets[target] = addresses
        for each in addresses:
            # The weights of those of one priority are compared; 0 is the least, and not nothing.
            _add(found, (each, record.port), record.priority, max(record.weight, 1))
    if not found:
        raise ValueError(failure or f"the SRV records of {name} name no server")
    known.clear()
    known.update(targets)
    return NameAddresses(found, valid_s, is_whole=not failure, lacking=lacking)


def _add(found: Found, place: tuple[str, int], priority: int, weight: int) -> None:
    """Add one more; of those that are the same server the first priority counts, with all of its weights."""
    its_priority, its_weight = found.get(place, (priority, 0))
    if priority <= its_priority:
        found[place] = (priority, weight + (its_weight if priority == its_priority else 0))


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
