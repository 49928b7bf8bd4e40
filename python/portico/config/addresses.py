"""What `--bind` accepts: `HOST:PORT`, `[v6]:PORT`, `:PORT`, `unix:PATH` and `unix:PATH?mode=660`.

Text in, an address out; nothing is resolved or opened here (process/sockets.py does). Runs in the process
of the command line only.
"""

from __future__ import annotations


class Address:
    """Where to listen: a host and port, or else the path of a Unix socket with the mode it gets."""

    __slots__ = ("host", "mode", "path", "port")

    def __init__(self, *, host: str = "", port: int = 0, path: str = "", mode: int | None = None) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.mode = mode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        """The text that `parse_address` reads back."""
        if self.path:
            return f"unix:{self.path}" + ("" if self.mode is None else f"?mode={self.mode:o}")
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address in `text`; raises ValueError when it is none. `:PORT` is all of IPv4."""
    if text.startswith("unix:"):
        path, _, query = text.removeprefix("unix:").partition("?")
        if not path:
            raise ValueError
        return Address(path=path, mode=_parse_mode(query) if query else None)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError
    elif ":" in host or any(character in host for character in "[]/? "):
        raise ValueError
    return Address(host=host or "0.0.0.0", port=parse_port(port))


def parse_port(text: str) -> int:
    """Return the port in `text`, 0 (any free one) to 65535; raises ValueError when it is none."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    port = int(text)
    if port > 65535:
        raise ValueError
    return port


def _parse_mode(query: str) -> int:
    name, _, digits = query.partition("=")
    if name != "mode":
        raise ValueError
    mode = int(digits, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError
    return mode
