"""preload beside all else that a supervisor does: hooks, privileges, logs that move, upgrades."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from support.waiting import wait_until
from support.ways import without_loop

from .conftest import Start
from .preloading import SHOP, templates, wait_for_workers, workers
from .test_preload import Counted, preloaded
from .test_refork import reforked


def test_hooks_run_in_the_workers_and_not_in_the_template(start: Start, tmp_path: Path) -> None:
    (tmp_path / "hooks_of_shop.py").write_text(
        "import os\n"
        "def note(*words):\n"
        "    with open('noted', 'a') as file:\n"
        "        print(*words, file=file)\n"
        "def post_fork(server, worker): note('post_fork', os.getpid(), worker.pid, worker.number)\n"
        "def worker_ready(server, worker): note('worker_ready', os.getpid(), worker.pid, worker.number)\n"
    )
    portico = preloaded(start, SHOP, "--hooks", "hooks_of_shop")
    pids = wait_for_workers(portico, 2)
    noted = sorted((tmp_path / "noted").read_text().splitlines())
    named = [f"{pid} {pid} {number}" for number, pid in enumerate(pids, 1)]
    assert noted == sorted(f"{hook} {each}" for hook in ("post_fork", "worker_ready") for each in named)
    portico.stop()


def test_workers_write_to_the_logs_that_are_there_now(start: Start, tmp_path: Path) -> None:
    logs = ("--access-log", "access.log", "--error-log", "errors.log")
    portico = start(SHOP, "--preload", "-w", "1", *logs)
    errors, access = tmp_path / "errors.log", tmp_path / "access.log"
    wait_until(lambda: errors.exists() and "ready in" in errors.read_text(), what="the start")
    for path in (errors, access):
        path.rename(f"{path}.1")
    portico.signal(signal.SIGUSR1)
    wait_until(lambda: errors.exists() and access.exists(), what="the new files")
    (before,) = workers(portico)
    os.kill(before, signal.SIGKILL)
    (pid,) = wait_for_workers(portico, 1, besides=[before])
    wait_until(lambda: f"worker {pid} is ready" in errors.read_text(), what="another worker")
    portico.get()
    os.kill(pid, signal.SIGTERM)
    wait_for_workers(portico, 1, besides=[before, pid])
    wait_until(lambda: "GET / " in access.read_text(), what="a line")
    for opened in Path(f"/proc/{workers(portico)[0]}/fd").iterdir():
        assert not str(opened.readlink()).endswith(".log.1")
    portico.stop()


@without_loop
def test_a_worker_that_becomes_the_template_has_the_logs_that_are_there_now(
    start: Start, tmp_path: Path
) -> None:
    portico = start(SHOP, "--preload", "--refork-after", "20", "-w", "2", "--access-log", "access.log")
    portico.wait_ready()
    first, access = templates(portico), tmp_path / "access.log"
    access.rename(tmp_path / "access.log.1")
    portico.signal(signal.SIGUSR1)
    wait_until(access.exists, what="the new file")
    before = wait_for_workers(portico, 2)
    with Counted(portico):
        portico.wait_for("is to be the template of all")
        wait_until(lambda: templates(portico) not in ([], first), what="a worker as the template")
        pids = wait_for_workers(portico, 2, besides=before)
    for pid in [*templates(portico), *pids]:
        names = [str(opened.readlink()) for opened in Path(f"/proc/{pid}/fd").iterdir()]
        assert str(access) in names
        assert f"{access}.1" not in names
    portico.stop()


def test_an_upgrade_makes_a_template_of_its_own(start: Start) -> None:
    portico = preloaded(start)
    before, pids = templates(portico), wait_for_workers(portico, 2)
    with Counted(portico) as counted:
        portico.signal(signal.SIGUSR2)
        portico.wait_for("upgraded from portico")
        wait_for_workers(portico, 2, besides=pids)
    assert counted.errors == []
    assert templates(portico) != before
    assert "has no meaning" not in portico.log()
    # It adopts orphans still.
    assert int(portico.get().split()[2]) == portico.process.pid
    portico.stop()


@without_loop
def test_a_worker_of_a_refork_outlives_an_upgrade_by_no_request(start: Start) -> None:
    portico, _ = reforked(start)
    pids = wait_for_workers(portico, 3)
    with Counted(portico) as counted:
        portico.signal(signal.SIGUSR2)
        portico.wait_for("upgraded from portico")
        wait_for_workers(portico, 3, besides=pids)
    assert counted.errors == []
    portico.stop()
    assert not re.search(r"\[error\]", portico.log())
