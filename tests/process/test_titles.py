"""What the processes are called: in `ps`, in `top`, and by the next portico that wants their port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="takes /proc")

SHOP = """
import os, sys
def application(environ, start_response):
    start_response("200 OK", [])
    return [repr([sys.argv, sys.orig_argv, dict(os.environ)]).encode()]
"""
LONG = "long " * 2000


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def short_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def titles(portico: Portico) -> list[str]:
    return [title(portico.process.pid), *sorted(map(title, portico.worker_pids))]


def test_a_title_says_which_process_of_which_application_it_is(start: Start) -> None:
    portico = start(SHOP, "-w", "2", application="shop:application")
    portico.wait_ready()
    assert titles(portico) == [
        "portico: supervisor shop:application",
        "portico: worker 1 shop:application",
        "portico: worker 2 shop:application",
    ]
    assert short_name(portico.process.pid) == "portico"
    assert [short_name(pid) for pid in portico.worker_pids] == ["portico worker"] * 2


@pytest.mark.parametrize("option", ["-n", "--name"])
def test_a_name_stands_in_place_of_the_application(start: Start, option: str) -> None:
    portico = start(SHOP, "-w", "1", option, "The café")
    portico.wait_ready()
    assert titles(portico) == ["portico: supervisor The café", "portico: worker 1 The café"]


def test_a_successor_has_the_number_of_a_worker_that_died(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    before = titles(portico)
    [first] = [pid for pid in portico.worker_pids if title(pid) == "portico: worker 1 shop"]
    os.kill(first, signal.SIGKILL)
    portico.wait_for("is ready after")
    wait_until(lambda: titles(portico) == before, what="the same titles")


@pytest.mark.parametrize(
    "command",
    [["ps", "-ww", "-o", "args=", "-p", "{pid}"], ["top", "-b", "-c", "-n", "1", "-w", "200", "-p", "{pid}"]],
    ids=["ps", "top"],
)
def test_is_what_people_see(start: Start, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"takes {command[0]} (procps)")
    portico = start(SHOP, "-w", "1", "--name", "the shop")
    portico.wait_ready()
    for pid, shown in zip(
        [portico.process.pid, *portico.worker_pids],
        ["portico: supervisor the shop", "portico: worker 1 the shop"],
        strict=True,
    ):
        words = [word.format(pid=pid) for word in command]
        environment = {**os.environ, "TERM": "dumb"}
        found = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        assert found.stdout.rstrip().endswith(shown)


@pytest.mark.parametrize("name", ["shop", LONG], ids=["short", "longer than the command line"])
def test_leaves_arguments_and_environment_as_they_were(start: Start, name: str) -> None:
    portico = start(SHOP, "-w", "1", "-e", "LAST=word", environment={"FIRST": "word", "PORTICO_NAME": name})
    portico.wait_ready()
    wanted = f"portico: worker 1 {name.strip()}"
    [shown] = map(title, portico.worker_pids)
    assert shown == wanted if name == "shop" else wanted.startswith(shown) and 200 < len(shown) < len(wanted)
    arguments, command, environment = eval(portico.get())
    assert arguments[1:] == ["run", "shop", *arguments[3:-2], "-e", "LAST=word"]
    assert command[-len(arguments) :] == arguments
    assert (environment["FIRST"], environment["LAST"]) == ("word", "word")
    of_kernel = Path(f"/proc/{portico.worker_pids[0]}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    # What the supervisor's dynamic linker was told, and nobody sees after it.
    of_kernel.remove(b"LD_BIND_NOW=1")
    assert sorted(of_kernel) == sorted(f"{key}={value}".encode() for key, value in environment.items())


def test_goes_without_where_it_may_not_write(start: Start, tmp_path: Path) -> None:
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("takes root and unshare (util-linux)")
    read_only = 'mount -t proc -o ro none /proc; exec "$@"'
    program = ["unshare", "--mount", "sh", "-c", read_only, "sh", sys.executable, "-m", "portico"]
    portico = start(SHOP, "-w", "1", program=program)
    portico.wait_ready()
    assert " shop" in title(portico.process.pid).replace("\0", " ")
    portico.stop()
