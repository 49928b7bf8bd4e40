"""Hosts that write themselves into a file which a real Envoy watches, both as docs/cluster.md has them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from process.conftest import Portico
from support.counted_load import counted_load
from support.server import free_port
from support.waiting import wait_until

from .envoys import EDS_FOLDER, Envoy, find_envoy
from .hosts import HELLO, names, wait_for_requests
from .page import PAGE, adapted

EMPTY = '{"resources": []}'
CLIENTS = 4

NewHost = Callable[..., Portico]


@pytest.fixture
def eds_folder(tmp_path: Path) -> Path:
    """The folder that Envoy watches, with a file without any host: as the page says."""
    find_envoy()
    folder = tmp_path / "eds"
    folder.mkdir()
    assert f"echo '{EMPTY}' > {EDS_FOLDER}/shop.json" in PAGE
    (folder / "shop.json").write_text(EMPTY)
    return folder


@pytest.fixture
def envoy(tmp_path: Path, eds_folder: Path) -> Iterator[Envoy]:
    folder = tmp_path / "envoy"
    folder.mkdir()
    with Envoy(folder, eds_folder) as running:
        yield running


@pytest.fixture
def host(tmp_path: Path, eds_folder: Path) -> Iterator[NewHost]:
    """Start a host of this name, with the portico.toml of the page."""
    started: list[Portico] = []

    def start(name: str, port: int = 0) -> Portico:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        port = port or free_port()
        changes = {"10.0.0.11:8000": f"127.0.0.1:{port}", EDS_FOLDER: str(eds_folder)}
        text = adapted("envoy.toml", changes)
        (folder / "portico.toml").write_text(text)
        (folder / "hello.py").write_text(HELLO)
        # One worker: who is killed takes one moment to be gone.
        options = ["-w", "1"]
        environment = {"HOST_NAME": name}
        started.append(Portico(folder, "", options, port=port, reads_file=True, environment=environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_a_host_that_starts_gets_requests_and_one_that_ends_is_gone(envoy: Envoy, host: NewHost) -> None:
    assert envoy.get() == "503"
    one = host("one")
    envoy.wait_for({one.port: "HEALTHY"})
    assert envoy.get() == "one"
    one.stop()
    envoy.wait_for({})
    assert envoy.get() == "503"


def test_hosts_that_join_and_drain_and_leave_lose_no_request(envoy: Envoy, host: NewHost) -> None:
    one = host("one")
    envoy.wait_for({one.port: "HEALTHY"})
    with counted_load(envoy.port, clients=CLIENTS) as load:
        wait_for_requests(load, "one")
        for _ in range(2):
            two = host("two")
            wait_for_requests(load, "two")
            assert envoy.hosts() == {one.port: "HEALTHY", two.port: "HEALTHY"}
            two.signal(signal.SIGTERM)
            wait_until(lambda port=two.port: envoy.hosts().get(port) == "DRAINING", what="two to drain")  # type: ignore[misc]
            assert two.wait() == 0, two.log()
            envoy.wait_for({one.port: "HEALTHY"})
            wait_for_requests(load, "one")
        three = host("three")
        wait_for_requests(load, "three")
        one.stop()
        wait_for_requests(load, "three")
        envoy.wait_for({three.port: "HEALTHY"})
    assert load.lost == []
    assert names(load) == {"one", "two", "three"}


def test_a_host_that_is_killed_is_ejected_and_comes_back(envoy: Envoy, host: NewHost) -> None:
    one, two = host("one"), host("two")
    envoy.wait_for({one.port: "HEALTHY", two.port: "HEALTHY"})
    with counted_load(envoy.port, clients=CLIENTS) as load:
        wait_for_requests(load, "two")
        two.kill()
        envoy.wait_for({one.port: "HEALTHY", two.port: "FAILED"})
        wait_for_requests(load, "one")
    # What was in flight there: who was found gone is not asked, before the health check says so.
    assert len(load.lost) <= CLIENTS, load.lost
    with counted_load(envoy.port, clients=CLIENTS) as load:
        wait_for_requests(load, "one", 200)
        assert names(load) == {"one"}
        again = host("two", two.port)
        wait_for_requests(load, "two")
        envoy.wait_for({one.port: "HEALTHY", again.port: "HEALTHY"})
    assert load.lost == []


def test_a_host_that_is_killed_is_found_out_also_where_nobody_has_asked_yet(
    envoy: Envoy, host: NewHost
) -> None:
    one = host("one")
    envoy.wait_for({one.port: "HEALTHY"})
    one.kill()
    envoy.wait_for({one.port: "FAILED"})


def test_a_rest_takes_a_host_out_until_it_ends(envoy: Envoy, host: NewHost) -> None:
    one, two = host("one"), host("two")
    envoy.wait_for({one.port: "HEALTHY", two.port: "HEALTHY"})
    two.signal(signal.SIGWINCH)
    two.wait_for("is in maintenance now")
    wait_until(lambda: envoy.hosts()[two.port] in ("UNHEALTHY", "FAILED"), what="the rest")
    assert {envoy.get() for _ in range(20)} == {"one"}
    two.signal(signal.SIGHUP)
    envoy.wait_for({one.port: "HEALTHY", two.port: "HEALTHY"})
    assert {envoy.get() for _ in range(20)} == {"one", "two"}


def test_an_envoy_ends_where_the_file_is_not_there(tmp_path: Path, eds_folder: Path) -> None:
    (eds_folder / "shop.json").unlink()
    envoy = Envoy(tmp_path, eds_folder)
    ended = subprocess.run(envoy.command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert f"{eds_folder}/shop.json" in ended.stderr
