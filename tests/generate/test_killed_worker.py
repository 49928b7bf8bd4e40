"""A generated file while workers are killed: no GET is lost where the reverse proxy can retry."""

from __future__ import annotations

from pathlib import Path

import pytest
from reverse_proxies.killing import kill_worker
from reverse_proxies.load import Load
from support.server import Server, free_port
from support.waiting import wait_until

from .made import generated
from .programs import let_others_in, running

WAYS = [*(("nginx", scheme, "") for scheme in ("http", "uwsgi", "fastcgi", "scgi"))]
WAYS += [*(("apache", scheme, "") for scheme in ("uwsgi", "fastcgi", "scgi"))]
WAYS += [("haproxy", "http", ""), ("haproxy", "http", "?proxy=required"), ("haproxy", "fastcgi", "")]
KILLS = 4
BETWEEN = 400
"""Requests between two kills."""


def getting(number: int) -> bytes:
    """Every eighth call takes a while, so that there is always one in flight."""
    pause = "?pause_ms=4" if number % 8 == 0 else ""
    return f"GET /number/{number}{pause} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode()


@pytest.mark.parametrize(("proxy", "scheme", "options"), WAYS)
def test_no_get_is_lost(proxy: str, scheme: str, options: str, tmp_path: Path) -> None:
    let_others_in(tmp_path)
    port, bind = free_port(), f"{scheme}://127.0.0.1:{free_port()}{options}"
    file = tmp_path / ("haproxy.cfg" if proxy == "haproxy" else "site.conf")
    file.write_text(generated(proxy, "shop", "-b", bind, "--listen", f"127.0.0.1:{port}"))
    with (
        Server("apps.proxied_flask:app", workers=2, threads=4, options=["-b", bind]) as portico,
        running(proxy, file, port),
    ):
        wait_until(lambda: len(portico.worker_pids) == 2, what="both workers")
        # More clients than afterwards: the reverse proxy has connections in stock, to both workers.
        with Load(("127.0.0.1", port), 240, connections=24, request=getting) as crowd:
            pass
        assert crowd.failures == []
        with Load(("127.0.0.1", port), 1, connections=8, request=getting) as load:
            for _ in range(KILLS):
                load.wait_for(BETWEEN)
                kill_worker(portico.worker_pids[0])
                wait_until(lambda: len(portico.worker_pids) == 2, what="a new worker")
            load.wait_for(BETWEEN)
        assert load.failures == []
