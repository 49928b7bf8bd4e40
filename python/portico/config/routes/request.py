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

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Request:
    """A method, a host (empty if there is none), a path, decoded once, and a query with its question mark."""

    __slots__ = ("host", "method", "path", "query")

    def __init__(self, method: str, host: str, path: str, query: str = "") -> None:
        self.method = method
        self.host = host
        self.path = path
        self.query = query


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
    return Request(method, host, decoded_path(path or "/"), mark + query)


def decoded_path(path: str) -> str:
    """Return `path` as it is compared: decoded once, but an encoded slash separates nothing."""
    parts = path.replace("%2f", "%2F").split("%2F")
    return ENCODED_SLASH.join(urllib.parse.unquote(part, errors="surrogateescape") for part in parts)


def _host(rest: str, url: str) -> str:
    """Return the host of a URL as a browser sends it: in ASCII, perhaps with a port."""
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    host, colon, port = authority.partition(":") if not authority.startswith("[") else (authority, "", "")
    if authority.startswith("["):
        host, bracket, port = authority.partition("]")
        host, colon, port = host + bracket, port[:1], port[1:]
    name = read_name(host)
    if not name or (port and not (port.isascii() and port.isdigit())):
        raise _unfit(url)
    return f"{name}{colon}{port}"


def _unfit(url: str) -> OperatorError:
    expected = "a URL such as https://shop.example.com/a/b, or a path that begins with /"
    return OperatorError(f"expected {expected}, got {quoted(url)}")
