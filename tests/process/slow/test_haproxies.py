"""An HAProxy that a host has joined hangs, is started again, or is told otherwise by a person."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from cluster.conftest import APPLICATION, NewHAProxy, joining
from cluster.conftest import haproxy as haproxy
from support.processes import wake_ups
from support.server import free_port
from support.waiting import wait_until

from ..conftest import Start

LOOK_S = 5.0
"""Between two looks of portico at what HAProxy has."""


def test_an_haproxy_that_hangs_holds_up_a_stop_once(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "hung"))
    proxy.wait_for("hung", "UP")
    with proxy.held():
        began_s = time.monotonic()
        portico.stop()
        assert portico.log().count("expected a response within 3 s, got none") == 1
        assert time.monotonic() < began_s + 6


def test_an_haproxy_that_was_started_again_is_joined_again(start: Start, haproxy: NewHAProxy) -> None:
    port = free_port()
    slots = (f"server here 127.0.0.1:{port}", "server slot 127.0.0.1:1")
    proxy = haproxy(*(f"{slot} check inter 200 rise 1 disabled" for slot in slots))
    ports = {"here": port, "slot": free_port(), "added": free_port()}
    porticos = [start(APPLICATION, *joining(proxy, name), port=at) for name, at in ports.items()]
    for name in ports:
        proxy.wait_for(name, "UP")
    proxy.stop()
    proxy.start()
    for name in ports:
        proxy.wait_for(name, "UP", deadline_s=3 * LOOK_S)
    for portico in porticos:
        portico.stop()


def test_a_drain_by_a_person_stays(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "drained"))
    proxy.wait_for("drained", "UP")
    proxy.ask("set server shop/drained state drain")
    asked_at_s = time.monotonic()
    # More than one look, each of which would undo it.
    wait_until(lambda: time.monotonic() > asked_at_s + 2 * LOOK_S + 1, what="two looks", deadline_s=20)
    assert proxy.servers()["drained"][1] == "DRAIN"
    portico.stop()
    assert proxy.servers() == {}


def test_a_long_last_request_is_waited_for_asleep(start: Start, haproxy: NewHAProxy) -> None:
    proxy = haproxy()
    portico = start(APPLICATION, *joining(proxy, "last"))
    proxy.wait_for("last", "UP")
    with portico.ask("/?seconds=6"):
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        stopped_at_s = time.monotonic()
        # Beyond the time for which HAProxy is waited for.
        wait_until(lambda: time.monotonic() > stopped_at_s + 3.5, what="the end of patience")
        before = wake_ups(portico.process.pid, "portico")
        wait_until(lambda: time.monotonic() > stopped_at_s + 5, what="some time more")
        assert portico.process.poll() is None
        assert wake_ups(portico.process.pid, "portico") - before < 20
        assert portico.wait() == 0, portico.log()
    assert proxy.servers() == {}


def test_an_haproxy_that_a_reload_has_no_longer_is_left_when_it_can_be_told(
    start: Start, haproxy: NewHAProxy, tmp_path: Path
) -> None:
    port, file = free_port(), tmp_path / "portico.toml"
    proxy = haproxy(f"server early 127.0.0.1:{port} check inter 200 rise 1")
    text = f'[[app]]\napp = "shop"\n[listening]\nbind = "127.0.0.1:{port}"\n'
    joined = f'[cluster]\nhaproxy = "unix:{proxy.path}"\nbackend = "shop"\nserver = "early"\n'
    file.write_text(text + joined)
    portico = start(APPLICATION, port=port, reads_file=True)
    portico.wait_for("shop/early is ready now")
    proxy.stop()
    file.write_text(text)
    portico.signal(signal.SIGHUP)
    portico.wait_for("expected shop/early to be gone, got")
    proxy.start()
    proxy.wait_for("early", "MAINT")
    portico.stop()
