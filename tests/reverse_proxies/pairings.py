"""The pairings: a reverse proxy, how it speaks to portico, and what it can do there.

`configurations/NAME.conf` is what the operator writes for the reverse proxy, and what docs/deploy.md shows;
`bind` and `options` are what portico gets. Addresses and paths in both are those of a real installation:
`addresses.py` puts those of the test in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONFIGURATIONS = Path(__file__).parent / "configurations"
TCP = "127.0.0.1:8000"
UNIX = "/run/portico/portico.sock"
GROUP = "www-data"


@dataclass(frozen=True, slots=True)
class Pairing:
    """One reverse proxy and one way to speak to portico; the flags say what the reverse proxy can do
    there."""

    name: str
    bind: str
    options: tuple[str, ...] = ()
    keeps: bool = True
    """Connections to portico serve several requests."""
    retries: bool = True
    """A GET that was in flight in a killed worker goes to another one."""
    notices_abort: bool = True
    """A client that leaves during the call is passed on to portico at once."""
    takes_chunked: bool = True
    """A chunked request body is passed on; else the client gets 411."""
    tells_scheme: bool = True
    tells_start: bool = True
    """portico believes the X-Request-Start of the reverse proxy."""
    buffers_bodies: bool = False
    """portico hears of a request when its body is complete."""
    rejects_large: int = 400
    """The lowest status with which a request is rejected whose headers are too large."""
    passes_abort: bool = True
    """A client can tell an aborted response of unknown length from a complete one."""

    @property
    def program(self) -> str:
        """nginx, apache or haproxy."""
        return self.name.partition("-")[0]

    @property
    def speaks(self) -> str:
        """http, uwsgi, fastcgi or scgi."""
        scheme, separator, _ = self.bind.partition(":")
        known = scheme.removesuffix("+unix")
        return known if separator and known in {"uwsgi", "fastcgi", "scgi"} else "http"

    @property
    def configuration(self) -> str:
        """What the operator writes for the reverse proxy."""
        return (CONFIGURATIONS / f"{self.name}.conf").read_text()

    @property
    def command(self) -> str:
        """What the operator types to start portico."""
        bind = f"'{self.bind}'" if "?" in self.bind else self.bind
        return " ".join(["$ portico run shop.wsgi:application -b", bind, *self.options])

    @property
    def row(self) -> str:
        """What the reverse proxy can do, as a line of the table in docs/deploy.md."""
        return (
            "| "
            + " | ".join(
                (
                    f"[{self.name}](#{self.name})",
                    "kept" if self.keeps else "one for each request",
                    "is retried" if self.retries else "is lost",
                    "is noticed" if self.notices_abort else "is noticed with the response",
                    "is passed on" if self.takes_chunked else "411",
                    "is aborted for the client" if self.passes_abort else "looks complete",
                )
            )
            + " |"
        )

    def __str__(self) -> str:
        return self.name


PAIRINGS = [
    Pairing("nginx-http", TCP, buffers_bodies=True),
    Pairing("nginx-http-unix", f"unix:{UNIX}?mode=660&group={GROUP}"),
    Pairing(
        "nginx-uwsgi",
        f"uwsgi+unix:{UNIX}?mode=660&group={GROUP}",
        keeps=False,
        buffers_bodies=True,
        passes_abort=False,
    ),
    Pairing("nginx-fastcgi", f"fastcgi://{TCP}", buffers_bodies=True, passes_abort=False),
    Pairing("nginx-scgi", f"scgi://{TCP}", keeps=False, buffers_bodies=True, passes_abort=False),
    Pairing("apache-http", TCP, retries=False, notices_abort=False),
    Pairing(
        "apache-uwsgi",
        f"uwsgi+unix:{UNIX}?mode=660&group={GROUP}",
        keeps=False,
        notices_abort=False,
        takes_chunked=False,
        rejects_large=500,
        passes_abort=False,
    ),
    Pairing(
        "apache-fastcgi",
        f"fastcgi+unix:{UNIX}?mode=660&group={GROUP}",
        keeps=False,
        notices_abort=False,
    ),
    Pairing(
        "apache-scgi",
        f"scgi://{TCP}",
        keeps=False,
        notices_abort=False,
        takes_chunked=False,
        passes_abort=False,
    ),
    Pairing("haproxy-http", TCP),
    Pairing("haproxy-proxy-v2", f"http://{TCP}?proxy=required", tells_start=False),
    Pairing(
        "haproxy-tcp",
        f"http://{TCP}?proxy=required",
        retries=False,
        tells_scheme=False,
        tells_start=False,
    ),
]
