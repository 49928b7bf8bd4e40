"""Heads on their way through a proxy: what an upstream is sent, and what of its response the client gets.

Receives environ, or the response of an upstream; hands on targets and lists of headers. Hop-by-hop headers
belong to one connection and go no further (RFC 9110 7.6.1); who the client is, is told in X-Forwarded-*.
"""

from __future__ import annotations

import http.client
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from urllib.parse import quote

from portico.middleware.fields import CONTROL, NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portico.types import Environ

    Headers = list[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "trailers", "transfer-encoding", "upgrade"),
    }
)
_SAID_ANEW = frozenset(
    {
        *("host", "content-length", "content-type"),
        # The server has seen to it already, and nobody waits for it here.
        "expect",
        # One of them that the client has forged would contradict those which are set here.
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"),
        "x-forwarded-proto",
    }
)
_SAFE_IN_PATH = "!$&'()*+,/:;=@~"
"""What may stand in a path beside letters, digits and `-._` (RFC 3986 3.3)."""
_SAFE_IN_QUERY = "".join(map(chr, range(0x21, 0x7F)))


def target(path: str, query: str) -> str:
    """Return the target of a request line for a decoded `path` (PATH_INFO) and a raw `query`."""
    text = quote(path.encode("latin-1"), safe=_SAFE_IN_PATH) or "/"
    return f"{text}?{quote(query.encode('latin-1'), safe=_SAFE_IN_QUERY)}" if query else text


def client_host(environ: Environ) -> str:
    """Return the Host that the client has sent; HTTP/1.0 needs none."""
    return str(environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}")


def request_headers(environ: Environ, *, host: str, own: Mapping[str, str], prefix: str) -> Headers:
    """Return the headers of a request to an upstream, but for those of its body.

    `own` are headers of the configuration, which win; `prefix` is what was taken off the path.
    """
    left_out = _HOP_BY_HOP | _SAID_ANEW | _named(environ.get("HTTP_CONNECTION", ""))
    headers = [
        (name, value)
        for key, value in environ.items()
        if key.startswith("HTTP_") and (name := _name(key)).lower() not in left_out
    ]
    if content_type := environ.get("CONTENT_TYPE"):
        headers.append(("Content-Type", content_type))
    set_here = [("Host", host), *_forwarded(environ, prefix)]
    configured = {name.lower() for name in own}
    return [
        *(pair for pair in (*set_here, *headers) if pair[0].lower() not in configured),
        *own.items(),
    ]


def _name(key: str) -> str:
    return key[len("HTTP_") :].replace("_", "-").title()


def _named(connection: str) -> set[str]:
    """Return the names that a Connection header lists: they are hop-by-hop, too."""
    return {name.strip().lower() for name in connection.split(",")}


def _forwarded(environ: Environ, prefix: str) -> Headers:
    """Return who the client is, as this server believes. A chain of addresses is continued."""
    addresses = [environ.get("HTTP_X_FORWARDED_FOR", ""), environ.get("REMOTE_ADDR", "")]
    prefix = (environ.get("SCRIPT_NAME", "") + prefix).rstrip("/")
    pairs = [
        ("X-Forwarded-For", ", ".join(filter(None, addresses))),
        ("X-Forwarded-Proto", environ["wsgi.url_scheme"]),
        ("X-Forwarded-Host", client_host(environ)),
        ("X-Forwarded-Prefix", prefix),
    ]
    return [(name, value) for name, value in pairs if value]


def response_headers(response: http.client.HTTPResponse) -> Headers:
    """Return the headers of `response` for the client.

    Raises ValueError if they cannot be read, or if it is not certain where the body ends (RFC 9112 6.3): the
    client must not get another one than the upstream meant.
    """
    unreadable = (MissingHeaderBodySeparatorDefect, FirstHeaderLineIsContinuationDefect)
    if any(isinstance(defect, unreadable) for defect in response.headers.defects):
        raise ValueError("a header line that is none")
    headers = [(name, _unfolded(value)) for name, value in response.getheaders()]
    for name, value in headers:
        # RFC 9110 5.5: to be rejected, or replaced before it is passed on.
        if not NAME.fullmatch(name) or CONTROL.search(value):
            raise ValueError(f"a header that is none: {name!r}: {value!r:.80}")
    coding = _values("transfer-encoding", headers)
    if coding not in ([], ["chunked"]):
        raise ValueError(f"the transfer coding {', '.join(coding)}")
    lengths = set(_values("content-length", headers))
    if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
        raise ValueError(f"the length {', '.join(sorted(lengths))}")
    connection = ",".join(_values("connection", headers))
    # It is said once, and by chunks alone where there are chunks.
    left_out = _HOP_BY_HOP | _named(connection) | {"content-length"}
    kept = [(name, value) for name, value in headers if name.lower() not in left_out]
    return kept if coding or not lengths else [*kept, ("Content-Length", lengths.pop())]


def _unfolded(value: str) -> str:
    """Join a value of several lines by spaces (RFC 9112 5.2)."""
    return " ".join(line.strip(" \t") for line in value.replace("\r", "\n").split("\n") if line)


def _values(name: str, headers: Iterable[tuple[str, str]]) -> list[str]:
    return [
        part.strip().lower() for known, value in headers if known.lower() == name for part in value.split(",")
    ]


def status_line(response: http.client.HTTPResponse) -> str:
    """Return status and reason as `start_response` takes them, with a reason also where there was none.

    Raises ValueError for a reason that may not be.
    """
    reason = response.reason.strip() or http.client.responses.get(response.status, "Unknown")
    if CONTROL.search(reason):
        raise ValueError(f"the reason {reason!r:.80}")
    return f"{response.status} {reason}"
