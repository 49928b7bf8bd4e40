"""Applications and mounts that move between pools in one reload: nobody is asked for what is another's."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.counted_load import counted_load
from support.processes import is_alive
from support.waiting import wait_until

from .test_pools import Several

TELLS = """
def application(environ, start_response):
    body = f"{__name__} at {environ['SCRIPT_NAME']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
HELD = f"""
import os, time
open("loads", "w").close()
parent = os.getppid()
while not os.path.exists("go") and os.getppid() == parent:
    time.sleep(0.01)
{TELLS}
"""
BEGIN = "[processes]\nworkers = 1\n[routes]\nworkers = 1\n"
ALONE = "threads = 2\n"
"""What takes a pool of its own."""


def app(name: str, mount: str, more: str = "") -> str:
    return f'[[app]]\napp = "{name}"\nmount = "{mount}"\n{more}'


# The pool of those that share one gets an application and gives another away, and so does each way back.
FIRST = BEGIN + app("front", "/") + app("news", "/news") + app("shop", "/shop", ALONE)
OTHER = BEGIN + app("front", "/") + app("news", "/news", ALONE) + app("shop", "/shop")


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Several]:
    made = Several(tmp_path)
    for name in ("front", "news", "shop", "blog"):
        (tmp_path / f"{name}.py").write_text(TELLS)
    yield made
    (tmp_path / "go").touch()
    made.kill()


def test_each_request_has_its_application_while_pools_swap_theirs(several: Several) -> None:
    several.start(FIRST, waits_for=("shared", "shop"))
    expected = {"/news/a": "news at /news", "/shop/a": "shop at /shop", "/a": "front at "}
    with ExitStack() as stack:
        loads = [stack.enter_context(counted_load(several.port, path, clients=2)) for path in expected]
        for _ in range(3):
            for text in (OTHER, FIRST):
                several.write(text)
                several.ctl("reload")
    for load, body in zip(loads, expected.values(), strict=True):
        assert (load.lost, Counter(body for _, body in load.responses).keys()) == ([], {body})
        assert len(load.responses) == load.asked > 100


def test_a_mount_that_moves_is_the_one_before_or_the_new_one(several: Several) -> None:
    def at(mount: str) -> str:
        return BEGIN + app("front", "/") + app("shop", mount, ALONE)

    several.start(at("/shop"), waits_for=("shared", "shop"))
    with counted_load(several.port, "/shop/a") as old, counted_load(several.port, "/shop/new/a") as new:
        for mount in ("/shop/new", "/shop") * 2:
            several.write(at(mount))
            several.ctl("reload")
    assert (old.lost, new.lost) == ([], [])
    assert {body for _, body in old.responses} == {"shop at /shop", "front at "}
    assert {body for _, body in new.responses} == {"shop at /shop", "shop at /shop/new"}


def test_who_asks_a_pool_that_takes_long_to_change_waits_for_it(several: Several) -> None:
    several.start(FIRST, waits_for=("shared", "shop"))
    (several.folder / "front.py").write_text(HELD)
    robots = '[[respond]]\npath = "/robots.txt"\nbody = "new"\n'
    several.write(OTHER + robots)
    with counted_load(several.port, "/news/a", clients=2) as load:
        several.running.signal(1)
        wait_until((several.folder / "loads").exists, what="the shared pool to load its applications")
        # The router keeps to what is served for a while, and then goes on.
        wait_until(lambda: several.body("/robots.txt") == "new", what="the other router", deadline_s=30)
        bodies: list[str] = []
        asker = threading.Thread(target=lambda: bodies.append(several.body("/shop/a")))
        asker.start()
        asker.join(0.5)
        assert (bodies, asker.is_alive()) == ([], True)
        (several.folder / "go").touch()
        asker.join(20)
        assert bodies == ["shop at /shop"]
    assert (load.lost, {body for _, body in load.responses}) == ([], {"news at /news"})


def test_a_pool_that_cannot_start_with_other_mounts_goes_on_as_it_was(several: Several) -> None:
    portico = several.start(FIRST, waits_for=("shared", "shop"))
    shared = several.pools()["shared"]["pid"]
    (several.folder / "front.py").write_text("raise RuntimeError('on purpose')")
    with counted_load(several.port, "/a", clients=2) as load:
        several.write(OTHER)
        assert "all is as configured but for shared;" in several.ctl("reload", fails=True)
        pool: dict[str, Any] = several.pools()["shared"]
        assert (pool["pid"], pool["state"]) == (shared, "serving")
        assert pool["why"].startswith("as it was: the last change could not be made")
        assert "before it served; the one before goes on" in portico.log()
        assert several.body("/news/a") == "news at /news"
        # It was mended: the process that stayed has what it was to have.
        (several.folder / "front.py").write_text(TELLS)
        several.ctl("reload")
        assert several.body("/shop/a") == "shop at /shop"
        assert several.pools()["shared"]["pid"] == shared
        # And back, where its path is free again.
        several.write(FIRST)
        several.ctl("reload")
    assert (load.lost, {body for _, body in load.responses}) == ([], {"front at "})
    wait_until(lambda: not is_alive(shared), what="the process of before to have gone")
    assert several.body("/news/a") == "news at /news"


def test_a_second_reload_comes_while_a_pool_changes(several: Several) -> None:
    several.start(FIRST, waits_for=("shared", "shop"))
    (several.folder / "front.py").write_text(HELD)
    with counted_load(several.port, "/news/a", clients=2) as load:
        several.write(OTHER)
        several.running.signal(1)
        wait_until((several.folder / "loads").exists, what="the shared pool to load its applications")
        several.write(FIRST + app("blog", "/blog"))
        several.running.signal(1)
        (several.folder / "go").touch()
        several.ctl("reload")
        assert several.body("/blog/a") == "blog at /blog"
    assert (load.lost, {body for _, body in load.responses}) == ([], {"news at /news"})
    assert [pool["state"] for pool in json.loads(several.ctl("status", "--json"))["pools"]] == ["serving"] * 2


def test_an_upgrade_to_other_mounts_upgrades_nobody_who_leaves(several: Several) -> None:
    portico = several.start(FIRST, waits_for=("shared", "shop"))
    with counted_load(several.port, "/news/a", clients=2) as load:
        several.write(OTHER)
        several.ctl("upgrade")
        portico.wait_for("pool shared: the new process serves, the one before leaves")
        several.wait_for_state("shared", "serving")
        assert several.body("/shop/a") == "shop at /shop"
    assert (load.lost, {body for _, body in load.responses}) == ([], {"news at /news"})
    # What was there under other mounts would have become what serves the new ones.
    assert portico.log().count("upgrading: trying the program that is there now") == 1
    assert "the upgrade was not made" not in portico.log()
