"""The pure parts of portico.process: messages, plan, worker set, CPUs, banner, calls."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from portico import __version__
from portico.config.addresses import parse_address
from portico.config.identity import Identity
from portico.config.sources import resolve
from portico.process.banner import banner
from portico.process.calls import describe_call, describe_calls
from portico.process.cpus import cgroup_quota
from portico.process.invocation import Invocation
from portico.process.memory_room import Room, memory_limit
from portico.process.messages import Decoder, Drain, Failed, Ready, Unknown, encode
from portico.process.plan import Listener, Plan, dump_plan, load_plan
from portico.process.worker_handle import BOOTING, LEAVING, READY, WorkerHandle
from portico.process.worker_set import WorkerSet

SETTINGS = resolve({"app": ["shop"]}, {})


def plan(**texts: str) -> Plan:
    return Plan(
        resolve({name: [text] for name, text in texts.items()}, {}),
        [
            Listener(3, parse_address("uwsgi://127.0.0.1:80?persistent=on"), "uwsgi://127.0.0.1:80"),
            Listener(4, parse_address("unix:/a?mode=660"), "unix:/a", identity=(1, 2)),
            Listener(5, parse_address("scgi+fd://web"), "scgi+unix:@b (from fd://web)"),
        ],
        directory="/srv",
        import_path=["/srv"],
        invocation=Invocation(["python", "-m", "portico"], "/srv", {"A": "1"}, umask=0o022),
        worker_count=2,
        worker_reason="2 CPUs allowed by affinity",
        started_at_s=1.5,
        identity=Identity(1000, 1000, [4], {"HOME": "/home/shop"}),
        hooks=("on_start",),
        admin=[Listener(7, parse_address("127.0.0.1:9100"), "http://127.0.0.1:9100")],
        control=[Listener(6, parse_address("unix:/run/c.sock"), "/run/c.sock", identity=(1, 3))],
        pid_file="/run/shop.pid",
    )


def test_the_version_is_that_of_the_crate() -> None:
    manifest = (Path(__file__).parents[2] / "Cargo.toml").read_text()
    found = re.search(r'(?ms)^\[workspace\.package\].*?^version = "([^"]+)"', manifest)
    assert found is not None
    assert found[1] == __version__


def test_decodes_messages_byte_by_byte() -> None:
    frames = encode(Ready("shop:application")) + encode(Failed("no\nluck é")) + encode(Drain(number=70_000))
    decoder = Decoder()
    got = [message for byte in frames for message in decoder.feed(bytes([byte]))]
    assert [(message.kind, message.text, message.number) for message in got] == [
        (Ready, "shop:application", 0),
        (Failed, "no\nluck é", 0),
        (Drain, "", 70_000),
    ]
    assert len(Decoder().feed(frames)) == 3


def test_passes_over_a_message_of_another_version() -> None:
    frames = b"Z" + encode(Ready("new"))[1:] + encode(Ready("known"))
    assert [message.kind for message in Decoder().feed(frames)] == [Unknown, Ready]


def test_a_frame_that_was_begun_goes_on_in_another_decoder() -> None:
    frame = encode(Ready("shop:application"))
    before = Decoder()
    assert before.feed(frame[:12]) == []
    (message,) = Decoder(before.begun).feed(frame[12:])
    assert message.text == "shop:application"


def test_a_plan_survives_its_exec() -> None:
    before = plan(app="shop", env="A=1", timeout="2m")
    after = load_plan(dump_plan(before))
    assert after.settings.values == before.settings.values
    assert after.settings.origins == before.settings.origins
    assert [(one.fd, one.identity) for one in after.control] == [(6, (1, 3))]
    assert [(one.fd, one.asked) for one in after.admin] == [(7, "127.0.0.1:9100")]
    assert [one.fd for one in after.sockets] == [3, 4, 5, 7]
    assert (after.hooks, after.pid_file, after.invocation.umask) == (("on_start",), "/run/shop.pid", 0o022)
    assert after.identity is not None
    assert (after.identity.uid, after.identity.groups, after.identity.variables) == (
        1000,
        [4],
        {"HOME": "/home/shop"},
    )
    assert [(one.fd, str(one.address), one.display, one.identity) for one in after.listeners] == [
        (3, "uwsgi://127.0.0.1:80?persistent=on", "uwsgi://127.0.0.1:80", None),
        (4, "unix:/a?mode=660", "unix:/a", (1, 2)),
        (5, "scgi+fd://web", "scgi+unix:@b (from fd://web)", None),
    ]
    assert (after.directory, after.worker_count, after.started_at_s) == ("/srv", 2, 1.5)


def test_the_banner_says_where_what_and_why() -> None:
    assert banner(plan(threads="1"), "shop:app", workers=2, version="1.0", pid=7, startup_s=0.214) == (
        "portico 1.0 serves shop:app\n"
        "  on uwsgi://127.0.0.1:80, unix:/a, scgi+unix:@b (from fd://web)\n"
        "  with 2 workers x 1 thread (2 CPUs allowed by affinity)\n"
        "  ready in 0.21 s, pid 7"
    )


def status(*calls: tuple[float, str], silent_s: float | None = None, waiting_s: float = 0.0) -> Any:
    """What the scoreboard shows of calls with these seconds; the last `silent_s` of them without a block."""
    return SimpleNamespace(
        calls=[
            SimpleNamespace(
                elapsed_s=elapsed_s, silent_s=elapsed_s if silent_s is None else silent_s, what=what
            )
            for elapsed_s, what in calls
        ],
        waiting_s=waiting_s,
    )


def test_names_the_calls_in_flight() -> None:
    assert describe_calls(status()) == ""
    assert (
        describe_calls(status((0.1, "GET /a"), (2.0, "GET /b")))
        == ", in flight: GET /b (2.0 s), GET /a (0.1 s)"
    )
    assert describe_calls(status(*[(1.0, "GET /")] * 7)).endswith(" and 2 more")
    assert describe_calls(status(waiting_s=0.1)) == ""
    assert describe_calls(status(waiting_s=2.0)) == ", waiting for the interpreter for 2.0 s"


def test_says_how_long_a_call_has_taken() -> None:
    [call] = status((3.0, "GET /b")).calls
    assert describe_call(call) == "GET /b has been in the application for 3.0 s"
    [call] = status((9.0, "GET /a"), silent_s=1.1).calls
    assert describe_call(call) == "GET /a has kept its client waiting for 1.1 s"


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "300000 100000"}, 1.0),
        ("0::/the/host's/path\n", {"cpu.max": "50000 100000"}, 0.5),
        ("3:cpu,cpuacct:/x\n", {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1"}, None),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "200000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            2.0,
        ),
    ],
    ids=["v2 no limit", "v2", "v2 tightest of its parents", "v2 in a container", "v1 no limit", "v1"],
)
def test_reads_the_cgroup_quota(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(content + "\n")
    (tmp_path / "cgroup").write_text(membership)
    assert cgroup_quota(str(tmp_path / "fs"), str(tmp_path / "cgroup")) == quota


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/a/b\n", {"a/memory.max": "1000", "a/b/memory.max": "3000"}, 1000),
        ("4:memory:/x\n", {"memory/x/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("4:memory:/x\n0::/\n", {"memory/memory.limit_in_bytes": "2000"}, 2000),
        ("", {}, None),
    ],
    ids=["v2 no limit", "v2 tightest of its parents", "v1 no limit", "v1 in a container", "no cgroup"],
)
def test_reads_the_memory_limit(
    tmp_path: Path, membership: str, files: dict[str, str], limit: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(content + "\n")
    (tmp_path / "cgroup").write_text(membership)
    assert memory_limit(str(tmp_path / "fs"), str(tmp_path / "cgroup")) == limit


def test_memory_has_room_for_four_fifths_and_for_one_worker_at_least() -> None:
    assert [Room(limit, 100).workers for limit in (1000, 249, 10)] == [8, 1, 1]
    assert str(Room(512 << 20, 100 << 20)) == (
        "the cgroup allows 512 MiB of memory, and one worker has 100 MiB when it is ready"
    )


def worker_set(*workers: tuple[int, str], wanted: int = 2) -> WorkerSet:
    """A set of workers with these generations and states; their pids count from 0."""
    made = WorkerSet(wanted)
    for pid, (generation, state) in enumerate(workers):
        worker = WorkerHandle(
            SETTINGS, pid=pid, slot=pid, generation=generation, message_fd=-1, stack_fd=-1, now_s=0
        )
        worker.state = state
        made.add(worker)
    return made


@pytest.mark.parametrize(
    ("workers", "missing", "surplus"),
    [
        ([], 2, []),
        ([(0, BOOTING)], 1, []),
        ([(0, READY), (0, BOOTING)], 0, []),
        ([(0, READY), (0, LEAVING)], 1, []),
        ([(0, READY), (0, READY), (0, READY)], 0, [2]),
    ],
    ids=["none", "one", "both", "one is leaving", "one too many"],
)
def test_wants_as_many_workers_as_told(
    workers: list[tuple[int, str]], missing: int, surplus: list[int]
) -> None:
    found = worker_set(*workers)
    assert found.missing(0, 2) == missing
    assert [worker.pid for worker in found.surplus(0, 2)] == surplus


@pytest.mark.parametrize(
    ("workers", "missing", "surplus"),
    [
        ([(0, READY), (0, READY)], 1, []),
        ([(0, READY), (0, READY), (1, BOOTING)], 0, []),
        ([(0, READY), (0, READY), (1, READY)], 1, [0]),
        ([(0, LEAVING), (0, READY), (1, READY), (1, BOOTING)], 0, []),
        ([(0, READY), (1, READY), (1, READY)], 0, [0]),
        ([(0, BOOTING), (0, READY)], 1, [0]),
        ([(0, BOOTING), (0, BOOTING)], 2, [0, 1]),
    ],
    ids=["begins", "first boots", "first ready", "second boots", "second ready", "one boots", "both boot"],
)
def test_rolls_one_worker_at_a_time_and_never_has_too_few(
    workers: list[tuple[int, str]], missing: int, surplus: list[int]
) -> None:
    found = worker_set(*workers)
    assert found.missing(1, 2) == missing
    assert [worker.pid for worker in found.surplus(1, 2)] == surplus


def test_rolls_as_many_at_a_time_as_told() -> None:
    found = worker_set((0, READY), (0, READY), (0, READY), (1, BOOTING))
    assert found.missing(1, 3, parallel=2) == 1
    assert found.missing(1, 3, parallel=8) == 2


def test_never_wants_more_workers_than_there_are_slots() -> None:
    found = worker_set(*[(0, LEAVING)] * 30)
    found.slots = 32
    assert found.missing(0, 4) == 2
    assert found.free_slots(4) == [30, 31]


def test_gives_out_the_lowest_free_slot() -> None:
    found = worker_set((0, READY), (0, READY), (0, READY))
    found.remove(found.workers[1])
    assert found.free_slots(2) == [1, 3]
