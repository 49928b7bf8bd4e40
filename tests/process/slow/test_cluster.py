"""Hosts of their own behind an HAProxy: one is added, drained, killed, cut off, slow; 20,000 requests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.haproxies import RuntimeAPI
from support.counted_load import CountedLoad, counted_load
from support.namespaces import Machines, in_namespaces, machines
from support.processes import children, is_alive
from support.reverse_proxies import find_program
from support.waiting import wait_until

pytestmark = in_namespaces

LEAST = 20_000
CLIENTS = 6
BETWEEN = 300
"""Requests that are served between two events."""
APPLICATION = """
import os, time

def application(environ, start_response):
    if os.path.exists("slow"):
        time.sleep(0.3)
    body = f'{environ["HOST_NAME"]} {environ["QUERY_STRING"]}'.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

def add_name(environ, start_response):
    environ["HOST_NAME"] = os.environ["HOST_NAME"]
    return application(environ, start_response)
"""
HAPROXY = """
global
    nbthread 1
    log stderr format raw local0 info
    stats socket {folder}/admin.sock mode 600 level admin
    stats socket ipv4@0.0.0.0:9999 level admin

defaults
    log global
    mode http
    timeout connect 500ms
    timeout client 20s
    timeout server 2s
    timeout queue 5s

frontend shop_front
    bind unix@{folder}/shop.sock
    log-format "ended %[capture.req.uri] at %s as %ST %ts"
    default_backend shop

backend shop
    balance roundrobin
    option httpchk GET /livez
    option redispatch 1
    # So that nothing is sent to a host that has gone.
    http-reuse never
"""
TOML = """
[[app]]
app = "shop:add_name"
threads = 4

[processes]
workers = 1

[listening]
bind = "0.0.0.0:8000"

[reverse_proxies]
health_path = "/livez"
forwarded_allow_ips = ["none"]

[logs]
access_log = "off"

[cluster]
agent = "0.0.0.0:9000"
haproxy = "10.77.{number}.1:9999"
backend = "shop"
server = "{name}"
options = "check inter 200 fall 2 rise 1 weight 100"
"""


class Host:
    """One portico on a machine of its own."""

    def __init__(self, folder: Path, place: Machines, number: int, file: str = TOML) -> None:
        self.name = "abcdef"[number]
        self.number = number
        self.folder = folder / self.name
        self.folder.mkdir()
        self._place = place
        (self.folder / "shop.py").write_text(APPLICATION)
        (self.folder / "portico.toml").write_text(file.format(number=number, name=self.name))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "error.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._place.host(self.number), sys.executable, "-m", "portico", "run"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "HOST_NAME": self.name},
            )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(20)

    def kill(self) -> None:
        """End all of it at once; nothing of it is there any more afterwards."""
        if self.process is not None and self.process.poll() is None:
            workers = children(self.process.pid)
            for pid in [self.process.pid, *workers]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            wait_until(lambda: not any(map(is_alive, workers)), what="the end of its workers")

    def log(self) -> str:
        return (self.folder / "error.log").read_text()


@dataclass
class Deployment:
    """HAProxy in the middle, and the hosts around it."""

    api: RuntimeAPI
    hosts: list[Host]
    place: Machines
    folder: Path

    def servers_of(self, targets: list[str]) -> set[str]:
        """The hosts that HAProxy had these requests on in the end.

        Those that were not the first of a connection it gives up in silence, for the client to try again.
        """
        text = (self.folder / "haproxy.log").read_text()
        found = dict(re.findall(r"^ended (\S+) at (\S+) as ", text, re.MULTILINE))
        return {found[target] for target in targets if target in found}


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    program = find_program("haproxy", what="hosts that join HAProxy")
    file = tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.format(folder=tmp_path))
    with ExitStack() as stack:
        place = stack.enter_context(machines(4))
        with (tmp_path / "haproxy.log").open("ab") as log:
            haproxy = subprocess.Popen(
                [*place.middle, program, "-db", "-f", str(file)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        stack.callback(haproxy.wait)
        stack.callback(haproxy.terminate)
        for name in ("shop.sock", "admin.sock"):
            wait_until((tmp_path / name).exists, what="HAProxy to listen")
        hosts = [Host(tmp_path, place, number) for number in range(4)]
        for host in hosts:
            stack.callback(host.kill)
        yield Deployment(RuntimeAPI(tmp_path / "admin.sock"), hosts, place, tmp_path)


def served_by(load: CountedLoad) -> dict[str, int]:
    """How many responses each host has given."""
    counts: dict[str, int] = {}
    for _, body in list(load.responses):
        counts[body[0]] = counts.get(body[0], 0) + 1
    return counts


def test_hosts_come_and_go_and_nothing_is_lost_that_was_not_in_flight_there(deployment: Deployment) -> None:
    a, b, c, d = deployment.hosts
    lost_at: dict[str, list[str]] = {}
    # Which host had gone when, by the number of the next request.
    gone_by: dict[str, tuple[Host, int]] = {}

    def serve(load: CountedLoad, more: int = BETWEEN) -> None:
        enough = len(load.responses) + more
        wait_until(lambda: len(load.responses) >= enough, what=f"{more} responses", deadline_s=60)

    @contextmanager
    def event(load: CountedLoad, what: str) -> Iterator[None]:
        before = len(load.lost)
        yield
        serve(load)
        lost_at[what] = load.lost[before:]

    for host in (a, b, c):
        host.start()
        deployment.api.wait_for(host.name, "UP")
    with counted_load(str(deployment.folder / "shop.sock"), clients=CLIENTS) as load:
        serve(load)
        with event(load, "added"):
            d.start()
            deployment.api.wait_for("d", "UP")
        assert served_by(load)["d"]
        with event(load, "drained"):
            b.signal(signal.SIGTERM)
            assert b.wait() == 0, b.log()
            assert "b" not in deployment.api.servers()
        with event(load, "added again"):
            b.start()
            deployment.api.wait_for("b", "UP")
        with event(load, "reloaded"):
            before = b.log().count("is ready after")
            b.signal(signal.SIGHUP)
            wait_until(lambda: b.log().count("is ready after") > before, what="a new worker")
        with event(load, "killed"):
            c.kill()
            gone_by["killed"] = c, load.asked
            deployment.api.wait_for("c", "DOWN")
        with event(load, "back after it was killed"):
            c.start()
            deployment.api.wait_for("c", "UP")
        with event(load, "cut off"):
            deployment.place.set_link(0, "down")
            gone_by["cut off"] = a, load.asked
            deployment.api.wait_for("a", "DOWN")
        with event(load, "back after it was cut off"):
            deployment.place.set_link(0, "up")
            deployment.api.wait_for("a", "UP")
        with event(load, "slow"):
            (d.folder / "slow").touch()
            wait_until(lambda: deployment.api.weight("d") < 60, what="a lower weight", deadline_s=30)
        (d.folder / "slow").unlink()
        serve(load, max(0, LEAST - len(load.responses)))
    assert [body for target, body in load.responses if body[2:] != target.partition("?")[2]] == []
    lost = {what: targets for what, targets in lost_at.items() if targets}
    assert lost.keys() <= gone_by.keys()
    for what, targets in lost.items():
        host, asked = gone_by[what]
        assert deployment.servers_of(targets) <= {host.name}, what
        # Those that came later have found another one.
        assert [target for target in targets if int(target.partition("n=")[2]) >= asked] == [], (what, asked)
        # Some milliseconds go by until all of its processes and sockets have ended.
        assert len(targets) <= 2 * CLIENTS
    assert sorted(target for targets in lost.values() for target in targets) == sorted(load.lost)
    for host in (a, b, c, d):
        host.signal(signal.SIGTERM)
        assert host.wait() == 0, host.log()
    # It was there when this run of c began.
    assert deployment.api.servers() == {"c": ("10.77.2.2:8000", "MAINT")}
