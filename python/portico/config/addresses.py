"""What `--bind` accepts: where to listen, what is spoken there, and how.

    [http://]HOST:PORT   SCHEME://HOST:PORT       TCP; `:PORT` is all of IPv4, `[v6]:PORT` is IPv6
    [SCHEME+]unix:PATH   [SCHEME+]unix:@NAME      a Unix socket, as a file or abstract; also `unix://PATH`
    [SCHEME+]fd://N      [SCHEME+]fd://NAME       inherited, by number or by the name that systemd gave
    PORT                 HOST                       completed by the default; HOST is localhost or an address

SCHEME is http (also meant where none is given), uwsgi, fastcgi or scgi. Options follow after `?`, joined by
`&`. Text in, an `Address` out; nothing is resolved or opened here (process/sockets.py does).
"""

from __future__ import annotations

from portico.config.address import SCHEMES, Address
from portico.config.unfit import UnfitError

FORMS = (
    "HOST:PORT, unix:PATH or fd://N, with a scheme (uwsgi://HOST:PORT, scgi+unix:PATH) and options "
    "(unix:PATH?mode=660) if need be"
)
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
FIRST_INHERITED_FD = 3
"""Below are standard input, output and error."""

_MOST_ID = (1 << 32) - 2  # the largest uid_t and gid_t; one more means "as it is" to chown(2)


class AddressError(UnfitError):
    """A text is no address."""


def complete(text: str) -> str:
    """Return `text`; if it is only a port or only the address of a host, with what the default has besides.

    A name that stands alone is left as it is, but for localhost: it may be the path of a socket.
    """
    if _is_digits(text):
        return f"{DEFAULT_HOST}:{text}"
    is_ipv4 = text.count(".") == 3 and _is_digits(text.replace(".", ""))
    is_ipv6 = text.startswith("[") and text.endswith("]") and ":" in text
    return f"{text}:{DEFAULT_PORT}" if is_ipv4 or is_ipv6 or text == "localhost" else text


def parse_address(text: str) -> Address:
    """Return the address in `text`; raises AddressError when it is none."""
    place, question_mark, query = text.partition("?")
    address = _parse_place(place)
    if question_mark:
        _read_options(address, place, query)
    return address


def parse_port(text: str) -> int:
    """Return the port in `text`, 0 (any free one) to 65535; raises ValueError when it is none."""
    if not _is_digits(text) or len(text) > 5 or int(text) > 65535:
        raise ValueError
    return int(text)


def _parse_place(text: str) -> Address:
    prefix, separator, rest = text.partition("://")
    if not separator or any(character in prefix for character in ":/@["):
        prefix, separator, rest = text.partition(":")
    before, plus, kind = prefix.rpartition("+")
    if not separator or (separator == ":" and not plus and prefix != "unix"):
        return _parse_tcp("http", text, expected=FORMS)
    if plus or prefix in ("unix", "fd"):
        scheme = before if plus else "http"
    else:
        scheme, kind = prefix, "tcp"
    if scheme not in SCHEMES:
        raise AddressError(f"one of the schemes {', '.join(SCHEMES)}", scheme)
    if kind == "tcp" and not plus:
        return _parse_tcp(scheme, rest, expected=f"HOST:PORT after {scheme}://")
    if kind == "unix":
        return _parse_unix(scheme, rest, expected=f"a path or @NAME after {prefix}:")
    if kind == "fd" and separator == "://":
        return _parse_inherited(scheme, rest, expected=f"a descriptor from 3 on or a name after {prefix}://")
    raise AddressError(f"{scheme}+unix:PATH or {scheme}+fd://N", prefix)


def _parse_tcp(scheme: str, text: str, *, expected: str) -> Address:
    host, colon, port = text.rpartition(":")
    if text.startswith(("/", "./", "../")) or text.endswith(".sock"):
        prefix = "unix:" if scheme == "http" else f"{scheme}+unix:"
        raise AddressError(f"{prefix} before the path of a Unix socket, as in {prefix}{text}", text)
    if not colon:
        raise AddressError(expected, text)
    if host == "*":
        raise AddressError(f":{port} for all of IPv4, or [::]:{port} for IPv6 as well", text)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise AddressError("an IPv6 address in the brackets", host)
    elif text.startswith("[") and text.endswith("]"):
        raise AddressError(f"a port after the brackets, as in {text}:8000", text)
    elif ":" in host and all(character in "0123456789abcdefABCDEF:." for character in host):
        # `::1` and `1:2:3:4:5:6:7:8` are addresses without a port, `::1:80` is most likely one with it.
        is_whole = host.endswith(":") or ("::" not in host and host.count(":") < 7)
        meant = f"[{text}]:{DEFAULT_PORT}" if is_whole else f"[{host}]:{port}"
        raise AddressError(f"brackets around an IPv6 address, as in {meant}", text)
    elif any(character in host for character in ":[]/@ =\"'\\"):
        raise AddressError(expected, text)
    try:
        return Address(scheme=scheme, host=host or "0.0.0.0", port=parse_port(port))
    except ValueError:
        raise AddressError("a port from 0 to 65535", port) from None


def _parse_unix(scheme: str, text: str, *, expected: str) -> Address:
    is_abstract = text.startswith("@")
    path = text[1:] if is_abstract else text
    if not path:
        raise AddressError(expected, text)
    return Address(scheme=scheme, path=path, is_abstract=is_abstract)


def _parse_inherited(scheme: str, text: str, *, expected: str) -> Address:
    if _is_digits(text):
        fd = int(text) if len(text) <= 9 else -1
        if fd < FIRST_INHERITED_FD:
            raise AddressError(expected, text)
        return Address(scheme=scheme, fd=fd)
    # As FileDescriptorName= in systemd.socket(5), and without a slash: that would be a slip for unix:.
    if not text or any(not "!" <= character <= "~" or character in ":/" for character in text):
        raise AddressError(expected, text)
    return Address(scheme=scheme, fd_name=text)


def _read_options(address: Address, place: str, query: str) -> None:
    """Set the attributes of `address` to what `query` (without its question mark) says."""
    seen: list[str] = []
    for option in query.split("&"):
        name, _, value = option.partition("=")
        if name not in _OPTIONS:
            raise AddressError(f"one of the options {', '.join(_options_of(address))} after ?", option)
        if name in seen:
            raise AddressError(f"the option {name} only once", query)
        seen.append(name)
        if name not in _options_of(address):
            raise AddressError(f"{_WHERE_FITS[name]} for the option {name}", place)
        if name == "mode":
            address.mode = _parse_mode(value)
        elif name in ("owner", "group"):
            setattr(address, name, _parse_id(name, value))
        else:
            word = "required" if name == "proxy" else "on"
            if value != word:
                raise AddressError(f"{name}={word}, or no such option", option)
            setattr(address, name, True)


_OPTIONS = ("mode", "owner", "group", "proxy", "persistent", "stderr")
_WHERE_FITS = {
    "mode": "the path of a Unix socket",
    "owner": "the path of a Unix socket",
    "group": "the path of a Unix socket",
    "persistent": "the scheme uwsgi",
    "stderr": "the scheme fastcgi",
}


def _options_of(address: Address) -> list[str]:
    fits = {
        "proxy": True,
        "persistent": address.scheme == "uwsgi",
        "stderr": address.scheme == "fastcgi",
    }
    return [name for name in _OPTIONS if fits.get(name, address.is_file)]


def _parse_mode(digits: str) -> int:
    if not digits or len(digits) > 4 or digits.strip("01234567") or int(digits, 8) > 0o777:
        raise AddressError("up to three octal digits for mode, such as 660", digits)
    return int(digits, 8)


def _parse_id(name: str, value: str) -> str:
    if not value or (_is_digits(value) and (len(value) > 10 or int(value) > _MOST_ID)):
        raise AddressError(f"a name or a number for {name}", value)
    return value


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
