"""An upgrade replaces the supervisor in its process, and leaves all as it was if that cannot be."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import venv
from pathlib import Path

import pytest
from support.processes import children
from support.seccomp import without_memfd
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start, read_body
from .test_reload import ask_at

SHOP = """
import os, sys, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{sys.version_info[1]} {os.getpid()}".encode()]
"""
NOT_MADE = "the upgrade was not made, all stays as it is:"
UPGRADED = "upgraded from portico"


def upgrade(portico: Portico, *, until: str = "is ready after", times: int = 1) -> None:
    portico.signal(signal.SIGUSR2)
    portico.wait_for(until, times=times)


class Load:
    """Threads that ask again and again, each request counted; some on connections that stay open."""

    def __init__(self, portico: Portico, *, threads: int = 4) -> None:
        self._portico = portico
        self._ends = threading.Event()
        self.responses = 0
        self.failures: list[BaseException | str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                body = self._portico.get()
            except OSError as error:
                self.failures.append(error)
            else:
                if not body:
                    self.failures.append("an empty response")
                self.responses += 1


def test_the_process_and_its_sockets_stay(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    before = portico.worker_pids
    upgrade(portico, times=2)
    wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
    assert not set(before) & set(portico.worker_pids)
    assert portico.get().split()[1] in map(str, portico.worker_pids)
    assert portico.log().count(UPGRADED) == 1
    assert portico.log().count("ready in ") == 1
    portico.stop()


def test_a_request_that_runs_meanwhile_is_finished(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    (before,) = portico.worker_pids
    with portico.ask("/wait") as connection:
        wait_until((tmp_path / "waiting").exists, what="the call")
        upgrade(portico)
        (tmp_path / "go on").touch()
        assert read_body(connection).endswith(str(before))
    wait_until(lambda: before not in portico.worker_pids, what="the end of the worker")
    portico.stop()


def test_upgrades_in_a_row_lose_no_request(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    with Load(portico) as load:
        for count in range(1, 6):
            upgrade(portico, times=2 * count)
    assert load.failures == []
    assert load.responses > 100
    assert portico.log().count(UPGRADED) == 5
    portico.stop()


def test_descriptors_do_not_add_up(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()

    def held() -> int:
        return len(os.listdir(f"/proc/{portico.process.pid}/fd"))

    # What the worker before has had is closed when it is reaped, a moment after its end.
    before = held()
    for count in range(1, 4):
        upgrade(portico, times=count)
        wait_until(lambda: len(portico.worker_pids) == 1 and held() <= before, what="as many as before")
    portico.stop()


def test_an_application_that_cannot_be_loaded_leaves_all_as_it_was(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    before = portico.worker_pids
    (tmp_path / "shop.py").write_text("1 / 0\n")
    upgrade(portico, until=NOT_MADE)
    portico.wait_for("ZeroDivisionError")
    assert portico.worker_pids == before
    assert portico.get().split()[1] in map(str, before)
    (tmp_path / "shop.py").write_text(SHOP)
    upgrade(portico, times=2)
    portico.stop()


WARM = """
import os
def application(environ, start_response):
    start_response("500 Broken" if os.path.exists("broken") else "200 OK", [])
    return [str(os.getpid()).encode()]
"""


def test_workers_that_do_not_get_ready_after_it_leave_those_of_before(start: Start, tmp_path: Path) -> None:
    portico = start(WARM, "-w", "2", "--warmup", "/")
    portico.wait_ready()
    before = portico.worker_pids
    (tmp_path / "broken").touch()
    upgrade(portico, until="reload failed, the workers of before go on serving")
    wait_until(lambda: portico.worker_pids == before, what="the workers of before")
    assert portico.get() in map(str, before)
    (tmp_path / "broken").unlink()
    os.kill(before[0], signal.SIGKILL)
    portico.wait_for("is ready after")
    portico.stop()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A link to the interpreter that this portico is called by; it may be put elsewhere."""
    link = tmp_path / "current"
    link.symlink_to(sys.prefix)
    return link


def switch(link: Path, target: Path) -> None:
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.replace(link)


def test_a_program_that_is_broken_leaves_all_as_it_was(start: Start, program: Path, tmp_path: Path) -> None:
    portico = start(SHOP, "-w", "1", program=(str(program / "bin/python"), "-m", "portico"))
    portico.wait_ready()
    before = portico.worker_pids
    switch(program, tmp_path / "nowhere")
    upgrade(portico, until=NOT_MADE)
    assert "cannot call the command line" in portico.log()
    broken = tmp_path / "broken" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 64\n")
    broken.chmod(0o755)
    switch(program, tmp_path / "broken")
    upgrade(portico, until=NOT_MADE, times=2)
    assert portico.log().endswith("broken\n")
    assert portico.worker_pids == before
    assert portico.get().endswith(str(before[0]))
    portico.stop()


def test_sockets_that_were_opened_for_nothing_are_closed(start: Start, tmp_path: Path) -> None:
    port, added, path = free_port(), free_port(), tmp_path / "added.sock"
    text = f'[[app]]\napp = "shop"\n[processes]\nworkers = 1\n[listening]\nbind = ["127.0.0.1:{port}"'
    (tmp_path / "portico.toml").write_text(text + "]\n")
    portico = start(SHOP, port=port, reads_file=True)
    portico.wait_ready()
    (tmp_path / "portico.toml").write_text(text + f', "127.0.0.1:{added}", "unix:{path}"]\n')
    (tmp_path / "shop.py").write_text("1 / 0\n")
    upgrade(portico, until=NOT_MADE)
    assert not path.exists()
    (tmp_path / "shop.py").write_text(SHOP)
    upgrade(portico)
    assert ask_at(("127.0.0.1", added))
    assert ask_at(str(path))
    (tmp_path / "portico.toml").write_text(text + "]\n")
    upgrade(portico, times=2)
    portico.wait_for("no longer listening on", times=2)
    assert not path.exists()
    portico.stop()


def has_two_others(portico: Portico, pids: set[int]) -> bool:
    now = set(portico.worker_pids)
    return len(now) == 2 and not now & pids


def test_workers_that_are_killed_meanwhile_are_replaced(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    for count in range(1, 6):
        pids = set(portico.worker_pids)
        portico.signal(signal.SIGUSR2)
        portico.wait_for("takes over", times=count)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        portico.wait_for(UPGRADED, times=count)
        wait_until(lambda pids=pids: has_two_others(portico, pids), what="two other workers")  # type: ignore[misc]
        assert portico.get()
    portico.stop()


def test_one_that_comes_while_another_is_tried_is_not_lost(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    portico.signal(signal.SIGUSR2)
    portico.wait_for("upgrading: trying")
    portico.signal(signal.SIGUSR2)
    portico.wait_for(UPGRADED, times=2)
    assert portico.get()
    portico.stop()


def test_a_term_while_it_is_tried_stops(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    portico.signal(signal.SIGUSR2)
    portico.wait_for("upgrading: trying")
    portico.stop()
    # It is the server that has ended it, and nobody has to look for a reason.
    assert "[error]" not in portico.log()


def test_more_workers_that_were_asked_for_by_signal_stay(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    portico.signal(signal.SIGTTIN)
    portico.wait_for("is ready after")
    upgrade(portico, times=3)
    wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
    portico.signal(signal.SIGTTOU)
    wait_until(lambda: len(portico.worker_pids) == 1, what="one worker")
    portico.stop()


def test_a_reload_after_it_works(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    upgrade(portico)
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after", times=2)
    assert portico.get()
    portico.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")
def test_without_memory_files_workers_are_taken_over_without_their_slots(start: Start) -> None:
    portico = start(SHOP, "-w", "2", before_exec=without_memfd())
    portico.wait_ready()
    before = portico.worker_pids
    upgrade(portico, times=2)
    assert "the scoreboard is a new one" in portico.log()
    wait_until(lambda: not set(before) & set(portico.worker_pids), what="other workers")
    assert portico.get()
    portico.stop()


class Launcher:
    """A script that calls the command line of a portico that it has changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "launcher.py"
        self.write("")

    def write(self, change: str) -> None:
        self.path.write_text(f"{change}\nfrom portico.cli import main\nmain()\n")

    def start(self, start: Start) -> Portico:
        portico = start(SHOP, "-w", "1", program=(sys.executable, str(self.path)))
        portico.wait_ready()
        return portico


def test_another_version_takes_over(start: Start, tmp_path: Path) -> None:
    launcher = Launcher(tmp_path)
    portico = launcher.start(start)
    launcher.write("from portico import _core\n_core.__version__ = '99.0'")
    portico.signal(signal.SIGHUP)
    portico.wait_for("portico is 99.0 now")
    assert "that takes an upgrade (USR2) or a restart" in portico.log()
    upgrade(portico)
    assert "portico 99.0 under Python" in portico.log()
    portico.stop()


def test_a_record_that_is_not_understood_is_not_taken(start: Start, tmp_path: Path) -> None:
    launcher = Launcher(tmp_path)
    portico = launcher.start(start)
    before = portico.worker_pids
    launcher.write("from portico.process import dry_run\ndry_run.RECORD_VERSION = 99")
    upgrade(portico, until=NOT_MADE)
    assert "hands over records of version 1, and portico" in portico.log()
    assert "understands version 99: that takes a restart" in portico.log()
    assert portico.worker_pids == before
    portico.stop()


PLACE = """
import os, sys
place = os.path.basename(os.path.realpath(sys.prefix))
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [place.encode()]
"""


class Releases:
    """Virtual environments, and the link `current` that leads to one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = folder / "current"
        for name in ("one", "two"):
            self._make(folder / name)
        self.switch("one")

    def _make(self, place: Path) -> None:
        venv.create(place, symlinks=True, with_pip=False)
        (packages,) = place.glob("lib/python*/site-packages")
        (packages / "all.pth").write_text("\n".join(filter(None, sys.path)) + "\n")
        script = place / "bin" / "portico"
        script.write_text(f"#!{place}/bin/python\nfrom portico.cli import main\nmain()\n")
        script.chmod(0o755)

    def switch(self, name: str) -> None:
        new = self.folder / "new"
        new.symlink_to(self.folder / name)
        new.replace(self.current)


CALLED = {"module": ("bin/python", "-m", "portico"), "script": ("bin/portico",)}


@pytest.mark.parametrize("program", CALLED.values(), ids=CALLED.keys())
def test_a_link_to_another_virtual_environment_is_followed(
    start: Start, tmp_path: Path, program: tuple[str, ...]
) -> None:
    releases = Releases(tmp_path)
    called = (str(releases.current / program[0]), *program[1:])
    portico = start(PLACE, "-w", "1", program=called)
    portico.wait_ready()
    assert portico.get() == "one"
    releases.switch("two")
    upgrade(portico)
    wait_until(lambda: portico.get() == "two", what="the other environment")
    portico.stop()


def other_pythons() -> list[Path]:
    """Return the environments of `make test-pythons` that have such a portico."""
    found = sorted((Path(__file__).parents[2] / "target" / "pythons").glob("*/bin/python"))
    command = ["-c", "import portico.process.take_over"]
    has_it = [subprocess.run([each, *command], check=False, capture_output=True) for each in found]
    return [each.parents[1] for each, done in zip(found, has_it, strict=True) if done.returncode == 0]


def test_another_python_takes_over(start: Start, program: Path) -> None:
    others = [each for each in other_pythons() if each.name != f"{sys.version_info[0]}.{sys.version_info[1]}"]
    if not others:
        pytest.skip("there is no other Python with portico: make test-pythons")
    portico = start(SHOP, "-w", "2", program=(str(program / "bin/python"), "-m", "portico"))
    portico.wait_ready()
    with Load(portico) as load:
        for count, other in enumerate([*others, Path(sys.prefix)], 1):
            switch(program, other)
            upgrade(portico, times=2 * count)
    assert load.failures == []
    for other in others:
        assert f"under Python {other.name}" in portico.log()
    assert portico.get().split()[0] == str(sys.version_info[1])
    portico.stop()


def has_namespaces() -> bool:
    try:
        done = subprocess.run(["unshare", "--pid", "--fork", "true"], check=False, capture_output=True)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="needs the right to make a PID namespace")
def test_process_1_is_upgraded(start: Start) -> None:
    program = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "portico")
    portico = start(SHOP, "-w", "1", program=program)
    portico.wait_ready()
    (supervisor,) = children(portico.process.pid)
    os.kill(supervisor, signal.SIGUSR2)
    portico.wait_for("is ready after")
    assert portico.log().count(UPGRADED) == 1
    assert "pid 1\n" in portico.log()
    assert portico.get()
    os.kill(supervisor, signal.SIGTERM)
    portico.wait()
