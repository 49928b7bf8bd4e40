"""What a profile says of routes that are guilty of something, and who gets one, of real servers."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from process.test_control import line, read_response
from support.processes import is_alive
from support.server import free_port
from support.waiting import wait_until

from .conftest import SHOP, Profiled, ticks

BEGINS = "control: profile "
POOLS = """
[listening]
bind = ["127.0.0.1:{}"]
[processes]
workers = 1
[routes]
workers = 1
[[app]]
app = "shop"
[[app]]
app = "shop"
name = "other"
mount = "/other"
threads = 2
"""


# --- What it says


def test_who_computes_is_told(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with profiled.load(portico, "/cpu"):
        result = profiled.result("--seconds", "2")
    assert ticks(result, route="/cpu") > 50
    assert ticks(result, route="/cpu", kind="cpu", function="price_everything") * 2 > ticks(
        result, route="/cpu"
    )


def test_a_stack_begins_with_the_application_on_the_first_thread_too(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", "--threads", "1", source=SHOP)
    with profiled.load(portico, "/sleep"):
        result = profiled.result("--seconds", "1")
    stacks = [sample["stack"] for sample in result["samples"] if len(sample["stack"]) > 1]
    assert {stack[0].partition(" ")[0] for stack in stacks} == {"application"}


@pytest.mark.parametrize(
    ("path", "others", "guilty"),
    [("/sleep", (), "sleep_deeply"), ("/lock", ("/hold", "/hold"), "wait_for_the_lock")],
)
def test_who_waits_is_told(profiled: Profiled, path: str, others: tuple[str, ...], guilty: str) -> None:
    portico = profiled.start("-w", "1", "--threads", "8", source=SHOP)
    with profiled.load(portico, path, *others):
        result = profiled.result("--seconds", "2")
    assert ticks(result, route=path) > 50
    assert ticks(result, route=path, kind="waiting", function=guilty) > 0.8 * ticks(result, route=path)


def test_who_waits_for_the_interpreter_is_told(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", "--threads", "4", source=SHOP)
    with profiled.load(portico, "/cpu", "/cpu", "/cpu"):
        result = profiled.result("--seconds", "3")
    assert result["tells_lock"]
    locked = ticks(result, kind="lock")
    assert locked > 0.2 * ticks(result)
    assert ticks(result, kind="lock", function="price_everything") > 0.2 * locked
    assert ticks(result, kind="waiting") < 0.2 * ticks(result)


def test_c_code_that_keeps_the_interpreter_is_told(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", "--threads", "4", source=SHOP)
    with profiled.load(portico, "/keep", "/keep"):
        result = profiled.result("--seconds", "3")
    # Ticks that have passed meanwhile are counted: the time adds up.
    assert result["missed"] > 0.3 * result["ticks"]
    assert ticks(result) > 0.8 * result["ticks"]
    assert ticks(result, function="keep_the_interpreter") > 0.2 * ticks(result, route="/keep")
    assert ticks(result, kind="lock") > 0.1 * result["ticks"]


def test_a_route_is_the_framework_s_also_before_that_is_known(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with profiled.load(portico, "/order/1", "/order/2"):
        result = profiled.result("--seconds", "2")
    # What had begun before, or goes on at the end, may have a path only.
    assert ticks(result, route="/order/<int:number>") > 0.8 * ticks(result) > 0


def test_one_route_alone(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with profiled.load(portico, "/sleep", "/order/1"):
        result = profiled.result("--seconds", "1", "--route", "/sleep")
        missing = profiled.profile("--seconds", "1", "--route", "/cpu", exit_code=2)
    assert {sample["route"] for sample in result["samples"]} == {"/sleep"}
    assert {each["route"] for each in result["routes"]} > {"/sleep"}
    assert '--route: no call of "/cpu" was seen, of these: ' in missing.stderr
    assert '"/sleep"' in missing.stderr


def test_a_deep_stack_is_truncated_at_its_outer_end(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with profiled.load(portico, "/deep"):
        result = profiled.result("--seconds", "1")
    deepest = max((sample["stack"] for sample in result["samples"]), key=len)
    assert deepest[0] == "(deeper)"
    assert len(deepest) == 251
    assert deepest[-1].startswith("deep (")


def test_nothing_is_seen_of_idle_threads(profiled: Profiled) -> None:
    profiled.start("-w", "1", source=SHOP)
    printed = profiled.profile("--seconds", "1", "--format", "json")
    assert '"samples": []' in printed.stdout
    assert "no call ran meanwhile" in printed.stderr


def test_the_time_adds_up(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", "--threads", "1", source=SHOP)
    with profiled.load(portico, "/sleep"):
        result = profiled.result("--seconds", "2", "--hz", "50")
    assert 95 <= result["ticks"] <= 101
    assert 0.8 * result["ticks"] <= ticks(result) <= result["ticks"] + 1


def test_each_worker_is_told_or_one(profiled: Profiled) -> None:
    portico = profiled.start("-w", "2", "--threads", "2", source=SHOP)
    pids = portico.worker_pids
    with profiled.load(portico, *["/sleep"] * 4):
        both = profiled.result("--seconds", "1")
        one = profiled.result("--seconds", "1", "--worker", "2")
        by_pid = profiled.result("--seconds", "1", "--worker", str(pids[0]))
    assert sorted(both["workers"]) == sorted(pids)
    assert {sample["worker"] for sample in both["samples"]} <= set(pids)
    assert len(one["workers"]) == 1
    assert {sample["worker"] for sample in by_pid["samples"]} <= {pids[0]}
    assert by_pid["workers"] == [pids[0]]


def test_a_worker_has_nothing_of_it_before(profiled: Profiled) -> None:
    source = SHOP.replace(
        "def application(environ",
        """
import sys
def application(environ, start_response):
    names = sorted(name for name in sys.modules if "profile" in name)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{names} {sys.getswitchinterval()}".encode()]

def other(environ""",
    )
    portico = profiled.start("-w", "1", source=source)
    before = portico.get()
    assert before.startswith("[] ")
    profiled.result("--seconds", "1")
    # The switch interval is what it was.
    assert portico.get().rpartition(" ")[2] == before.rpartition(" ")[2]


# --- Who gets one


def ask(profiled: Profiled, **fields: Any) -> socket.socket:
    """A client that waits for a profile, which has begun."""
    connection = profiled.connect()
    connection.settimeout(60)
    connection.sendall(line("profile", **fields))
    return connection


def test_there_is_one_at_a_time(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with ask(profiled, seconds=3) as first:
        portico.wait_for(BEGINS)
        busy = profiled.ask("profile", seconds=1)
        assert (busy["error"], busy["message"]) == (
            "busy",
            "another profile is being made, and there is one at a time",
        )
        assert "profile: another profile" in profiled.profile("--seconds", "1", exit_code=2).stderr
        assert read_response(first)["ok"]
    assert profiled.result("--seconds", "1")["seconds"] == 1


def test_a_client_that_has_gone_ends_its_profile(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with ask(profiled, seconds=600):
        portico.wait_for(BEGINS)
    wait_until(lambda: "error" not in profiled.ask("profile", seconds=1), what="the next profile")
    (pid,) = portico.worker_pids
    assert profiled.result("--seconds", "1")["workers"] == [pid]

    def names() -> list[str]:
        tasks = f"/proc/{pid}/task"
        return [Path(tasks, task, "comm").read_text().strip() for task in os.listdir(tasks)]

    wait_until(lambda: "portico-profile" not in names(), what="the end of its thread")


def test_a_worker_that_is_killed_leaves_the_others_part(profiled: Profiled) -> None:
    portico = profiled.start("-w", "2", "--threads", "2", source=SHOP)
    gone, stays = portico.worker_pids
    with profiled.load(portico, *["/sleep"] * 4), ask(profiled, seconds=3) as client:
        portico.wait_for(BEGINS)
        portico.signal_worker(gone, signal.SIGKILL)
        result = read_response(client)["result"]
    assert result["workers"] == [stays]
    assert result["partial"] == [{"worker": gone, "seconds": 0.0, "why": "it has ended"}]
    assert ticks(result) > 0


def test_a_reload_ends_a_profile_early_with_what_was_seen(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    (before,) = portico.worker_pids
    with profiled.load(portico, "/sleep"), ask(profiled, seconds=30) as client:
        portico.wait_for(BEGINS)
        with profiled.connect() as other:
            other.settimeout(60)
            other.sendall(line("reload"))
            assert read_response(other)["ok"]
        result = read_response(client)["result"]
    assert result["workers"] == [before]
    assert [(each["worker"], each["why"]) for each in result["partial"]] == [
        (before, "it has left before the end")
    ]
    assert result["partial"][0]["seconds"] < 30


def test_the_end_of_the_supervisor_is_the_end_of_it(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    (worker,) = portico.worker_pids
    with ask(profiled, seconds=600):
        portico.wait_for(BEGINS)
        portico.process.kill()
        portico.process.wait()
        wait_until(lambda: not is_alive(worker), what="the end of the worker")


def test_the_server_serves_and_tells_meanwhile(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    with ask(profiled, seconds=2) as client:
        portico.wait_for(BEGINS)
        assert profiled.ask("status")["workers"]["ready"] == 1
        assert portico.get("/cpu").isdigit()
        assert read_response(client)["ok"]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"seconds": 0}, "bad-request", "seconds: expected a whole number from 1 to 600, got 0"),
        ({"seconds": "x"}, "bad-request", "seconds: expected a whole number from 1 to 600, got 'x'"),
        ({"hz": 1001}, "bad-request", "hz: expected a whole number from 1 to 1000, got 1001"),
        ({"route": 7}, "bad-request", 'route: expected a text, got "7"'),
        ({"worker": 99}, "rejected", "worker: expected the number or the process id of one (1 is "),
        ({"worker": "x"}, "rejected", "worker: expected the number or the process id of one (1 is "),
        ({"worker": True}, "rejected", "worker: expected the number or the process id of one (1 is "),
    ],
)
def test_a_wrong_wish_is_a_sentence(
    profiled: Profiled, fields: dict[str, Any], error: str, message: str
) -> None:
    profiled.start("-w", "1", source=SHOP)
    response = profiled.ask("profile", **fields)
    assert response["error"] == error
    assert response["message"].startswith(message)


def test_a_server_of_pools_says_which(profiled: Profiled) -> None:
    port = free_port()
    (profiled.folder / "portico.toml").write_text(POOLS.format(port))
    options = ("-c", "portico.toml", "--control", profiled.path)
    portico = profiled.begin(SHOP, *options, application="", port=port, reads_file=True)
    portico.wait_ready()
    rejected = profiled.profile("--seconds", "1", exit_code=2).stderr
    assert "profile: the applications run in pools, each by itself: --pool says which (" in rejected
    names = [pool["name"] for pool in profiled.ask("status")["pools"]]

    def are_serving() -> bool:
        return {pool["state"] for pool in profiled.ask("status")["pools"]} == {"serving"}

    wait_until(are_serving, what="all pools")
    has_ended = threading.Event()

    def load() -> None:
        while not has_ended.is_set():
            portico.get("/sleep")

    client = threading.Thread(target=load)
    client.start()
    try:
        results = [profiled.result("--seconds", "1", "--pool", name) for name in names]
    finally:
        has_ended.set()
        client.join()
    assert any(ticks(result, function="sleep_deeply") for result in results)


def test_a_file_that_cannot_be_written_is_said_before(profiled: Profiled) -> None:
    profiled.start("-w", "1", source=SHOP)
    rejected = profiled.profile("--seconds", "600", "--output", "nowhere/profile.html", exit_code=2)
    assert '--output: cannot write "nowhere/profile.html": No such file or directory' in rejected.stderr


def test_a_profile_that_is_none_leaves_no_file(profiled: Profiled) -> None:
    portico = profiled.start("-w", "1", source=SHOP)
    for words in (("--worker", "99"), ("--route", "/nowhere", "--seconds", "1")):
        profiled.profile(*words, "--output", "profile.html", exit_code=2)
        assert not (portico.folder / "profile.html").exists(), words
    (portico.folder / "profile.html").write_text("the one of before")
    profiled.profile("--worker", "99", "--output", "profile.html", exit_code=2)
    assert (portico.folder / "profile.html").read_text() == "the one of before"
