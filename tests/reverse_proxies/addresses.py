"""Receives configurations as operators write them; hands on the same with the addresses and paths of a test.

Every replacement is a literal text that a configuration has to hold, so that nothing is left out silently.
"""

from __future__ import annotations

import grp
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from support.server import free_port

from reverse_proxies.pairings import GROUP, TCP, UNIX, Pairing

PROXY_USER = "www-data"
"""Whom the reverse proxy runs as, if the tests run as root."""


@dataclass(frozen=True)
class Addresses:
    """Who listens where: everything in `folder`, and on free ports of 127.0.0.1."""

    folder: Path
    certificate: Path
    portico_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)

    @property
    def socket_path(self) -> str:
        """Where portico listens in pairings with a Unix socket."""
        return str(self.folder / "portico.sock")

    def portico(self, pairing: Pairing) -> tuple[str, int] | str:
        """Where to connect to portico itself."""
        return self.socket_path if UNIX in pairing.bind else ("127.0.0.1", self.portico_port)

    def bind(self, pairing: Pairing) -> str:
        """What portico gets with `-b`."""
        return self._placed(pairing.bind).replace(f"group={GROUP}", f"group={proxy_group()}")

    def configuration(self, pairing: Pairing) -> str:
        """What the reverse proxy gets: beside the port for HTTP it listens on one for HTTPS."""
        text = self._placed(pairing.configuration)
        plain, tls, pem = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.tls_port}", self.certificate
        if pairing.program == "nginx":
            secure = f"listen {tls} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};"
            return replaced(text, "listen 80;", f"listen {plain};\n    {secure}")
        if pairing.program == "haproxy":
            return replaced(text, "bind :80\n", f"bind {plain}\n    bind {tls} ssl crt {pem}\n")
        secure = f"<VirtualHost {tls}>\n    SSLEngine on\n    SSLCertificateFile {pem}"
        return (
            f"Listen {plain}\nListen {tls}\n"
            + replaced(text, "<VirtualHost *:80>", f"<VirtualHost {plain}>")
            + replaced(text, "<VirtualHost *:80>", secure)
        )

    def _placed(self, text: str) -> str:
        assert (TCP in text) != (UNIX in text), f"neither {TCP} nor {UNIX}, or both, in: {text}"
        return text.replace(TCP, f"127.0.0.1:{self.portico_port}").replace(UNIX, self.socket_path)


def replaced(text: str, shown: str, used: str) -> str:
    """`text` with `used` in place of `shown`, which has to be in it exactly once, not as part of a word."""
    found = len(re.findall(re.escape(shown), text))
    assert found == 1, f"{found} x {shown!r} in: {text}"
    return text.replace(shown, used)


def proxy_group() -> str:
    """The group that a Unix socket has to belong to so that the reverse proxy may connect."""
    return PROXY_USER if os.geteuid() == 0 else grp.getgrgid(os.getegid()).gr_name
