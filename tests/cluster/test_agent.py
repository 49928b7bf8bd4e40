"""What HAProxy's agent-check hears of a host, and what a real HAProxy makes of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from portico.ctl.connection import ask as control
from process.conftest import Portico, Start
from support.server import free_port
from support.waiting import wait_until

from .conftest import APPLICATION, NewHAProxy, joining, wait_for_calls


def ask(port: int) -> str:
    """The line of the agent at a port of 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return connection.makefile().read()


@contextlib.contextmanager
def asked(portico: Portico, path: str, times: int) -> Iterator[None]:
    """Requests that are in flight."""
    with contextlib.ExitStack() as stack:
        for _ in range(times):
            stack.enter_context(portico.ask(path))
        yield


UP = "ready up "
"""Of how much is another matter: a start has used the CPU, too."""


def wait_for_line(port: int, line: str) -> None:
    """Wait until the agent says `line`, or a line that begins so."""

    def is_said() -> bool:
        try:
            return ask(port).startswith(line)
        except OSError:
            return False

    wait_until(is_said, what=f"the agent to say {line!r}")


def test_the_weight_falls_while_all_threads_are_busy_and_rises_again(
    start: Start, haproxy: NewHAProxy
) -> None:
    port, agent = (free_port() for _ in range(2))
    proxy = haproxy(
        f"server busy 127.0.0.1:{port} weight 100 check inter 200 "
        f"agent-check agent-port {agent} agent-inter 200"
    )
    words = ("--threads", "4", "-w", "1", "--cluster-agent", f"127.0.0.1:{agent}")
    portico = start(APPLICATION, *words, "--control", "control.sock", port=port)
    wait_for_line(agent, UP)
    [agents] = control(f"{portico.folder}/control.sock", "status", timeout_s=10)["cluster"]
    assert (agents["is"], agents["at"]) == ("agent", f"127.0.0.1:{agent}")
    assert re.fullmatch(r"up \d+%", agents["state"])
    wait_until(lambda: proxy.weight("busy") >= 95, what="a high weight")
    with asked(portico, "/?seconds=2", 4):
        wait_until(lambda: proxy.weight("busy") < 88, what="a lower weight")
        lowest = proxy.weight("busy")
    wait_until(lambda: proxy.weight("busy") > lowest, what="a higher weight")
    portico.stop()


def test_haproxy_drains_while_a_stop_is_announced_and_hears_ready_after_the_next_start(
    start: Start, haproxy: NewHAProxy
) -> None:
    port, agent = (free_port() for _ in range(2))
    proxy = haproxy(
        f"server host 127.0.0.1:{port} weight 100 check inter 200 rise 1 "
        f"agent-check agent-port {agent} agent-inter 100"
    )
    words = ["--cluster-agent", f"127.0.0.1:{agent}", "--drain-delay", "30"]
    portico = start(APPLICATION, *words, port=port)
    wait_for_line(agent, UP)
    proxy.wait_for("host", "UP")
    portico.signal(signal.SIGTERM)
    proxy.wait_for("host", "DRAIN")
    assert portico.get("/?served") == "served"
    portico.signal(signal.SIGTERM)
    assert portico.wait() == 0, portico.log()
    portico = start(APPLICATION, *words, port=port)
    proxy.wait_for("host", "UP")
    portico.signal(signal.SIGINT)
    assert portico.wait() == 0, portico.log()


def test_a_rest_is_maintenance_until_it_ends(start: Start) -> None:
    agent = free_port()
    portico = start(APPLICATION, "-w", "1", "--cluster-agent", f"127.0.0.1:{agent}")
    wait_for_line(agent, UP)
    with asked(portico, "/?seconds=0.5", 1):
        wait_for_calls(portico, 1)
        portico.signal(signal.SIGWINCH)
        wait_for_line(agent, "drain")
        wait_for_line(agent, "maint")
    portico.signal(signal.SIGHUP)
    wait_for_line(agent, UP)
    portico.stop()


def test_it_is_down_while_no_worker_can_be_started(start: Start, tmp_path: Path) -> None:
    agent = free_port()
    portico = start(APPLICATION, "-w", "1", "--cluster-agent", f"127.0.0.1:{agent}")
    wait_for_line(agent, UP)
    (tmp_path / "shop.py").write_text("1 / 0\n")
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    wait_for_line(agent, "down #no worker is ready")
    (tmp_path / "shop.py").write_text(APPLICATION)
    wait_for_line(agent, UP)
    portico.stop()


def test_it_is_up_while_workers_sleep_and_drained_before_that_ends(start: Start, haproxy: NewHAProxy) -> None:
    agent, proxy = free_port(), haproxy()
    words = ("--workers-min", "0", "--idle-timeout", "1s", *joining(proxy, "asleep", "weight 100"))
    portico = start(APPLICATION, *words, "--cluster-agent", f"127.0.0.1:{agent}")
    portico.wait_for("no worker until one comes")
    wait_until(lambda: not portico.worker_pids, what="all workers to leave")
    wait_for_line(agent, UP)
    # A health check would wake it.
    proxy.wait_for("asleep", "no check")
    assert not portico.worker_pids
    portico.stop()
    last = [line for line in portico.log().splitlines() if "now" in line or "stopping" in line][-3:]
    assert [line.rpartition("] ")[2].rpartition("asleep ")[2] for line in last] == [
        *("is in maintenance now", "stopping after the requests in flight", "is gone now")
    ]


def test_an_address_in_use_is_told_and_taken_when_it_is_free(start: Start) -> None:
    agent = free_port()
    with socket.create_server(("127.0.0.1", agent)):
        portico = start(APPLICATION, "--cluster-agent", f"127.0.0.1:{agent}")
        portico.wait_for(f"cannot listen on 127.0.0.1:{agent}: Address already in use")
        assert portico.get("/?served") == "served"
    wait_for_line(agent, UP)
    portico.stop()


def test_a_reload_moves_it_and_takes_it_away(start: Start, tmp_path: Path) -> None:
    port, first, second = (free_port() for _ in range(3))
    text = '[[app]]\napp = "shop"\n[listening]\nbind = "127.0.0.1:{port}"\n[cluster]\nagent = "{agent}"\n'
    file = tmp_path / "portico.toml"
    file.write_text(text.format(port=port, agent=f"127.0.0.1:{first}"))
    portico = start(APPLICATION, port=port, reads_file=True)
    wait_for_line(first, UP)
    file.write_text(text.format(port=port, agent=f"127.0.0.1:{second}"))
    portico.signal(signal.SIGHUP)
    wait_for_line(second, UP)
    assert not sockets_at(first) & sockets_of(portico.process.pid)
    file.write_text(text.format(port=port, agent="off"))
    portico.signal(signal.SIGHUP)
    wait_until(lambda: not sockets_at(second) & sockets_of(portico.process.pid), what="the agent to leave")
    portico.stop()


def test_clients_that_stay_or_say_something_hold_up_nobody(start: Start) -> None:
    agent = free_port()
    portico = start(APPLICATION, "--cluster-agent", f"127.0.0.1:{agent}")
    wait_for_line(agent, UP)
    with contextlib.ExitStack() as stack:
        for _ in range(70):
            client = socket.create_connection(("127.0.0.1", agent), timeout=10)
            stack.enter_context(client)
            client.sendall(b"what is your weight?\n")
        assert ask(agent).startswith(UP)
    portico.stop()


def test_workers_have_none_of_its_descriptors(start: Start) -> None:
    agent = free_port()
    portico = start(APPLICATION, "-w", "1", "--cluster-agent", f"127.0.0.1:{agent}")
    wait_for_line(agent, UP)
    with socket.create_connection(("127.0.0.1", agent), timeout=10):
        (first,) = portico.worker_pids
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: portico.worker_pids and first not in portico.worker_pids, what="another worker")
        portico.wait_for("is ready after")
        (worker,) = portico.worker_pids
        assert sockets_at(agent) & sockets_of(portico.process.pid)
        assert not sockets_at(agent) & sockets_of(worker)
    portico.stop()


def sockets_at(port: int) -> set[str]:
    """The inodes of sockets of IPv4 at a port of this end."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if int(row[1].partition(":")[2], 16) == port and row[9] != "0"}


def sockets_of(pid: int) -> set[str]:
    links = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[8:-1] for link in links if link.startswith("socket:[")}


MODULES = """
import sys

def application(environ, start_response):
    body = " ".join(name for name in sys.modules if "cluster" in name).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("is_new", [False, True], ids=["first", "reloaded"])
def test_a_server_without_a_cluster_has_nothing_of_it(start: Start, is_new: bool) -> None:
    portico = start(MODULES)
    portico.wait_ready()
    if is_new:
        portico.signal(signal.SIGHUP)
        portico.wait_for("is ready after")
    assert portico.get() == ""
    portico.stop()
