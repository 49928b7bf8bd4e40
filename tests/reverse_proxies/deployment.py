"""A pairing at work: portico with an application, and the reverse proxy before it, in one temporary
folder."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.raw_client import Connection, Response
from support.server import Server
from support.waiting import wait_until

from reverse_proxies.addresses import Addresses
from reverse_proxies.journal import Journal
from reverse_proxies.pairings import Pairing
from reverse_proxies.proxy import program, reverse_proxy

APPLICATIONS = {"flask": "apps.proxied_flask:app", "django": "apps.proxied_django:application"}
NAME = "shop.example"


class PairedServer(Server):
    """portico, listening for reverse proxies, with an application that keeps a journal."""

    def __init__(
        self,
        application: str,
        binds: Mapping[str, tuple[str, int] | str],
        journal: Path,
        options: Sequence[str] = (),
    ) -> None:
        """`binds` are the words for `-b`, each with the address to connect to."""
        first, *others = binds
        more = [word for bind in others for word in ("-b", bind)]
        environment = {"JOURNAL_FOLDER": str(journal)}
        super().__init__(
            application,
            threads=4,
            workers=2,
            bind=first,
            options=[*options, *more],
            environment=environment,
        )
        self.address = binds[first]
        self._first_pids: list[int] = []

    def start(self) -> None:
        """Start, and wait until the application is loaded."""
        super().start()
        self.error_log.wait_for(r"ready in ")
        self._first_pids = self.worker_pids

    def wait_ready(self) -> None:
        """Wait until all workers are there and have loaded the application, those in place of others too."""
        wait_until(self._are_all_ready, what="all workers to be ready")

    def _are_all_ready(self) -> bool:
        pids, log = self.worker_pids, self.error_log.text()
        return len(pids) == self.workers and all(
            pid in self._first_pids or f"worker {pid} is ready" in log for pid in pids
        )


class RunningDeployment:
    """A running pairing: a reverse proxy, portico behind it, and an application that keeps a journal."""

    def __init__(
        self, pairing: Pairing, application: str, addresses: Addresses, portico: PairedServer
    ) -> None:
        self.pairing = pairing
        self.application = application
        self.portico = portico
        self.journal = Journal(addresses.folder)
        self._addresses = addresses

    @property
    def address(self) -> tuple[str, int]:
        """Where the reverse proxy listens."""
        return ("127.0.0.1", self._addresses.port)

    @property
    def socket_path(self) -> str | None:
        """portico's Unix socket, if the pairing has one."""
        address = self._addresses.portico(self.pairing)
        return address if isinstance(address, str) else None

    @property
    def portico_port(self) -> int:
        """portico's TCP port, if the pairing has one."""
        return self._addresses.portico_port

    def connect(self, *, tls: bool = False, source: str | None = None, timeout_s: float = 20.0) -> Connection:
        """A new connection to the reverse proxy, from `source` (127.0.0.1)."""
        port = self._addresses.tls_port if tls else self._addresses.port
        connection = Connection(("127.0.0.1", port), timeout_s=timeout_s, source=source)
        if tls:
            trusting = ssl.create_default_context(cafile=str(self._addresses.certificate))
            connection.socket = trusting.wrap_socket(connection.socket, server_hostname=NAME)
        return connection

    def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[str] = (),
        body: bytes | None = None,
        tls: bool = False,
        source: str | None = None,
    ) -> Response:
        """One request to shop.example on a connection of its own."""
        with self.connect(tls=tls, source=source) as connection:
            return ask(connection, target, method=method, headers=headers, body=body)


def ask(
    connection: Connection,
    target: str,
    *,
    method: str = "GET",
    headers: Sequence[str] = (),
    body: bytes | None = None,
) -> Response:
    """One request to shop.example."""
    named = [f"Host: {NAME}", *headers]
    return connection.request(target, method=method, headers=named, body=body, host=False)


@contextmanager
def running_deployment(pairing: Pairing, application: str, certificate: Path) -> Iterator[RunningDeployment]:
    """Start portico and the reverse proxy; end both on leaving."""
    program(pairing.program)
    with temporary_folder() as folder:
        addresses = Addresses(folder, certificate)
        binds = {addresses.bind(pairing): addresses.portico(pairing)}
        portico = PairedServer(APPLICATIONS[application], binds, folder, pairing.options)
        proxy = reverse_proxy(pairing, addresses)
        with portico, proxy:
            yield RunningDeployment(pairing, application, addresses, portico)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that reverse proxies of another user may look into."""
    folder = Path(tempfile.mkdtemp(prefix="portico-proxy-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
