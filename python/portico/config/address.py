"""An address to listen on: its parts, and how it reads. The text is parsed in `addresses.py`.

Supervised processes have this, and not the parser.
"""

from __future__ import annotations

SCHEMES = ("http", "uwsgi", "fastcgi", "scgi")


class Address:
    """Where to listen: a host and port, the path or abstract name of a Unix socket, or an inherited socket.

    `scheme` is one of SCHEMES. `mode`, `owner` and `group` (a name or a number, or empty) are those of the
    file at `path`. `fd` or `fd_name` is an inherited socket. `proxy`: each connection begins with a header
    of the PROXY protocol. `persistent`: uwsgi connections are kept. `stderr`: `wsgi.errors` goes to the
    FastCGI peer.
    """

    __slots__ = (
        "fd",
        "fd_name",
        "group",
        "host",
        "is_abstract",
        "mode",
        "owner",
        "path",
        "persistent",
        "port",
        "proxy",
        "scheme",
        "stderr",
    )

    def __init__(
        self,
        *,
        scheme: str = "http",
        host: str = "",
        port: int = 0,
        path: str = "",
        is_abstract: bool = False,
        fd: int | None = None,
        fd_name: str = "",
        mode: int | None = None,
        owner: str = "",
        group: str = "",
        proxy: bool = False,
        persistent: bool = False,
        stderr: bool = False,
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.is_abstract = is_abstract
        self.fd = fd
        self.fd_name = fd_name
        self.mode = mode
        self.owner = owner
        self.group = group
        self.proxy = proxy
        self.persistent = persistent
        self.stderr = stderr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        """The text that `parse_address` reads back; HTTP is not named."""
        options = {
            "mode": "" if self.mode is None else f"{self.mode:o}",
            "owner": self.owner,
            "group": self.group,
            **self._spoken(),
        }
        prefix = "" if self.scheme == "http" else self._prefix()
        return prefix + self.place + _query(options)

    @property
    def place(self) -> str:
        """Where it is, whatever is spoken there; of two addresses in the same place one is too many."""
        if self.is_inherited:
            return f"fd://{self.fd_name or self.fd}"
        if self.path:
            if self.is_abstract:
                return f"unix:@{self.path}"
            # `//run/x` is `/run/x`, but behind `unix:` would be read as `unix://` and a relative path.
            return "unix:" + ("/" + self.path.lstrip("/") if self.path.startswith("//") else self.path)
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_inherited(self) -> bool:
        """Whether another process has opened the socket."""
        return self.fd is not None or bool(self.fd_name)

    @property
    def is_file(self) -> bool:
        """Whether the socket has a path in the file system."""
        return bool(self.path) and not self.is_abstract

    def display(self) -> str:
        """Return what a log line shows: a TCP address as a URL, and of the options what a peer notices."""
        prefix = "" if self.scheme == "http" and (self.path or self.is_inherited) else self._prefix()
        text = prefix + self.place + _query(self._spoken())
        # Undecodable bytes of a path (PEP 383) have no UTF-8, in which logs are written.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    def _prefix(self) -> str:
        if self.is_inherited or self.path:
            return f"{self.scheme}+"
        return f"{self.scheme}://"

    def _spoken(self) -> dict[str, str]:
        return {
            "proxy": "required" if self.proxy else "",
            "persistent": "on" if self.persistent else "",
            "stderr": "on" if self.stderr else "",
        }


def _query(options: dict[str, str]) -> str:
    given = "&".join(f"{name}={value}" for name, value in options.items() if value)
    return f"?{given}" if given else ""
