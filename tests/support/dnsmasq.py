"""A dnsmasq on loopback, which has the records that a test gives it and asks nobody else."""

from __future__ import annotations

import getpass
import signal
import subprocess
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from support.reverse_proxies import find_program
from support.server import free_port
from support.waiting import wait_until

_CONFIGURATION = """
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
addn-hosts={folder}/hosts
local=/test/
local-ttl={ttl_s}
pid-file
user={user}
"""


class Dnsmasq:
    """A dnsmasq of its own `folder`; `url` is what `resolver` says.

    `srv` are lines of its configuration, which it reads at a start: names, targets, ports, priorities and
    weights. `hosts` are the addresses of names, in a file that it reads again at HUP.
    """

    def __init__(self, folder: Path, *, ttl_s: int = 1) -> None:
        self._program = find_program("dnsmasq", what="upstreams whose names a dnsmasq has")
        self._folder = folder
        self._port = free_port()
        self._ttl_s = ttl_s
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"dns://127.0.0.1:{self._port}"

    def start(self, srv: list[str], hosts: dict[str, str], *more: str) -> None:
        """Start it with these records, instead of those that it has had."""
        self.stop()
        values = {"port": self._port, "folder": self._folder, "ttl_s": self._ttl_s, "user": getpass.getuser()}
        lines = [*(f"srv-host={line}" for line in srv), *more, ""]
        file = self._folder / "dnsmasq.conf"
        file.write_text(_CONFIGURATION.format(**values) + "\n".join(lines))
        self._write_hosts(hosts)
        log = self._folder / "dnsmasq.log"
        with log.open("ab") as output:
            words = [self._program, "--keep-in-foreground", "--log-facility=-", "--log-queries"]
            self._process = subprocess.Popen(
                [*words, f"--conf-file={file}"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_until(self._responds, what="dnsmasq to respond")

    def reload(self, hosts: dict[str, str]) -> None:
        """Have these addresses from now on."""
        assert self._process is not None
        self._write_hosts(hosts)
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def log(self) -> str:
        """What it was asked."""
        return (self._folder / "dnsmasq.log").read_text()

    def _write_hosts(self, hosts: dict[str, str]) -> None:
        lines = [f"{address} {name}\n" for name, address in hosts.items()]
        (self._folder / "hosts").write_text("".join(lines))

    def _responds(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            dns.query.udp(dns.message.make_query("up.test.", "A"), "127.0.0.1", 0.2, port=self._port)
        except (dns.exception.DNSException, OSError):
            return False
        return True
