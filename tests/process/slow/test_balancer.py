"""portico as the balancer before hosts that reload, drain, are killed, cut off, slow: 20,000 requests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.counted_load import CountedLoad, counted_load
from support.namespaces import Machines, in_namespaces, machines
from support.processes import children
from support.waiting import wait_until

from .test_cluster import CLIENTS, LEAST, Host

pytestmark = in_namespaces

BETWEEN = 400
"""Requests that are served between two events."""
WORKERS = 2
"""Of the balancer, each of which has its own opinion of hosts."""
LATEST = 60
"""By so many it is seen who is asked."""
HOST = """
[[app]]
app = "shop:add_name"
threads = 4

[processes]
workers = 1
drain_delay = "1s"

[listening]
bind = "0.0.0.0:8000"

[reverse_proxies]
health_path = "/livez"

[logs]
access_log = "off"
"""
BALANCER = """
[listening]
bind = "unix:shop.sock"

[processes]
workers = {workers}

[logs]
access_log = "off"

[[upstream]]
to = [{to}]
balance = "least-requests"
connect_timeout = "300ms"
timeout = "2s"
retries = 3
health_path = "/livez"
health_interval = "100ms"
health_timeout = "300ms"
"""


class Balancer:
    """The portico in the middle."""

    def __init__(self, folder: Path, place: Machines) -> None:
        self.folder = folder / "balancer"
        self.folder.mkdir()
        self._place = place
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "shop.sock"

    def write(self, *hosts: Host) -> None:
        """Have these hosts behind it."""
        to = ", ".join(f'"http://{address(host)}"' for host in hosts)
        (self.folder / "portico.toml").write_text(BALANCER.format(to=to, workers=WORKERS))

    def start(self) -> None:
        with (self.folder / "error.log").open("ab") as log:
            command = [*self._place.middle, sys.executable, "-m", "portico", "run"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        wait_until(lambda: "ready in" in self.log(), what="the balancer to be ready")

    def reload(self) -> None:
        assert self.process is not None
        before = self.log().count("is ready after")
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log().count("is ready after") >= before + WORKERS, what="new workers")

    def log(self) -> str:
        return (self.folder / "error.log").read_text()

    @contextmanager
    def finds(self, host: Host, *, well: bool) -> Iterator[None]:
        """Wait after the block until the health checks of all workers have found `host` well, or not."""
        words = "responds well again" if well else "does not respond well"
        sentence = f"upstream http://{address(host)}: {words}"
        before = self.log().count(sentence)
        yield
        wait_until(lambda: self.log().count(sentence) >= before + WORKERS, what=sentence, deadline_s=20)

    def accused(self) -> set[str]:
        """Whom the log says that requests have failed at."""
        return set(re.findall(r"upstream http://(\S+): ", self.log()))

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for pid in [self.process.pid, *children(self.process.pid)]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()


def address(host: Host) -> str:
    return f"10.77.{host.number}.2:8000"


def number_of(target: str) -> int:
    return int(target.partition("n=")[2])


def has_ended(load: CountedLoad, asked: int) -> bool:
    """Say whether all of the first `asked` requests had an outcome."""
    targets = [*(target for target, _ in list(load.responses)), *list(load.lost)]
    return len({number for target in targets if (number := number_of(target)) < asked}) == asked


def latest(load: CountedLoad) -> set[str]:
    """Who has given the latest responses."""
    return {body[0] for _, body in load.responses[-LATEST:]}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Balancer, list[Host], Machines]]:
    with ExitStack() as stack:
        place = stack.enter_context(machines(4))
        made = [Host(tmp_path, place, number, HOST) for number in range(4)]
        balancer = Balancer(tmp_path, place)
        for host in made:
            stack.callback(host.kill)
        stack.callback(balancer.end)
        yield balancer, made, place


def test_hosts_come_and_go_and_nothing_is_lost_that_was_not_in_flight_there(
    hosts: tuple[Balancer, list[Host], Machines],
) -> None:
    balancer, [a, b, c, d], place = hosts
    lost_at: dict[str, list[str]] = {}

    def serve(load: CountedLoad, more: int = BETWEEN) -> None:
        enough = len(load.responses) + more
        wait_until(lambda: len(load.responses) >= enough, what=f"{more} responses", deadline_s=60)

    def wait_for_latest(load: CountedLoad, *expected: Host) -> None:
        names = {host.name for host in expected}
        wait_until(lambda: latest(load) == names, what=f"responses of {names} alone", deadline_s=20)

    @contextmanager
    def event(load: CountedLoad, what: str, *expected: Host) -> Iterator[None]:
        """Something happens, after which the `expected` hosts serve."""
        before = len(load.lost)
        yield
        wait_for_latest(load, *expected)
        serve(load)
        lost_at[what] = load.lost[before:]

    for host in (a, b, c):
        host.start()
    for host in (a, b, c):
        wait_until(lambda host=host: "ready in" in host.log(), what="a host to be ready")  # type: ignore[misc]
    balancer.write(a, b, c)
    balancer.start()
    with counted_load(str(balancer.socket), clients=CLIENTS) as load:
        with event(load, "the start", a, b, c):
            pass
        for host in (a, b, c):
            with event(load, f"the reload of {host.name}", a, b, c):
                before = host.log().count("is ready after")
                host.signal(signal.SIGHUP)
                wait_until(lambda: host.log().count("is ready after") > before, what="a new worker")  # noqa: B023
        with event(load, "another in the file", a, b, c, d):
            d.start()
            wait_until(lambda: "ready in" in d.log(), what="a host to be ready")
            balancer.write(a, b, c, d)
            balancer.reload()
        with event(load, "the drain", a, c, d):
            with balancer.finds(b, well=False):
                b.signal(signal.SIGTERM)
            assert b.wait() == 0, b.log()
        with event(load, "the start again", a, b, c, d), balancer.finds(b, well=True):
            b.start()
        assert load.lost == []
        assert balancer.accused() <= {address(b)}
        with event(load, "the kill", a, b, d), balancer.finds(c, well=False):
            c.kill()
        with event(load, "back after the kill", a, b, c, d), balancer.finds(c, well=True):
            c.start()
        assert balancer.accused() <= {address(b), address(c)}
        with event(load, "the cut", b, c, d):
            asked_before = load.asked
            with balancer.finds(a, well=False):
                place.set_link(a.number, "down")
            asked_when_found = load.asked
            # Those that were on their way there have been waited for.
            wait_until(lambda: has_ended(load, asked_when_found), what="all outcomes", deadline_s=20)
        with event(load, "back after the cut", a, b, c, d), balancer.finds(a, well=True):
            place.set_link(a.number, "up")
        assert balancer.accused() <= {address(a), address(b), address(c)}
        with event(load, "one less in the file", b, c, d):
            balancer.write(b, c, d)
            balancer.reload()
        (d.folder / "slow").touch()
        serve(load)
        mark = len(load.responses)

        def since() -> list[str]:
            return [body[0] for _, body in load.responses[mark:]]

        wait_until(lambda: since().count("d") >= CLIENTS, what="responses of the slow one", deadline_s=20)
        # It has as many requests at a time as the others, and so gets fewer.
        assert since().count("d") < min(since().count("b"), since().count("c")) / 2
        (d.folder / "slow").unlink()
        serve(load, max(0, LEAST - len(load.responses)))
    assert [body for target, body in load.responses if body[2:] != target.partition("?")[2]] == []
    assert len(load.responses) >= LEAST
    lost = {what: targets for what, targets in lost_at.items() if targets}
    assert sorted(target for targets in lost.values() for target in targets) == sorted(load.lost)
    # A GET whose host was killed is given to another. One that a host is silent about may be at work there:
    # it is not asked for again, and each client had one at most when that began, or before it was found.
    assert lost.keys() <= {"the cut"}
    numbers = [number_of(target) for target in lost.get("the cut", [])]
    assert len(numbers) <= CLIENTS
    assert [number for number in numbers if not asked_before - CLIENTS <= number <= asked_when_found] == []
    assert balancer.process is not None
    balancer.process.send_signal(signal.SIGTERM)
    assert balancer.process.wait(20) == 0, balancer.log()
