"""A host in the file of endpoints that an Envoy watches: what Envoy would read there, at every moment."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from portico.config.file import read_file
from portico.ctl.connection import ask
from process.conftest import Start
from support.server import free_port
from support.waiting import wait_until

from .conftest import APPLICATION, cluster_lines
from .page import block

TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
HEALTH = ("HEALTHY", "UNHEALTHY", "DRAINING")


class EdsReader:
    """Reads the file as Envoy does: all of it, whatever is done with it meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[int, str]:
        """The health of each endpoint, by its port; AssertionError where Envoy would reject it."""
        try:
            document = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        assert set(document) == {"version_info", "resources"}
        assert document["version_info"].isdecimal()
        found: dict[int, str] = {}
        for assignment in document["resources"]:
            assert set(assignment) == {"@type", "cluster_name", "endpoints"}
            assert (assignment["@type"], assignment["cluster_name"]) == (TYPE, "shop")
            for group in assignment["endpoints"]:
                for each in group["lb_endpoints"]:
                    found |= dict([self._endpoint(each)])
        return found

    @staticmethod
    def _endpoint(each: dict[str, Any]) -> tuple[int, str]:
        address = each["endpoint"]["address"]["socket_address"]
        assert each == {
            "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", **address}}},
            "health_status": each["health_status"],
        }
        assert each["health_status"] in HEALTH
        assert isinstance(address["port_value"], int)
        return address["port_value"], each["health_status"]

    def wait_for(self, expected: dict[int, str]) -> None:
        wait_until(lambda: self.read() == expected, what=f"the endpoints to be {expected}")

    @contextmanager
    def watched(self) -> Iterator[list[dict[int, str]]]:
        """Read again and again inside the block; what was read, without repetitions."""
        seen: list[dict[int, str]] = []
        errors: list[BaseException] = []
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                try:
                    found = self.read()
                except BaseException as error:
                    errors.append(error)
                    return
                if not seen or seen[-1] != found:
                    seen.append(found)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield seen
        finally:
            over.set()
            watcher.join()
        assert errors == []


@pytest.fixture
def eds(tmp_path: Path) -> EdsReader:
    (tmp_path / "eds").mkdir()
    return EdsReader(tmp_path / "eds" / "shop.json")


def in_file(eds: EdsReader, *more: str) -> tuple[str, ...]:
    return ("--cluster-eds-file", str(eds.path), "--cluster-backend", "shop", *more)


def test_a_host_is_healthy_then_draining_then_gone(start: Start, eds: EdsReader) -> None:
    options = in_file(eds, "--drain-delay", "300ms", "--control", "control.sock")
    with eds.watched() as seen:
        portico = start(APPLICATION, *options)
        portico.wait_for("is ready now")
        eds.wait_for({portico.port: "HEALTHY"})
        [listed] = ask(f"{portico.folder}/control.sock", "status", timeout_s=10)["cluster"]
        assert (listed["is"], listed["name"], listed["state"]) == (
            "Envoy",
            f"127.0.0.1:{portico.port}",
            "ready",
        )
        portico.stop()
    port = portico.port
    states = [found.get(port) for found in seen]
    assert [state for state in states if state is not None] == ["HEALTHY", "DRAINING", "UNHEALTHY"]
    assert eds.read() == {}
    assert cluster_lines(portico) == [
        f"{eds.path}: 127.0.0.1:{port} is {state} now"
        for state in ("ready", "draining", "in maintenance", "gone")
    ]
    # Nothing is left beside it but the lock.
    assert {each.name for each in eds.path.parent.iterdir()} == {"shop.json", "shop.json.lock"}


def test_hosts_that_have_the_same_file_never_lose_each_other(start: Start, eds: EdsReader) -> None:
    with eds.watched():
        hosts = [start(APPLICATION, *in_file(eds)) for _ in range(6)]
        eds.wait_for({host.port: "HEALTHY" for host in hosts})
        stopped, kept = hosts[:3], hosts[3:]
        for host in stopped:
            host.signal(signal.SIGTERM)
        for host in stopped:
            assert host.wait() == 0, host.log()
        assert eds.read() == {host.port: "HEALTHY" for host in kept}
        # A rest: no request is to come.
        kept[0].signal(signal.SIGWINCH)
        rest = {kept[1].port: "HEALTHY", kept[2].port: "HEALTHY"}
        eds.wait_for({kept[0].port: "UNHEALTHY", **rest})
        kept[0].signal(signal.SIGHUP)
        eds.wait_for({kept[0].port: "HEALTHY", **rest})
        # Who is killed stays, for Envoy's own health checks; the next start there has the same place.
        kept[0].kill()
        assert len(eds.read()) == 3
        again = start(APPLICATION, *in_file(eds), port=kept[0].port)
        again.wait_for("is ready now")
        assert eds.read() == {kept[0].port: "HEALTHY", **rest}


def test_what_else_stands_in_the_file_is_left(start: Start, eds: EdsReader) -> None:
    other = {"@type": TYPE, "cluster_name": "other", "endpoints": [{"lb_endpoints": []}], "policy": {}}
    port = free_port()
    own = {
        "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}},
        "load_balancing_weight": 3,
    }
    zone = {"locality": {"zone": "a"}, "lb_endpoints": [own]}
    shop = {"@type": TYPE, "cluster_name": "shop", "endpoints": [zone]}
    eds.path.write_text(json.dumps({"version_info": "7", "resources": [other, shop]}))
    os.chmod(eds.path, 0o640)
    portico = start(APPLICATION, *in_file(eds), port=port)
    portico.wait_for("is ready now")
    found = json.loads(eds.path.read_text())
    expected = {**shop, "endpoints": [{**zone, "lb_endpoints": [{**own, "health_status": "HEALTHY"}]}]}
    assert found == {"version_info": "8", "resources": [other, expected]}
    assert eds.path.stat().st_mode & 0o777 == 0o640
    portico.stop()


def test_a_file_that_is_none_of_envoy_is_not_overwritten(start: Start, eds: EdsReader) -> None:
    eds.path.write_text("somebody's notes")
    portico = start(APPLICATION, *in_file(eds))
    portico.wait_for('to be ready, got "somebody\'s notes", which is no JSON; trying again')
    assert eds.path.read_text() == "somebody's notes"
    assert portico.get("/?served") == "served"
    eds.path.unlink()
    eds.wait_for({portico.port: "HEALTHY"})
    # One that was put back from elsewhere has the host again after a while.
    eds.path.write_text('{"version_info": "1", "resources": []}')
    wait_until(lambda: eds.read() == {portico.port: "HEALTHY"}, what="the host to be there", deadline_s=20)
    eds.path.parent.joinpath("shop.json.lock").unlink()
    eds.path.unlink()
    eds.path.parent.rmdir()
    portico.stop()
    assert "to be draining, got No such file or directory" in portico.log()


def test_an_address_that_envoy_can_use_has_to_be_said(start: Start, eds: EdsReader, tmp_path: Path) -> None:
    sentence = "cluster_address: expected an address for Envoy, since none listens at one of HTTP, got auto"
    (tmp_path / "portico.toml").write_text(
        f'[[app]]\napp = "shop"\n[listening]\nbind = "0.0.0.0:{free_port()}"\n'
        '[cluster]\neds_file = "eds/shop.json"\n'
    )
    portico = start(APPLICATION, reads_file=True)
    assert portico.wait() == 2
    assert sentence in portico.log()


def test_a_reload_moves_the_host_to_another_file(start: Start, eds: EdsReader, tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "portico.toml"
    text = f'[[app]]\napp = "shop"\n[listening]\nbind = "127.0.0.1:{port}"\n[cluster]\nbackend = "shop"\n'
    file.write_text(text + 'eds_file = "eds/shop.json"\n')
    portico = start(APPLICATION, port=port, reads_file=True)
    eds.wait_for({port: "HEALTHY"})
    file.write_text(text + 'eds_file = "eds/next.json"\n')
    portico.signal(signal.SIGHUP)
    EdsReader(tmp_path / "eds" / "next.json").wait_for({port: "HEALTHY"})
    eds.wait_for({})
    portico.stop()


def test_the_file_of_the_documentation_is_what_a_host_writes(
    start: Start, eds: EdsReader, tmp_path: Path
) -> None:
    portico = start(APPLICATION, *in_file(eds))
    portico.wait_for("is ready now")
    text = eds.path.read_text().replace("127.0.0.1", "10.0.0.11").replace(str(portico.port), "8000")
    assert json.loads(text) == yaml.safe_load(block("shop.yaml"))
    # What Envoy is told of it in the other block is this file's, and this cluster's.
    [cluster] = yaml.safe_load(block("eds.yaml"))["static_resources"]["clusters"]
    source = cluster["eds_cluster_config"]["eds_config"]["path_config_source"]
    (tmp_path / "envoy.toml").write_text(block("envoy.toml"))
    written = read_file(str(tmp_path / "envoy.toml"), {}).values
    assert (source["path"], cluster["name"]) == (written["cluster_eds_file"], written["cluster_backend"])
    assert source["watched_directory"]["path"] == os.path.dirname(source["path"])
