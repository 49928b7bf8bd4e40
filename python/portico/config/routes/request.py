"""A request that `portico routes` is asked about: `GET https://shop.example.com/a/b`.

Receives the words of a command line, hands on host and path as an engine would have them. Runs in the process
of the command line only.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence

from portico.config.routes.hosts import read_name
from portico.config.routes.kinds import is_token
from portico.config.routes.table import ENCODED_SLASH
from portico.errors import OperatorError, quoted

_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Request:
    """A method, a host (empty if there is none), and a target as it is sent: its path, and its query with the
    question mark, unless that is empty. `path` is decoded once.
    """

    __slots__ = ("host", "method", "path", "query", "sent")

    def __init__(self, method: str, host: str, sent: str, query: str) -> None:
        self.method = method
        self.host = host
        self.sent = sent
        self.path = decoded_path(sent)
        self.query = query

    def below(self, mount: str) -> str:
        """Return what of the path is below `mount`, as it is sent."""
        ends = [*(end for end, letter in enumerate(self.sent) if letter == "/"), len(self.sent)]
        return next(self.sent[end:] for end in ends if decoded_path(self.sent[:end]) == mount)


def read_request(words: Sequence[str]) -> Request:
    """Return the request in `words`, `[METHOD] URL`; raises OperatorError if it is none."""
    if len(words) > 2:
        raise OperatorError(f"expected METHOD URL, got {quoted(' '.join(words))}")
    method = words[0] if len(words) == 2 else METHODS[0]
    if not is_token(method):
        raise OperatorError(f"expected a method such as GET, got {quoted(method)}")
    url = words[-1]
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        host = _host(rest, url)
        rest = rest[len(rest.partition("/")[0].partition("?")[0].partition("#")[0]) :]
    elif url.startswith("/"):
        host, rest = "", url
    else:
        raise _unfit(url)
    path, mark, query = rest.partition("#")[0].partition("?")
    return Request(method, host, _sent(path or "/"), _sent(mark + query) if query else "")


def decoded_path(path: str) -> str:
    """Return `path` as it is compared: decoded once, but an encoded slash separates nothing."""
    parts = path.replace("%2f", "%2F").split("%2F")
    return ENCODED_SLASH.join(urllib.parse.unquote(part, errors="surrogateescape") for part in parts)


def _sent(text: str) -> str:
    """Return `text` as clients send it: what cannot stand in a target is encoded, and nothing else."""
    return urllib.parse.quote(text, safe=_VISIBLE, errors="surrogateescape")


def _host(rest: str, url: str) -> str:
    """Return the host of a URL as a browser sends it: in ASCII, perhaps with a port."""
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    host, colon, port = authority.partition(":") if not authority.startswith("[") else (authority, "", "")
    if authority.startswith("["):
        host, bracket, port = authority.partition("]")
        host, colon, port = host + bracket, port[:1], port[1:]
    name = read_name(host)
    if not name or (port and not _is_port(port)):
        raise _unfit(url)
    return f"{name}{colon}{port}"


def _is_port(digits: str) -> bool:
    """Say whether a port can be that, as the engine does."""
    number = digits.lstrip("0")
    return digits.isascii() and digits.isdigit() and len(number) <= 5 and int(number or "0") <= 65535


def _unfit(url: str) -> OperatorError:
    expected = "a URL such as https://shop.example.com/a/b, or a path that begins with /"
    return OperatorError(f"expected {expected}, got {quoted(url)}")
