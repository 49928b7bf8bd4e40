"""The hosts of a route: one name, all names below a domain, or an address.

Receives the text of one, hands it on as it is compared: in ASCII and lower case. Runs in the process of the
command line only.
"""

from __future__ import annotations

import re

from portico.config.unfit import UnfitError

FORMS = "a host such as shop.example.com or *.example.com"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST = 253
_DIFFER = "ß\N{GREEK SMALL LETTER FINAL SIGMA}\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Characters of which IDNA 2003, which Python has, and browsers (UTS 46) make different names."""


def read_host(text: str) -> str:
    """Return the host or wildcard in `text`; raises UnfitError, with the form that was meant, if not."""
    host = text.strip()
    if found := _read(host):
        return found
    raise UnfitError(_meant(host), text)


def _read(host: str) -> str:
    if host.startswith("*."):
        domain = _name(host[2:])
        return f"*.{domain}" if domain and not _is_number(domain) else ""
    return read_name(host)


def _meant(host: str) -> str:
    """Return what was expected in the place of `host`, which is none."""
    if host == "*":
        return "no key host where every host is meant"
    if found := _read(_alone(host)):
        return f"a host without scheme, port or path, as in {found}"
    if host.startswith(".") and (domain := _name(host[1:])):
        return f"*.{domain} for all below it, and {domain} beside it for itself"
    if ":" in host and (found := read_name(f"[{host}]")):
        return f"brackets around an IPv6 address, as in {found}"
    if "*" in host:
        return "a wildcard in the place of the first names only, as in *.example.com"
    if not host.isascii():
        return "such a name in ASCII, as browsers send it (xn--...)"
    return FORMS


def read_name(host: str) -> str:
    """Return one host, a name or an address, as it is compared; an empty text if it is none."""
    # Here and not above: few files have hosts.
    import ipaddress

    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1])}]" if "%" not in host else ""
        except ValueError:
            return ""
    return _name(host)


def _name(host: str) -> str:
    """Return a name, or an address of IPv4, as it is compared; an empty text if it is none."""
    host = host.removesuffix(".")
    if not host.isascii():
        host = _in_ascii(host)
    host = host.lower()
    if len(host) > _LONGEST or not all(map(_LABEL.fullmatch, host.split("."))):
        return ""
    if _is_number(host) and not _is_ipv4(host):
        return ""
    return host


def _in_ascii(host: str) -> str:
    if any(character in _DIFFER for character in host):
        return ""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _is_number(host: str) -> bool:
    """Say whether its last part is a number: then all of it is an address (WHATWG URL 3.5)."""
    return host.rpartition(".")[2].isdigit()


def _is_ipv4(host: str) -> bool:
    import ipaddress

    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


def _alone(text: str) -> str:
    """Return `text` without a scheme, a user, a path and a port."""
    authority = re.split(r"[/?#]", text.partition("://")[2] if "://" in text else text)[0]
    host = authority.rpartition("@")[2]
    return re.sub(r":\d*$", "", host)
