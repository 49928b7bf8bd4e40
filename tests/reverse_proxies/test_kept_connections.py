"""Whether reverse proxies keep their connections to portico for further requests."""

from __future__ import annotations

from pathlib import Path

from support.waiting import wait_until

from reverse_proxies.deployment import RunningDeployment, ask
from reverse_proxies.pairings import Pairing

_ESTABLISHED = "01"
_CONNECTED = "03"


def connections(deployment: RunningDeployment) -> set[str]:
    """What tells the connections from the reverse proxy apart: remote addresses, or inodes of Unix
    sockets."""
    if deployment.socket_path is not None:
        rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        return {row[6] for row in rows if row[-1] == deployment.socket_path and row[5] == _CONNECTED}
    port = f":{deployment.portico_port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[2] for row in rows if row[1].endswith(port) and row[3] == _ESTABLISHED}


def test_connections_to_portico(deployment: RunningDeployment, pairing: Pairing) -> None:
    with deployment.connect() as connection:
        assert ask(connection, "/number/0").body == b"number 0"
        before = connections(deployment)
        for number in range(1, 20):
            assert ask(connection, f"/number/{number}").body == b"number %d" % number
        after = connections(deployment)
    if pairing.keeps:
        assert after
        assert after <= before
    else:
        wait_until(lambda: not connections(deployment), what="the end of the connections")
