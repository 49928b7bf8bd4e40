"""Twenty thousand requests through every pairing: while workers are killed, and while workers roll.

Each half is shared by Flask and Django.
"""

from __future__ import annotations

import os
import signal

from support.waiting import wait_until

from reverse_proxies.deployment import NAME, RunningDeployment
from reverse_proxies.killing import kill_worker
from reverse_proxies.load import Load
from reverse_proxies.pairings import Pairing

LEAST = 5_000
CONNECTIONS = 8
CROWD = 24
"""Clients that come before: the reverse proxy keeps more connections to portico than it needs afterwards."""
KILLS = 3
ROLLS = 2
BETWEEN = 500
"""Requests between two faults."""


def getting(number: int) -> bytes:
    """Every eighth call takes a while, so that there is always one in flight."""
    pause = "?pause_ms=4" if number % 8 == 0 else ""
    return f"GET /number/{number}{pause} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()


def getting_and_posting(number: int) -> bytes:
    """Every third request has a body, and no reverse proxy retries such a one."""
    if number % 3:
        return getting(number)
    return f"POST /number/{number} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 5\r\n\r\nhello".encode()


def taking_a_while(number: int) -> bytes:
    """Calls that take long enough for all connections to be in use."""
    return f"GET /number/{number}?pause_ms=4 HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()


def test_workers_are_killed(deployment: RunningDeployment, pairing: Pairing) -> None:
    """Nothing is lost where the reverse proxy retries, else only what was in flight at a kill."""
    with Load(deployment.address, 10 * CROWD, connections=CROWD, request=taking_a_while) as crowd:
        pass
    assert crowd.failures == []
    killed: list[tuple[float, float]] = []
    with Load(deployment.address, LEAST, connections=CONNECTIONS, request=getting) as load:
        for _ in range(KILLS):
            load.wait_for(BETWEEN)
            killed.append(kill_worker(deployment.portico.worker_pids[0]))
            wait_until(lambda: len(deployment.portico.worker_pids) == 2, what="a new worker")
        load.wait_for(BETWEEN)
    assert load.ended >= LEAST
    if pairing.retries:
        assert load.failures == []
    for failure in load.failures:
        in_flight = [failure.sent_s <= gone_s and began_s <= failure.ended_s for began_s, gone_s in killed]
        assert any(in_flight), (failure, killed)
    assert len(load.failures) <= KILLS * CONNECTIONS


def roll_workers(deployment: RunningDeployment) -> None:
    """Have all workers replaced, and wait for it."""
    before = set(deployment.portico.worker_pids)

    def have_new_workers() -> bool:
        workers = deployment.portico.worker_pids
        return len(workers) == 2 and before.isdisjoint(workers)

    os.kill(deployment.portico.pid, signal.SIGHUP)
    wait_until(have_new_workers, what="new workers only", deadline_s=40)


def test_workers_roll(deployment: RunningDeployment) -> None:
    """HUP replaces all workers, and nobody loses anything."""
    with Load(deployment.address, LEAST, connections=CONNECTIONS, request=getting_and_posting) as load:
        for _ in range(ROLLS):
            load.wait_for(BETWEEN)
            roll_workers(deployment)
        load.wait_for(BETWEEN)
    assert load.failures == []
    assert load.ended >= LEAST
