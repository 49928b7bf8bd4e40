"""What is wrong with an environ, a response head, a response: the rules that `portico.middleware.lint` warns
by.

Each function receives what a server or an application has handed over, and yields a category and a sentence
for each rule that it breaks. Nothing is changed and nothing raised, whatever is handed over.
"""

from __future__ import annotations

import re
from wsgiref.util import is_hop_by_hop

from portico.middleware.fields import CONTROL, NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, TypeAlias

    Fault: TypeAlias = "tuple[type[Warning], str]"


class WSGIWarning(Warning):
    """Something that PEP 3333 forbids, or that does not work everywhere."""


class HTTPWarning(Warning):
    """Something that HTTP forbids, or that clients may not understand."""


# PEP 3333 "environ Variables". QUERY_STRING, SCRIPT_NAME and PATH_INFO may be absent where they are empty.
_REQUIRED = (
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.version",
    "wsgi.url_scheme",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
)

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]|//[^/?#]")  # RFC 3986 4.2, 4.3

# Of a representation, which a 304 does not have (RFC 9110 15.4.5). Content-Location and Expires may be sent.
_OF_REPRESENTATIONS = (
    "allow",
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-range",
    "content-type",
    "last-modified",
)


def environ_faults(environ: Any) -> Iterator[Fault]:
    """What a server has done wrong in an environ (PEP 3333 "environ Variables")."""
    if type(environ) is not dict:
        yield WSGIWarning, f"The environ is not a dict, but {_kind(environ)}."
    for key in _REQUIRED:
        if key not in environ:
            yield WSGIWarning, f"The environ has no {key!r}, which is required."
    for key, value in environ.items():
        if "." not in key and type(value) is not str:
            yield WSGIWarning, f"{key!r} in the environ has to be a str, but is {_kind(value)}."
    if environ.get("wsgi.version", (1, 0)) != (1, 0):
        yield WSGIWarning, "Environ is not a WSGI 1.0 environ."
    for key in ("SCRIPT_NAME", "PATH_INFO"):
        if environ.get(key) and not str(environ[key]).startswith("/"):
            yield WSGIWarning, f"{key!r} does not start with a slash: {environ[key]!r}"
    if environ.get("SCRIPT_NAME") == "/":
        yield WSGIWarning, "'SCRIPT_NAME' of the root is empty, not '/', which 'PATH_INFO' begins with."
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if f"HTTP_{key}" in environ:
            yield WSGIWarning, f"'HTTP_{key}' is in the environ; the name of it is {key!r}."
    length = str(environ.get("CONTENT_LENGTH", ""))
    if length and not _is_number(length):
        yield WSGIWarning, f"'CONTENT_LENGTH' is not a number: {length!r}"


def head_faults(status: Any, headers: Any, exc_info: Any) -> Iterator[Fault]:
    """What an application has done wrong in a call of `start_response` (PEP 3333 of that title)."""
    yield from _status_faults(status)
    if type(headers) is not list:
        yield WSGIWarning, f"Header list is not a list, but {_kind(headers)}."
    for item in headers if isinstance(headers, list | tuple) else ():  # an iterator would be used up
        yield from _header_faults(item)
    if exc_info is not None and not isinstance(exc_info, tuple):
        yield WSGIWarning, f"exc_info is not a tuple as of sys.exc_info(), but {_kind(exc_info)}."


def _status_faults(status: Any) -> Iterator[Fault]:
    if type(status) is not str:
        yield WSGIWarning, f"The status has to be a str, but is {_kind(status)}."
        return
    code = status.partition(" ")[0]
    if len(code) != 3 or not _is_number(code):
        yield WSGIWarning, f"The code of status {status!r} does not have three digits."
    if status[3:4] != " " or CONTROL.search(status):
        yield WSGIWarning, f"Status {status!r} is not three digits, a space and a phrase."
    if _is_number(code) and int(code) < 100:
        yield WSGIWarning, f"Status {status!r} has a code below 100."


def _header_faults(item: Any) -> Iterator[Fault]:
    if type(item) is not tuple or len(item) != 2:
        yield WSGIWarning, f"Header items must be 2-item tuples, not {item!r}."
        return
    name, value = item
    if type(name) is not str or type(value) is not str:
        yield WSGIWarning, f"Header names and values have to be strings: {item!r}"
        return
    if name.lower() == "status":
        yield WSGIWarning, "The status header is not supported: it is CGI's, and WSGI has an argument for it."
    if not NAME.fullmatch(name):
        yield WSGIWarning, f"{name!r} is not the name of a header."
    if is_hop_by_hop(name):
        yield WSGIWarning, f"Header {name!r} is about the connection, which is the server's."
    if CONTROL.search(value):
        yield WSGIWarning, f"Header {name!r} has control characters in its value: {value!r}"
    if any(character > "\xff" for character in value):
        yield WSGIWarning, f"Header {name!r} has characters in its value that are not Latin-1: {value!r}"


def header_faults(headers: Mapping[str, str]) -> Iterator[Fault]:
    """What HTTP has against the values of some headers (`readable`)."""
    tag = headers.get("etag")
    if tag is not None:
        if tag.startswith("w/"):
            yield HTTPWarning, f"The mark of a weak ETag is an upper case W: {tag}"
        opaque = tag[2:] if tag.startswith(("W/", "w/")) else tag
        if len(opaque) < 2 or not opaque[0] == opaque[-1] == '"':
            yield HTTPWarning, f"An ETag has to stand in double quotes: {tag}"
    location = headers.get("location")
    if location is not None and not _ABSOLUTE.match(location):
        yield (
            HTTPWarning,
            f"Absolute URLs required for location header, where old clients read it: {location}",
        )
    length = headers.get("content-length")
    if length is not None and not _is_number(length):
        yield HTTPWarning, f"The Content-Length is not a number: {length!r}"


def response_faults(
    method: str, code: int, headers: Mapping[str, str], sent_bytes: int, is_whole: bool
) -> Iterator[Fault]:
    """What is wrong with a response that has ended.

    `is_whole`: the application has given all of it; otherwise the client may have left in between. A response
    to HEAD has the Content-Length of one that has a body (RFC 9110 9.3.2).
    """
    text = headers.get("content-length", "")
    length = int(text) if _is_number(text) else None
    if code == 304:
        for name in _OF_REPRESENTATIONS:
            if name in headers:
                yield HTTPWarning, f"Header {name!r} in a 304 response, which has no representation."
    elif (code < 200 or code == 204) and length:
        yield HTTPWarning, f"A {code} response has no body, but a Content-Length of {length}."
    if code < 200 or code in (204, 304):
        if sent_bytes:
            yield HTTPWarning, f"A {code} response must not have a body, but {sent_bytes} bytes were sent."
    elif (
        length is not None
        and method != "HEAD"
        and (sent_bytes > length or (is_whole and sent_bytes < length))
    ):
        yield WSGIWarning, f"The Content-Length is {length}, but {sent_bytes} bytes were sent."


def code_of(status: Any) -> int:
    """The code of a status, 200 where there is none to be seen."""
    code = status[:3] if isinstance(status, str) else ""
    return int(code) if _is_number(code) else 200


def readable(headers: Any) -> dict[str, str]:
    """The headers of a list that are pairs of strings, by their names in lower case, the first of each."""
    found: dict[str, str] = {}
    for item in headers if isinstance(headers, list | tuple) else ():
        if isinstance(item, tuple) and len(item) == 2 and all(type(part) is str for part in item):
            found.setdefault(item[0].lower(), item[1])
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _kind(value: object) -> str:
    """The type of a value, with its article: `an int`."""
    name = "None" if value is None else type(value).__name__
    return name if value is None else f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
