"""Upstreams by SRV records that a real dnsmasq has: members come, go and move as its records do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.counted_load import counted_load
from support.dnsmasq import Dnsmasq
from support.members import NamedMember
from support.server import free_port
from support.waiting import wait_until

from .conftest import Start
from .test_upstream_members import Balanced

SERVICE = "_http._tcp.shop.test"
HOSTS = {"a.shop.test": "127.0.0.1", "b.shop.test": "127.0.0.2", "c.shop.test": "127.0.0.3"}


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[Dnsmasq]:
    server = Dnsmasq(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def named(start: Start, tmp_path: Path) -> Iterator[Balanced]:
    """Three members at one port of the hosts."""
    port = free_port()
    places = zip(("one", "two", "three"), HOSTS.values(), strict=True)
    with ExitStack() as stack:
        members = [NamedMember(name, port, host=host) for name, host in places]
        for member in members:
            stack.callback(member.close)
            stack.callback(member.go_on.set)
        yield Balanced(start, tmp_path, members)


def srv(named: Balanced, host: str, priority: int = 0, weight: int = 1) -> str:
    """A record of the service."""
    return f"{SERVICE},{host}.shop.test,{named.members[0].port},{priority},{weight}"


def begin(named: Balanced, dnsmasq: Dnsmasq) -> None:
    named.start(f"srv+http://{SERVICE}", more=f'resolver = "{dnsmasq.url}"\nresolve = 1')


def has(named: Balanced, *names: str) -> None:
    """Wait until these are all members, in both workers."""
    expected = {name: ("up", {"up": 2}) for name in names}
    wait_until(
        lambda: named.listed("state", "workers") == expected, what=f"{names} in both workers", deadline_s=20
    )


def test_members_are_those_of_the_records_with_their_weights(named: Balanced, dnsmasq: Dnsmasq) -> None:
    dnsmasq.start([srv(named, "a", weight=3), srv(named, "b", weight=1)], HOSTS)
    begin(named, dnsmasq)
    has(named, "one", "two")
    assert named.listed("weight") == {"one": (3,), "two": (1,)}
    shares = named.asked(40)
    assert shares.total() == 40
    # Each of the two workers gives its own by weight, and begins in the middle of a turn.
    assert abs(shares["one"] - 30) <= 4, shares


def test_no_request_is_lost_while_a_dnsmasq_is_started_again_with_other_records(
    named: Balanced, dnsmasq: Dnsmasq
) -> None:
    dnsmasq.start([srv(named, "a"), srv(named, "b")], HOSTS)
    begin(named, dnsmasq)
    has(named, "one", "two")
    with counted_load(named.portico.port, "/up") as load:
        dnsmasq.start([srv(named, "b"), srv(named, "c")], HOSTS)
        has(named, "two", "three")
        dnsmasq.start([srv(named, "c")], HOSTS)
        has(named, "three")
    assert load.lost == []
    assert {body for _, body in load.responses} == {"one", "two", "three"}
    assert named.asked() == {"three": 24}


def test_a_host_that_moves_is_found_after_a_reload_of_dnsmasq(named: Balanced, dnsmasq: Dnsmasq) -> None:
    dnsmasq.start([srv(named, "a")], HOSTS)
    begin(named, dnsmasq)
    has(named, "one")
    dnsmasq.reload({**HOSTS, "a.shop.test": "127.0.0.3"})
    has(named, "three")
    assert named.asked() == {"three": 24}


def test_the_last_known_members_stay_while_dnsmasq_is_away(named: Balanced, dnsmasq: Dnsmasq) -> None:
    dnsmasq.start([srv(named, "a"), srv(named, "b")], HOSTS)
    begin(named, dnsmasq)
    has(named, "one", "two")
    dnsmasq.stop()
    named.portico.wait_for("cannot look up the name: ")
    assert {*named.asked()} == {"one", "two"}
    dnsmasq.start([srv(named, "c")], HOSTS)
    has(named, "three")


def test_a_service_that_is_not_there_yet_is_served_once_it_is(named: Balanced, dnsmasq: Dnsmasq) -> None:
    dnsmasq.start([], HOSTS)
    begin(named, dnsmasq)
    with named.portico.ask("/up") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")
    dnsmasq.start([srv(named, "b")], HOSTS)
    has(named, "two")


def test_of_several_priorities_the_first_that_is_there(named: Balanced, dnsmasq: Dnsmasq) -> None:
    dnsmasq.start([srv(named, "a", priority=10), srv(named, "b", priority=20)], HOSTS)
    begin(named, dnsmasq)
    has(named, "one", "two")
    assert named.asked() == {"one": 24}
    named.change("drain", named.members[0])
    assert named.asked() == {"two": 24}


def test_records_are_asked_for_again_when_their_ttl_ends_and_not_before(
    named: Balanced, tmp_path: Path
) -> None:
    patient = Dnsmasq(tmp_path, ttl_s=2)
    patient.start([srv(named, "a")], HOSTS)
    try:
        began_s = time.monotonic()
        begin(named, patient)
        wait_until(lambda: patient.log().count(f"query[SRV] {SERVICE}") == 3, what="the third look-up")
        assert time.monotonic() - began_s >= 4.0
    finally:
        patient.stop()


def test_more_records_than_a_datagram_has_come_over_tcp(named: Balanced, dnsmasq: Dnsmasq) -> None:
    hosts = {f"a-host-of-a-long-name-{number}.shop.test": f"127.0.0.{number}" for number in range(1, 41)}
    port = named.members[0].port
    records = [f"{SERVICE},{name},{port},0,1" for name in hosts]
    dnsmasq.start(records, hosts, "edns-packet-max=512")
    begin(named, dnsmasq)
    expected = {f"127.0.0.{number}" for number in range(1, 41)}
    by_name = {member.name: member.url for member in named.members}

    def found() -> set[str]:
        urls = (by_name.get(each, each) for each in named.listed("state"))
        return {url.removeprefix("http://").partition(":")[0] for url in urls}

    wait_until(lambda: found() == expected, what="all of them")
