"""The kinds of value that tables of routes have beside those of settings.

Runs in the process of the command line only.
"""

from __future__ import annotations

import ipaddress
import os

from portico.config.addresses import parse_port
from portico.config.kinds import EnvironmentVariable, Kind, MountPath, Text
from portico.config.routes.hosts import read_host, read_name
from portico.config.routes.table import MISDIRECTED
from portico.config.unfit import UnfitError

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""RFC 9110 5.6.2."""
_VARIABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
SCHEMES_WITH_VARIABLES = ("uwsgi", "fastcgi")
"""What begins the address of an upstream that a request is told to by variables."""
SCHEMES_WITH_TLS = ("https", "srv+https")
"""What begins the address of one that TLS is spoken with."""
_PORTS = {"http": 80, "https": 443}
_DNS_PORT = 53


class Host(Kind[str]):
    """A host, or all below a domain, as it is compared."""

    metavar = "HOST"

    def parse(self, text: str) -> str:
        return read_host(text)

    def split(self, text: str) -> list[str]:
        return [part for part in map(str.strip, text.split(",")) if part] or [text]


class ExactPath(Kind[str]):
    """A decoded path that is all of a request's; a slash at its end counts."""

    metavar = "PATH"
    expected = MountPath.expected.replace("/shop", "/robots.txt")

    def parse(self, text: str) -> str:
        path = text.strip()
        MountPath().parse(path)
        if not path or "//" in path:
            raise ValueError
        return path


class HealthPath(Kind[str]):
    """A path as it is asked for, perhaps with a query: in visible ASCII."""

    metavar = "PATH"
    expected = "a path that begins with /, such as /readyz, in visible ASCII (percent-encoded)"

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text.startswith("/") or any(
            not "!" <= character <= "~" or character == "#" for character in text
        ):
            raise ValueError
        return text


class AnyText(Kind[str]):
    """Any text, also none."""

    def parse(self, text: str) -> str:
        text.encode()  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
        return text


class FileName(Text):
    """The name of a file in a folder."""

    def __init__(self) -> None:
        super().__init__("NAME", "the name of a file, without a folder, such as index.html")

    def parse(self, text: str) -> str:
        name = super().parse(text).strip()
        if "/" in name or name.startswith(".") or "\0" in name:
            raise ValueError
        return name


class Status(Kind[int]):
    """One of a few statuses of a response."""

    metavar = "STATUS"
    natives = (int,)

    def __init__(self, *statuses: int) -> None:
        self.statuses = statuses
        self.expected = f"one of {', '.join(map(str, statuses))}"

    def parse(self, text: str) -> int:
        text = text.strip()
        if text not in map(str, self.statuses):
            raise ValueError
        return int(text)


class UnknownHost(Kind[int]):
    """What a host gets that no row names: a status, or 0 for `default`, the rows without a host."""

    metavar = f"{MISDIRECTED}|default"
    natives = (int, str)
    expected = f'{MISDIRECTED} or "default"'

    def parse(self, text: str) -> int:
        text = text.strip().lower()
        if text not in (str(MISDIRECTED), "default"):
            raise ValueError
        return 0 if text == "default" else MISDIRECTED

    def show(self, value: int) -> str:
        return str(value) if value else "default"


class RedirectTarget(Kind[str]):
    """Where a redirect leads: an URL, or a path of the same host; in visible ASCII."""

    metavar = "URL|PATH"
    expected = (
        "a URL such as https://shop.example.com/new, or a path that begins with one /, in visible ASCII "
        "(percent-encoded)"
    )

    def parse(self, text: str) -> str:
        text = text.strip()
        if any(not "!" <= character <= "~" or character in '"<>\\^`{|}' for character in text):
            raise ValueError
        scheme, separator, rest = text.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            _read_authority(_up_to(rest, "/?#"), expected=self.expected)
        elif not text.startswith("/") or text.startswith("//"):
            raise ValueError
        return text


class UpstreamName(Text):
    """What an upstream is called: one word, which is no path."""

    def __init__(self) -> None:
        super().__init__("NAME", "a name of letters, digits, `.`, `_` and `-`, such as search")

    def parse(self, text: str) -> str:
        name = super().parse(text).strip()
        if any(not (character.isalnum() or character in "._-") for character in name):
            raise ValueError
        return name


class UpstreamAddress(Kind[str]):
    """Another server: how to speak with it and where it is; kept as text (it has to pass through an exec)."""

    metavar = "URL"
    schemes = ("http", "https", "uwsgi", "fastcgi")
    services = ("srv+http", "srv+https")
    expected = (
        "http://HOST:PORT, https://HOST:PORT, uwsgi://HOST:PORT, fastcgi://HOST:PORT or unix:PATH "
        "(SCHEME+unix:PATH where it is not HTTP)"
    )

    def parse(self, text: str) -> str:
        text = text.strip()
        prefix, colon, path = text.partition(":")
        scheme, plus, kind = prefix.rpartition("+")
        if colon and kind == "unix" and (scheme in ("", "http", "uwsgi", "fastcgi")):
            return self._unix(scheme if plus else "http", path.removeprefix("//"), text)
        scheme, separator, rest = text.partition("://")
        if not separator:
            raise UnfitError(self._meant(text), text)
        if scheme.lower() in self.services:
            return self._of_service(scheme.lower(), rest)
        if scheme.lower() not in self.schemes:
            raise UnfitError(f"one of the schemes {', '.join(self.schemes)}", scheme)
        return self._tcp(scheme.lower(), rest)

    def _meant(self, text: str) -> str:
        """Return what was expected in the place of `text`, which has no scheme."""
        try:
            return f"a scheme before it, as in {self.parse(('unix:' if '/' in text else 'http://') + text)}"
        except ValueError:
            return self.expected

    def _tcp(self, scheme: str, rest: str) -> str:
        authority = _up_to(rest, "/?#")
        if rest[len(authority) :] not in ("", "/"):
            raise UnfitError("nothing after the port: the path is the request's", rest[len(authority) :])
        host, port = _read_authority(authority, expected=f"HOST:PORT after {scheme}://")
        if port is None and scheme not in _PORTS:
            raise UnfitError(f"a port, as in {scheme}://{host}:9000", authority)
        return f"{scheme}://{host}:{_PORTS[scheme] if port is None else port}"

    def _of_service(self, scheme: str, rest: str) -> str:
        """Return the place of a name whose SRV records say where servers are, RFC 2782."""
        labels = rest.removesuffix("/").removesuffix(".").lower().split(".")
        if not all(_is_label(label) for label in labels) or labels[-1].startswith("_"):
            raise UnfitError(
                f"a name without a port, such as _http._tcp.shop.example.com, after {scheme}://", rest
            )
        return f"{scheme}://{'.'.join(labels)}"

    def _unix(self, scheme: str, path: str, text: str) -> str:
        if path in ("", "@") or "?" in path or "\0" in path:
            raise UnfitError("a path or @NAME after unix:", text)
        return f"unix:{path}" if scheme == "http" else f"{scheme}+unix:{path}"

    def split(self, text: str) -> list[str]:
        # A path may hold a comma.
        return [text] if "unix:" in text else Host().split(text)

    def from_folder(self, value: str, folder: str) -> str:
        prefix, separator, path = value.partition("unix:")
        if not separator or path.startswith("@"):
            return value
        return f"{prefix}unix:{os.path.join(folder, path)}"


class ServerName(Kind[str]):
    """Whom a certificate is of: a name, or an address without brackets; kept as it is compared."""

    metavar = "NAME"
    expected = "a name such as shop.example.com, or an address such as 10.0.0.7"

    def parse(self, text: str) -> str:
        text = text.strip().removesuffix(".")
        found = read_name(text) or read_name(f"[{text}]")
        if not found:
            raise ValueError
        return found.removeprefix("[").removesuffix("]")


class ResolverAddress(Kind[str]):
    """Who is asked for the addresses of names: the system, or the DNS by portico itself."""

    metavar = "WORD|URL"
    words = ("system", "dns")
    expected = "one of system, dns, dns://ADDRESS and dns://ADDRESS:PORT, such as dns://127.0.0.1:8600"

    def parse(self, text: str) -> str:
        word, separator, authority = text.strip().partition("://")
        if not separator:
            if word.lower() not in self.words:
                raise ValueError
            return word.lower()
        host, port = _read_authority(authority.removesuffix("/"), expected=self.expected)
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if word.lower() != "dns":
            raise ValueError
        shown = f"[{address}]" if address.version == 6 else str(address)
        return f"dns://{shown}:{port or _DNS_PORT}"


class Balance(Kind[str]):
    """How one of several upstreams is chosen: by a word, or always the same for one value of a request's."""

    metavar = "WORD"
    words = ("round-robin", "least-requests")
    sources = ("header", "cookie")
    expected = "one of round-robin, least-requests, header:NAME, cookie:NAME"

    def parse(self, text: str) -> str:
        text = text.strip()
        source, _, name = text.partition(":")
        if text.lower() in self.words:
            return text.lower()
        if source.lower() not in self.sources or not is_token(name):
            raise ValueError
        return f"{source.lower()}:{name}"


class Variable(EnvironmentVariable):
    """`NAME=VALUE`, what servers over uwsgi and FastCGI are told beside the request."""

    metavar = "NAME=VALUE"
    expected = (
        "a name of A to Z, 0 to 9 and underscores, and a text without NUL; CONTENT_LENGTH is the server's"
    )

    def parse(self, text: str) -> tuple[str, str]:
        name, value = super().parse(text)
        if not set(name) <= _VARIABLE or name == "CONTENT_LENGTH":
            raise ValueError
        value.encode()  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
        return name, value


class ResponseHeader(Kind["tuple[str, str]"]):
    """`NAME=VALUE`, a header of a response; those that say how it is framed are the server's."""

    metavar = "NAME=VALUE"
    expected = (
        "a header's name and value, in visible ASCII and spaces; what frames a response (Content-Length, "
        "Transfer-Encoding, Connection and the like) is the server's"
    )
    table_natives = (str,)
    framing = (
        *("connection", "content-length", "date", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    )

    def parse(self, text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not is_token(name) or any(not " " <= character <= "~" for character in value):
            raise ValueError
        if name.lower() in self.framing:
            raise ValueError
        return name, value

    def show(self, value: tuple[str, str]) -> str:
        return "=".join(value)


def is_token(text: str) -> bool:
    """Say whether `text` could be a method, or the name of a header."""
    return bool(text) and set(text) <= _TOKEN


def _is_label(text: str) -> bool:
    """Say whether `text` may stand between two dots of a name in the DNS, underscores (RFC 8552) included."""
    letters = text.replace("-", "").replace("_", "")
    return 0 < len(text) <= 63 and letters.isascii() and letters.isalnum()


def _up_to(text: str, characters: str) -> str:
    ends = [index for index, character in enumerate(text) if character in characters]
    return text[: ends[0]] if ends else text


def _read_authority(text: str, *, expected: str) -> tuple[str, int | None]:
    """Return host and port of `text`, None if there is none; raises UnfitError."""
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, digits = text, ""
    found = read_name(host)
    if not found or (colon and host != text and not digits):
        raise UnfitError(expected, text)
    try:
        port = parse_port(digits) if digits else None
    except ValueError:
        port = 0
    if port == 0:
        raise UnfitError("a port from 1 to 65535", digits)
    return found, port
