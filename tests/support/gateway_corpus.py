"""tests/corpus/{uwsgi,scgi,fastcgi,proxy} as tests over sockets need it: the bytes, and what they come to.

The expectations are those of crates/wire/tests; here they become the environ that an application has to see,
by the rules of PEP 3333 and RFC 3875, independently of the server.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus"
_REJECTED = re.compile(r"rejected: (?P<reason>.*?)(?: \((?P<status>\d{3})\))?")


@dataclass
class Request:
    """A request that the application has to be shown."""

    id: int = 1
    keep_connection: bool = False
    parts: dict[str, str] = field(default_factory=dict)
    """`request` (the method), `target`, `path` and so on, as far as they are not empty."""
    headers: list[tuple[str, str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def environ(self, address: tuple[str, int], peer: tuple[str, int]) -> dict[str, str]:
        """All texts in environ, but for the server's own; `peer` is where the reverse proxy comes from."""
        client = self.parts.get("client", "{} {}".format(*peer)).split(" ")
        name, _, port = self.parts.get("server", "{}:{}".format(*address)).rpartition(":")
        texts = {
            **self.variables,
            "REQUEST_METHOD": self.parts["request"],
            "REQUEST_URI": self.parts.get("target", ""),
            "RAW_URI": self.parts.get("target", ""),
            "SCRIPT_NAME": self.parts.get("script_name", ""),
            "PATH_INFO": self.parts.get("path", ""),
            "QUERY_STRING": self.parts.get("query", ""),
            "SERVER_PROTOCOL": self.parts.get("protocol", "HTTP/1.1"),
            "REMOTE_ADDR": "" if client[0] == "unknown" else client[0],
            "SERVER_NAME": name or port,
            "SERVER_PORT": port if name else str(address[1]),
            "GATEWAY_INTERFACE": "CGI/1.1",
            "wsgi.url_scheme": self.parts.get("scheme", "http"),
        }
        if client[1] != "0":
            texts["REMOTE_PORT"] = client[1]
        if "type" in self.parts:
            texts["CONTENT_TYPE"] = self.parts["type"]
        length = self.parts.get("length", str(len(self.body)) if self.body else "")
        if length:
            texts["CONTENT_LENGTH"] = str(int(length))
        if self.parts.get("scheme") == "https":
            texts["HTTPS"] = "on"
        for key, value in self.headers:
            separator = "; " if key == "HTTP_COOKIE" else ", "
            texts[key] = f"{texts[key]}{separator}{value}" if key in texts else value
        return texts


@dataclass
class Case:
    """One file, with what has to become of it."""

    protocol: str
    name: str
    data: bytes
    requests: list[Request] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    is_ping: bool = False
    is_incomplete: bool = False
    is_aborted: bool = False
    """The reverse proxy has given its last request up."""
    leftover: bytes = b""
    endpoints: str = ""
    """Of a PROXY header: the line that names them."""
    details: dict[str, str] = field(default_factory=dict)
    """What it tells beside them."""
    reason: str = ""
    """Why it is rejected."""
    status: int = 0


def cases(protocol: str, folder: str) -> list[Case]:
    """All files in a folder of a protocol's corpus."""
    return [_read(path) for path in sorted((CORPUS / protocol / folder).glob("*.bin"))]


def _read(path: Path) -> Case:
    case = Case(path.parent.parent.name, path.stem, path.read_bytes())
    for escaped in path.with_suffix(".expect").read_text().splitlines():
        line = _unescape(escaped)
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "begin":
            id, _, keep = value.partition(" ")
            case.requests.append(Request(int(id), keep == "keep"))
        elif key == "request":
            if path.parent.parent.name != "fastcgi":
                case.requests.append(Request())
            case.requests[-1].parts[key] = value
        elif key in {"header", "variable"}:
            name, _, value = value.partition(": ")
            if key == "header":
                case.requests[-1].headers.append((name, value))
            else:
                case.requests[-1].variables[name] = value
        elif key == "body":
            case.requests[-1].body = _bytes(value).decode("latin-1")
        elif key == "leftover":
            case.leftover = _bytes(value)
        elif key == "reply":
            case.replies.append(_bytes(value))
        elif key == "ping":
            case.is_ping = True
        elif key in {"incomplete", "incomplete body", "abort"}:
            case.is_incomplete = True
            case.is_aborted |= key == "abort"
        elif key == "rejected":
            match = _REJECTED.fullmatch(line)
            assert match, line
            case.reason, case.status = match["reason"], int(match["status"] or 501)
        elif key in {"ip", "unix", "local", "unknown"}:
            case.endpoints = line
        elif case.protocol == "proxy" and key != "rule":
            case.details[key] = value
        elif key != "rule":
            case.requests[-1].parts[key] = value
    return case


def _unescape(text: str) -> str:
    """What Rust's `escape_default` of the text was; its `\\u{e9}` is Python's `\\xe9`."""
    text = re.sub(r"\\u\{([0-9a-f]+)\}", lambda match: f"\\x{int(match[1], 16):02x}", text)
    return _bytes(text).decode("latin-1")


def _bytes(escaped: str) -> bytes:
    """What Rust's `escape_ascii` of the bytes was."""
    value = ast.literal_eval(f"b'''{escaped}'''" if not escaped.endswith("'") else f"b'{escaped}'")
    assert isinstance(value, bytes)
    return value
