"""A host joins a real HAProxy when it serves, and leaves it before it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from process.conftest import Portico, Start
from support.counted_load import counted_load
from support.server import free_port
from support.waiting import wait_until

from .conftest import APPLICATION, NewHAProxy, cluster_lines, joining, wait_for_calls


def test_a_host_is_added_when_it_is_ready_and_removed_when_it_stops(
    start: Start, haproxy: NewHAProxy
) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy), "--control", "control.sock")
    name = f"{os.uname().nodename}-{portico.port}"
    proxy.wait_for(name, "UP")
    assert proxy.servers()[name][0] == f"127.0.0.1:{portico.port}"
    portico.wait_for("is ready now")
    assert f"cluster       HAProxy at unix:{proxy.path}: shop/{name} is ready\n" in status_of(portico)
    portico.stop()
    assert name not in proxy.servers()
    assert cluster_lines(portico) == [
        f"HAProxy at unix:{proxy.path}: shop/{name} is {state} now"
        for state in ("ready", "draining", "in maintenance", "gone")
    ]


def test_a_slot_of_a_server_template_gets_the_address_and_is_left_in_maintenance(
    start: Start, haproxy: NewHAProxy
) -> None:
    proxy = haproxy("server-template host 2 127.0.0.1:1 check inter 200 disabled")
    portico = start(APPLICATION, *joining(proxy, "host2"))
    proxy.wait_for("host2", "UP")
    assert proxy.servers()["host2"][0] == f"127.0.0.1:{portico.port}"
    assert proxy.servers()["host1"][1] == "MAINT"
    portico.stop()
    assert proxy.servers()["host2"] == (f"127.0.0.1:{portico.port}", "MAINT")
    assert cluster_lines(portico)[-1].endswith("shop/host2 is in maintenance now")


def test_stops_and_starts_of_one_of_two_hosts_lose_no_request(
    start: Start, haproxy: NewHAProxy, tmp_path: Path
) -> None:
    proxy = haproxy()
    start(APPLICATION, *joining(proxy, "first"))
    proxy.wait_for("first", "UP")
    with counted_load(proxy.port) as load:
        for _ in range(2):
            second = start(APPLICATION, *joining(proxy, "second"))
            proxy.wait_for("second", "UP")
            asked = len(load.responses)
            wait_until(lambda asked=asked: len(load.responses) > asked + 50, what="requests")  # type: ignore[misc]
            second.stop()
            assert "second" not in proxy.servers()
    assert load.lost == []


def test_what_is_in_flight_at_a_stop_is_finished(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "only"))
    proxy.wait_for("only", "UP")
    slow = portico.ask("/?seconds=0.5")
    through = start_request(proxy.port, "/?seconds=0.5")
    wait_for_calls(portico, 2)
    portico.signal(signal.SIGTERM)
    assert through.recv(12) == b"HTTP/1.1 200"
    assert slow.recv(12) == b"HTTP/1.1 200"
    through.close()
    slow.close()
    assert portico.wait() == 0, portico.log()
    assert proxy.servers() == {}


def test_an_haproxy_that_comes_later_is_joined_then(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy(starts=False)
    portico = start(APPLICATION, *joining(proxy, "patient"))
    portico.wait_for("got No such file or directory; trying again")
    assert portico.get("/?served") == "served"
    proxy.start()
    proxy.wait_for("patient", "UP")
    portico.stop()


def test_an_haproxy_that_has_gone_holds_up_no_stop(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "left"))
    proxy.wait_for("left", "UP")
    proxy.stop()
    portico.stop()
    assert "expected shop/left to be draining, got" in portico.log()


def test_an_haproxy_that_does_not_obey_is_told_of_in_its_own_words(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy(level="user")
    portico = start(APPLICATION, *joining(proxy, "nobody"), "--control", "control.sock")
    portico.wait_for("expected shop/nobody to be ready, got")
    assert f"HAProxy at unix:{proxy.path}: shop/nobody is not ready yet, got " in status_of(portico)
    assert "Permission denied" in portico.log()
    assert portico.get("/?served") == "served"
    portico.stop()


def test_a_rest_drains_and_its_end_makes_ready_again(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "resting"))
    proxy.wait_for("resting", "UP")
    portico.signal(signal.SIGWINCH)
    proxy.wait_for("resting", "MAINT")
    portico.signal(signal.SIGHUP)
    proxy.wait_for("resting", "UP")
    portico.stop()


def test_a_reload_changes_what_the_host_is(start: Start, haproxy: NewHAProxy, tmp_path: Path) -> None:
    proxy = haproxy()
    text = '[[app]]\napp = "shop"\n[listening]\nbind = "127.0.0.1:{port}"\n[cluster]\n'
    text += f'haproxy = "unix:{proxy.path}"\nbackend = "shop"\nserver = "{{server}}"\n'
    port, file = free_port(), tmp_path / "portico.toml"
    file.write_text(text.format(port=port, server="before"))
    portico = start(APPLICATION, port=port, reads_file=True)
    proxy.wait_for("before", "UP")
    file.write_text(text.format(port=port, server="after"))
    portico.signal(signal.SIGHUP)
    proxy.wait_for("after", "UP")
    proxy.wait_for("before", None)
    file.write_text(text.partition("[cluster]")[0].format(port=port))
    portico.signal(signal.SIGHUP)
    proxy.wait_for("after", None)
    portico.stop()


def test_an_upgrade_in_place_goes_on_with_it(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "upgraded"))
    proxy.wait_for("upgraded", "UP")
    portico.signal(signal.SIGUSR2)
    portico.wait_for("shop/upgraded is ready now", times=2)
    portico.stop()
    assert proxy.servers() == {}


def status_of(portico: Portico) -> str:
    """What `portico ctl status` prints."""
    command = [sys.executable, "-m", "portico", "ctl", "status", "--socket", f"{portico.folder}/control.sock"]
    done = subprocess.run(command, cwd=portico.folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_request(port: int, path: str) -> socket.socket:
    """Send a request to a port, without waiting for the response."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection
