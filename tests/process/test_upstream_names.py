"""Names of upstreams by the DNS: members come, go and move when the validity of what it has said ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.counted_load import counted_load
from support.dns_server import DnsServer
from support.members import NamedMember
from support.processes import children
from support.server import free_port
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Start
from .test_control import ctl
from .test_upstream_members import Balanced

SHOP = "shop.test"
SERVICE = "_http._tcp.shop.test"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    server = DnsServer()
    yield server
    server.close()


@pytest.fixture
def members() -> Iterator[list[NamedMember]]:
    """Three that are at one port of several addresses, and one at another."""
    first = NamedMember("one", free_port(), host="127.0.0.1")
    places = {"two": "127.0.0.2", "three": "127.0.0.3"}
    others = [NamedMember(name, first.port, host=host) for name, host in places.items()]
    all_of_them = [first, *others, NamedMember("four", host="127.0.0.1")]
    yield all_of_them
    for member in all_of_them:
        member.go_on.set()
        member.close()


@pytest.fixture
def named(start: Start, tmp_path: Path, members: list[NamedMember]) -> Balanced:
    return Balanced(start, tmp_path, members)


def begin(named: Balanced, server: DnsServer, place: str = "", **others: object) -> None:
    more = f'resolver = "{server.url}"\nresolve = 1\n{others.pop("more", "")}'
    named.start(place or f"http://{SHOP}:{named.members[0].port}", more=more, **others)  # type: ignore[arg-type]


def has(named: Balanced, *names: str) -> None:
    """Wait until these are all members, in both workers."""
    expected = {name: ("up", {"up": 2}) for name in names}
    wait_until(lambda: named.listed("state", "workers") == expected, what=f"{names} in both workers")


# --- Addresses


def test_members_are_there_before_the_first_request(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1", "127.0.0.2", ttl=600)
    begin(named, server)
    assert {*named.asked()} == {"one", "two"}
    assert server.asked == {(SHOP, "A"): 1}
    place = f"http://{SHOP}:{named.members[0].port}"
    assert named.listed("from") == {"one": (place,), "two": (place,)}
    # Nor does a worker that comes later look up anything, or wait.
    os.kill(named.ask("workers")["workers"][0]["pid"], signal.SIGKILL)
    wait_until(lambda: named.ask("status")["workers"]["ready"] == 2, what="the next worker")
    has(named, "one", "two")
    assert server.asked == {(SHOP, "A"): 1}


def test_a_member_appears_and_goes_when_the_ttl_ends(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1")
    begin(named, server)
    has(named, "one")
    server.set(SHOP, "A", "127.0.0.1", "127.0.0.2", "127.0.0.3")
    has(named, "one", "two", "three")
    assert {*named.asked()} == {"one", "two", "three"}
    server.set(SHOP, "A", "127.0.0.3", ttl=600)
    has(named, "three")
    assert named.asked() == {"three": 24}
    port = named.members[0].port
    changes = [
        line.partition("now: ")[2] for line in named.portico.log().splitlines() if "the name has" in line
    ]
    assert changes == [
        f"+ 127.0.0.1:{port}",
        f"+ 127.0.0.2:{port}, + 127.0.0.3:{port}",
        f"- 127.0.0.1:{port}, - 127.0.0.2:{port}",
    ]


def test_a_name_is_asked_for_again_when_its_ttl_ends_and_not_before(
    named: Balanced, server: DnsServer
) -> None:
    server.set(SHOP, "A", "127.0.0.1", ttl=2)
    began_s = time.monotonic()
    begin(named, server)
    wait_until(lambda: server.asked[SHOP, "A"] == 3, what="the third look-up")
    assert 4.0 <= time.monotonic() - began_s < 8.0


def test_a_member_that_leaves_the_name_ends_what_it_has(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1")
    begin(named, server)
    held = named.hold()
    named.members[0].held.get(timeout=20)
    server.set(SHOP, "A", "127.0.0.2")
    wait_until(lambda: named.listed("state").get("one") == ("leaving",), what="the next look-up")
    assert named.asked() == {"two": 24}
    named.members[0].go_on.set()
    with held:
        assert held.recv(4096).endswith(b"one")


@pytest.mark.parametrize("how", ["remove", "fails", "is_silent", "no address"])
def test_the_last_known_members_stay(named: Balanced, server: DnsServer, how: str) -> None:
    server.set(SHOP, "A", "127.0.0.1")
    begin(named, server)
    if how == "remove":
        server.remove(SHOP)
    elif how == "no address":
        server.set(SHOP, "A")
    else:
        setattr(server, how, True)
    named.portico.wait_for("cannot look up the name: ")
    before = server.asked[SHOP, "A"]
    assert f"upstream http://{SHOP}:{named.members[0].port}: cannot look up" in named.portico.log()
    assert "going on with the addresses of before: 1" in named.portico.log()
    has(named, "one")
    # Tried again, and said once.
    wait_until(lambda: server.asked[SHOP, "A"] > before, what="another try")
    server.fails = server.is_silent = False
    server.set(SHOP, "A", "127.0.0.2")
    has(named, "two")
    assert named.portico.log().count("cannot look up the name") == 1


def test_a_name_that_is_not_there_yet_keeps_nobody_waiting(named: Balanced, server: DnsServer) -> None:
    began_s = time.monotonic()
    begin(named, server)
    assert time.monotonic() - began_s < 2.5
    assert "it has no members" in named.portico.log()
    with named.portico.ask("/up") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")
    server.set(SHOP, "A", "127.0.0.1")
    has(named, "one")


def test_ipv6_aliases_and_tcp(named: Balanced, server: DnsServer) -> None:
    server.truncates = True
    server.set(SHOP, "CNAME", "other.test", ttl=600)
    server.set("other.test", "AAAA", "::1", ttl=1)
    begin(named, server)
    url = f"http://[::1]:{named.members[0].port}"
    wait_until(lambda: [*named.listed("state")] == [url], what="the look-up")
    # The shortest of the chain counts, and IPv4 goes before.
    server.set("other.test", "A", "127.0.0.2")
    has(named, "two")
    assert server.over_tcp >= 3


def test_a_thousand_addresses_may_change_at_a_time(named: Balanced, server: DnsServer) -> None:
    def set_net(net: int) -> None:
        server.set(SHOP, "A", *(f"127.{net}.{n // 250}.{n % 250 + 1}" for n in range(1000)))

    everywhere = NamedMember("any", host="0.0.0.0")
    set_net(1)
    begin(named, server, f"http://{SHOP}:{everywhere.port}")
    with counted_load(named.portico.port, "/up", clients=2) as load:
        for net in (2, 3, 2):
            set_net(net)
            wait_until(
                lambda net=net: f"http://127.{net}.3.250:{everywhere.port}" in named.listed("state"),
                what="all",
            )
        server.set(SHOP, "A", "127.0.0.1")
        wait_until(lambda: len(named.listed("state")) == 1, what="one alone")
    everywhere.close()
    assert (load.lost, {body for _, body in load.responses}) == ([], {"any"})
    lines = [line for line in named.portico.log().splitlines() if "the name has" in line]
    assert "the name has 1000 addresses now: + 127.1.0.1" in lines[0]
    assert lines[0].endswith(", and 980 other changes")
    assert lines[1].endswith(", and 1980 other changes")
    assert server.over_tcp > 0


def test_names_of_the_hosts_file_are_not_asked_for(named: Balanced, server: DnsServer) -> None:
    begin(named, server, f"http://localhost:{named.members[0].port}")
    has(named, "one")
    assert not server.asked


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("unshare") is None, reason="takes root and unshare")
def test_the_files_of_the_system_say_who_is_asked(named: Balanced, tmp_path: Path) -> None:
    """The servers and the search list of resolv.conf(5), and hosts(5) before them, as they are by then."""
    one = named.members[0]
    host = f"127.53.{os.getpid() % 250}.{os.getpid() // 250 % 250 + 1}"
    server = DnsServer(host, 53)
    server.set("shop.svc.test", "A", "127.0.0.1")
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.2  first.test Hosted.test # hosted.test\n")
    resolv_conf.write_text(f"nameserver {host}\nsearch other.test svc.test\noptions ndots:2\n")
    mounts = " && ".join(f"mount --bind {path} /etc/{path.name}" for path in (hosts, resolv_conf))
    program = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'{mounts} && exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "portico",
    ]
    named.start(
        f"http://shop:{one.port}",
        f"http://hosted.test:{one.port}",
        more='resolver = "dns"\nresolve = 1',
        program=program,
    )
    has(named, "one", "two")
    assert {*server.asked} == {("shop.other.test", "A"), ("shop.svc.test", "A")}
    hosts.write_text("127.0.0.3 hosted.test\n")
    has(named, "one", "three")
    server.close()


# --- SRV records


def test_srv_records_with_targets_in_the_additional_section(named: Balanced, server: DnsServer) -> None:
    """As Consul's DNS does."""
    one, two, _, four = named.members
    server.set("a.addr.test", "A", "127.0.0.1", ttl=0)
    server.set("b.addr.test", "A", "127.0.0.2", ttl=0)
    along = [("a.addr.test", "A"), ("b.addr.test", "A")]
    targets = (f"1 5 {one.port} a.addr.test.", f"1 1 {two.port} b.addr.test.")
    server.set(SERVICE, "SRV", *targets, ttl=0, along=along)
    begin(named, server, f"srv+http://{SERVICE}")
    has(named, "one", "two")
    assert named.listed("weight", "from") == {
        "one": (5, f"srv+http://{SERVICE}"),
        "two": (1, f"srv+http://{SERVICE}"),
    }
    # None of those is asked for by itself.
    assert {*server.asked} == {(SERVICE, "SRV")}
    # Another port of the same host.
    server.set(SERVICE, "SRV", f"1 1 {four.port} a.addr.test.", ttl=0, along=along[:1])
    has(named, "four")
    assert named.asked() == {"four": 24}
    assert {*server.asked} == {(SERVICE, "SRV")}
    # A TTL of 0 is a second, not a storm.
    assert server.asked[SERVICE, "SRV"] < 60


def test_srv_records_whose_targets_are_looked_up(named: Balanced, server: DnsServer) -> None:
    """As in a cluster of Kubernetes, by servers that send nothing along."""
    one = named.members[0]
    for number, last in enumerate((1, 2, 3)):
        server.set(f"pod-{number}.shop.test", "A", f"127.0.0.{last}", ttl=600)
    targets = [f"0 0 {one.port} pod-{number}.shop.test." for number in range(3)]
    server.set(SERVICE, "SRV", *targets)
    begin(named, server, f"srv+http://{SERVICE}")
    has(named, "one", "two", "three")
    assert {*named.asked()} == {"one", "two", "three"}
    # One whose name is not there any more goes, the others stay.
    server.remove("pod-1.shop.test")
    has(named, "one", "three")
    # None at all is taken for a mistake: those of before stay.
    server.set(SERVICE, "SRV", "0 0 0 .")
    named.portico.wait_for(f"the SRV records of {SERVICE} name no server")
    has(named, "one", "three")


def test_a_target_of_which_nothing_is_said_for_a_moment_stays(named: Balanced, server: DnsServer) -> None:
    one = named.members[0]
    for number, last in enumerate((1, 2)):
        server.set(f"pod-{number}.shop.test", "A", f"127.0.0.{last}", ttl=1)
    server.set(SERVICE, "SRV", *(f"0 0 {one.port} pod-{number}.shop.test." for number in range(2)), ttl=600)
    begin(named, server, f"srv+http://{SERVICE}")
    has(named, "one", "two")
    server.failing.add("pod-1.shop.test")
    named.portico.wait_for("cannot look up the name: pod-1.shop.test: ")
    assert "answered SERVFAIL; going on with the addresses of before: 2" in named.portico.log()
    assert {*named.asked()} == {"one", "two"}
    # Asked for again soon, whatever the TTL of the records is, and said once.
    asked = server.asked["pod-1.shop.test", "A"]
    server.set("pod-0.shop.test", "A", "127.0.0.3", ttl=1)
    has(named, "three", "two")
    wait_until(lambda: server.asked["pod-1.shop.test", "A"] > asked + 2, what="further tries")
    assert named.portico.log().count("cannot look up the name") == 1
    # It is there again, elsewhere.
    server.set("pod-1.shop.test", "A", "127.0.0.1", ttl=600)
    server.failing.clear()
    has(named, "three", "one")
    # One that is gone is back as soon, too.
    server.remove("pod-0.shop.test")
    has(named, "one")
    server.set("pod-0.shop.test", "A", "127.0.0.3", ttl=600)
    has(named, "three", "one")


def test_records_that_name_one_server_twice_are_one_member(named: Balanced, server: DnsServer) -> None:
    one, four = named.members[0], named.members[3]
    for name in ("a", "b"):
        server.set(f"{name}.shop.test", "A", "127.0.0.1")
    records = [f"1 2 {one.port} a.shop.test.", f"1 3 {one.port} b.shop.test.", f"9 7 {one.port} b.shop.test."]
    # Port 0 is none that anybody listens on.
    server.set(SERVICE, "SRV", *records, f"1 1 {four.port} a.shop.test.", "1 9 0 a.shop.test.")
    begin(named, server, f"srv+http://{SERVICE}")
    has(named, "one", "four")
    place = f"srv+http://{SERVICE}"
    assert named.listed("weight", "from") == {"one": (5, place), "four": (1, place)}
    asked = named.asked()
    # Of six requests one is for the other; where the round is when the first of these comes is open.
    assert asked.keys() == {"one", "four"}
    assert asked["four"] in (3, 4, 5)


def test_of_several_priorities_the_first_that_is_there(named: Balanced, server: DnsServer) -> None:
    """RFC 2782: "A client MUST attempt to contact the target host with the lowest-numbered priority"."""
    one, two, _, _ = named.members
    for name, last in (("a", 1), ("b", 2), ("c", 3)):
        server.set(f"{name}.test", "A", f"127.0.0.{last}", ttl=600)
    targets = [f"{10 * number} 1 {one.port} {name}.test." for number, name in enumerate("abc", start=1)]
    server.set(SERVICE, "SRV", *targets, ttl=600)
    begin(named, server, f"srv+http://{SERVICE}", more="eject_after = 1\neject_for = 600")
    has(named, "one", "two", "three")
    assert named.asked() == {"one": 24}
    named.change("drain", one)
    assert named.asked() == {"two": 24}
    # One that fails, too.
    two.close()
    assert named.asked() == {"three": 24}
    named.change("add", one)
    assert named.asked() == {"one": 24}


# --- Together with portico ctl


def test_a_service_is_added_and_removed(named: Balanced, server: DnsServer) -> None:
    _, two, _, four = named.members
    server.set(SHOP, "A", "127.0.0.1", ttl=600)
    server.set(SERVICE, "SRV", f"1 1 {four.port} d.test.", ttl=600)
    server.set("d.test", "A", "127.0.0.1", ttl=600)
    begin(named, server)
    place = f"srv+http://{SERVICE}"
    said = ctl("upstream", "add", "up", place, "3", "--socket", named.path, folder=named.folder)
    assert said.stdout == f"{place} of up gets requests\n", said.stderr
    has(named, "one", "four")
    assert named.listed("weight") == {"one": (1,), "four": (3,)}
    named.change("drain", four)
    assert named.asked() == {"one": 24}
    named.change("remove", place)
    has(named, "one")
    named.change("add", f"http://other.test:{two.port}")
    assert named.asked() == {"one": 24}
    server.set("other.test", "A", "127.0.0.2", ttl=600)
    has(named, "one", "two")


def test_a_row_of_the_system_takes_no_service(named: Balanced) -> None:
    named.start(named.members[0].url)
    said = named.change("add", f"srv+http://{SERVICE}")
    assert said["message"] == (
        f"member: expected none of SRV records, since the resolver of up is system, got srv+http://{SERVICE}"
    )


def test_reloads_and_upgrades_go_on_with_what_is_known(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1", "127.0.0.2", ttl=1)
    begin(named, server)
    has(named, "one", "two")
    named.change("drain", named.members[1])
    server.is_silent = True
    assert named.ask("reload") == {"generation": 2}
    done = ctl("upgrade", "--socket", named.path, folder=named.folder)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: named.listed("state", "workers")["one"] == ("up", {"up": 2}), what="the new workers")
    assert named.listed("state") == {"one": ("up",), "two": ("draining",)}
    assert named.asked() == {"one": 24}
    server.is_silent = False
    server.set(SHOP, "A", "127.0.0.3")
    has(named, "three")
    # Another resolver, or none, from the next reload on.
    named.write(named.members[3].url)
    assert named.ask("reload")["generation"] >= 3
    has(named, "four")
    wait_until(
        lambda: len(children(named.portico.process.pid)) == 2, what="the end of the process that resolves"
    )


# --- Without the extra


def test_without_dnspython_a_start_says_what_to_install(named: Balanced, server: DnsServer) -> None:
    named.write(f"srv+http://{SERVICE}", more='resolver = "dns"')
    # What stands in its place cannot be found.
    code = (
        "import importlib.util, sys; find = importlib.util.find_spec;"
        "importlib.util.find_spec = lambda name, *more: None if name == 'dns' else find(name, *more);"
        "from portico.cli import main; sys.argv[0] = 'portico'; sys.exit(main())"
    )
    (named.folder / "shop.py").write_text("application = None\n")
    for command in (("check", "shop"), ("run", "shop")):
        ended = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=named.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 2
        assert ended.stderr == (
            "portico: resolver: expected the package dnspython, since an [[upstream]] asks the DNS, got none"
            ": pip install 'portico-server[dns]'\n"
        )


# --- The process that resolves


def test_one_that_is_killed_is_followed_by_another(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1")
    begin(named, server)
    workers = {each["pid"] for each in named.ask("workers")["workers"]}
    [resolver] = {*named.portico.worker_pids} - workers
    assert Path(f"/proc/{resolver}/cmdline").read_bytes().startswith(b"portico: resolver ")
    os.kill(resolver, signal.SIGKILL)
    named.portico.wait_for("the process that looks up names was killed by SIGKILL; it starts again")
    server.set(SHOP, "A", "127.0.0.2")
    has(named, "two")


def test_it_ends_with_its_supervisor(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1", ttl=600)
    begin(named, server)
    pids = named.portico.worker_pids
    assert len(pids) == 3
    named.portico.process.kill()
    named.portico.process.wait()
    wait_until(lambda: not any(_is_there(pid) for pid in pids), what="the end of all")


def test_it_is_not_in_the_way_of_a_stop(named: Balanced, server: DnsServer) -> None:
    server.is_silent = True
    begin(named, server)
    named.portico.stop()
    assert "it starts again" not in named.portico.log()


@of_the_default
def test_nothing_of_it_is_in_other_processes(named: Balanced, server: DnsServer) -> None:
    server.set(SHOP, "A", "127.0.0.1", ttl=600)
    begin(named, server)
    named.ask("reload")
    wait_until(lambda: len(named.portico.worker_pids) == 3, what="the end of the workers of before")
    workers = {each["pid"] for each in named.ask("workers")["workers"]}
    [resolver] = {*named.portico.worker_pids} - workers
    maps = {
        pid: Path(f"/proc/{pid}/maps").read_text() for pid in (*workers, resolver, named.portico.process.pid)
    }
    # The module that dnspython imports first of those which are files of their own.
    assert {pid for pid, text in maps.items() if "_ssl" in text or "_hashlib" in text} == {resolver}


def _is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
