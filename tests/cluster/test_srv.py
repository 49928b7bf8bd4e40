"""Hosts whose names a real DNS server has, in front of them an HAProxy, both as docs/cluster.md has them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from process.conftest import Portico
from support.counted_load import counted_load
from support.dnsmasq import Dnsmasq
from support.reverse_proxies import ForegroundProgram, find_program
from support.server import free_port
from support.waiting import wait_until

from .haproxies import RuntimeAPI
from .hosts import HELLO, names, wait_for_requests
from .page import adapted

BUSY = "import time\n" + HELLO.replace("    body =", "    time.sleep(0.02)\n    body =")
"""Its threads are in calls nearly always, so that the agent says less than 100%."""
SERVICE = "_shop._tcp.service.test"
ADDRESSES = {"one": "127.0.0.1", "two": "127.0.0.2", "three": "127.0.0.3"}
CLIENTS = 4
DEADLINE_S = 20.0
"""For a name that HAProxy asks for every second and keeps for five, and checks every two."""


class Cluster:
    """A DNS server and the HAProxy that asks it; hosts have one port, and one of their agents."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dns = Dnsmasq(folder)
        self._program: ForegroundProgram | None = None
        self._hosts: list[Portico] = []
        self._host_port, self._agent_port = free_port(), free_port()
        self.port = free_port()
        self.proxy = RuntimeAPI(folder / "admin.sock")

    def start(self) -> None:
        self.has()
        changes = {
            "127.0.0.1:8600": self._dns.url.removeprefix("dns://"),
            "bind :80": f"bind 127.0.0.1:{self.port}",
            "agent-port 9000": f"agent-port {self._agent_port}",
            "_shop._tcp.service.consul": SERVICE,
        }
        file = self._folder / "srv.cfg"
        file.write_text(
            f"global\n    stats socket {self.proxy.path} mode 600 level admin\n" + adapted("srv.cfg", changes)
        )
        words = [find_program("haproxy", what="docs/cluster.md"), "-db", "-f", str(file)]
        log = self._folder / "haproxy.log"
        self._program = ForegroundProgram("haproxy", words, folder=self._folder, log_path=log, port=self.port)
        self._program.__enter__()

    def has(self, *hosts: str) -> None:
        """Let these be the hosts of the service, as far as DNS knows.

        Without a weight, as where there is nothing to choose (RFC 2782: "SHOULD use Weight 0").
        """
        records = [f"{SERVICE},{host}.test,{self._host_port},0,0" for host in hosts]
        self._dns.start(records, {f"{host}.test": ADDRESSES[host] for host in hosts})

    def host(self, name: str) -> Portico:
        """Start a host, with the portico.toml of the page."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        changes = {
            "0.0.0.0:8000": f"{ADDRESSES[name]}:{self._host_port}",
            "0.0.0.0:9000": f"{ADDRESSES[name]}:{self._agent_port}",
        }
        (folder / "portico.toml").write_text(adapted("srv.toml", changes))
        (folder / "hello.py").write_text(BUSY)
        environment = {"HOST_NAME": name}
        self._hosts.append(
            Portico(folder, "", ["-w", "1"], port=self._host_port, reads_file=True, environment=environment)
        )
        self._hosts[-1].wait_ready()
        return self._hosts[-1]

    def wait_for(self, name: str, state: str) -> None:
        """Wait until HAProxy takes the host so."""
        address = f"{ADDRESSES[name]}:{self._host_port}"

        def states() -> list[str]:
            return [state for at, state in self.proxy.servers().values() if at == address]

        wait_until(lambda: states() == [state], what=f"{name} to be {state}", deadline_s=DEADLINE_S)

    def stop(self) -> None:
        for host in self._hosts:
            host.kill()
        if self._program is not None:
            self._program.__exit__(None, None, None)
        self._dns.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_hosts_that_join_and_leave_by_their_records_lose_no_request(cluster: Cluster) -> None:
    one = cluster.host("one")
    cluster.has("one")
    cluster.wait_for("one", "UP")
    with counted_load(cluster.port, clients=CLIENTS) as load:
        wait_for_requests(load, "one")
        two = cluster.host("two")
        cluster.has("one", "two")
        wait_for_requests(load, "two")
        two.signal(signal.SIGTERM)
        cluster.has("one")
        assert two.wait() == 0, two.log()
        wait_for_requests(load, "one")
        cluster.host("three")
        cluster.has("one", "three")
        wait_for_requests(load, "three")
        one.stop()
        cluster.has("three")
        wait_for_requests(load, "three")
    assert load.lost == []
    assert names(load) == {"one", "two", "three"}


def test_a_host_that_is_killed_takes_with_it_only_what_was_in_flight_there(cluster: Cluster) -> None:
    cluster.host("one")
    two = cluster.host("two")
    cluster.has("one", "two")
    cluster.wait_for("one", "UP")
    cluster.wait_for("two", "UP")
    with counted_load(cluster.port, clients=CLIENTS) as load:
        wait_for_requests(load, "two")
        two.kill()
        wait_for_requests(load, "one")
        cluster.wait_for("two", "DOWN")
        cluster.has("one")
        cluster.host("two")
        cluster.has("one", "two")
        wait_for_requests(load, "two")
    assert len(load.lost) <= CLIENTS
