"""preload: the application is loaded once, in a template; what holds of workers holds of its forks."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import is_alive, thread_count
from support.waiting import wait_until
from support.ways import not_for

from .conftest import Portico, Start
from .preloading import SHOP, templates, wait_for_workers, workers


def preloaded(start: Start, source: str = SHOP, *options: str, count: int = 2, **others: object) -> Portico:
    portico = start(source, "--preload", "-w", str(count), *options, **others)
    portico.wait_ready()
    return portico


def test_the_application_is_loaded_once_for_all(start: Start) -> None:
    portico = preloaded(start, count=3)
    (template,) = templates(portico)
    pids = wait_for_workers(portico, 3)
    loaded_by, pid, parent, _ = portico.get().split()
    assert int(loaded_by) == template
    assert int(pid) in pids
    assert int(parent) == portico.process.pid
    assert thread_count(template) == 1
    portico.stop()
    assert not is_alive(template)


def test_the_supervisor_runs_nothing_of_the_application(start: Start) -> None:
    portico = preloaded(start)
    assert f"{portico.folder}/shop" not in Path(f"/proc/{portico.process.pid}/maps").read_text()
    assert int(portico.get().split()[0]) != portico.process.pid
    portico.stop()


def test_a_worker_that_is_killed_is_replaced_from_the_template(start: Start) -> None:
    # What is there now would not load: the template has what it had.
    portico = preloaded(start)
    (portico.folder / "shop.py").write_text("1 / 0\n")
    before = wait_for_workers(portico, 2)
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: before[0] not in workers(portico) and len(workers(portico)) == 2, what="another")
    assert "was killed by SIGKILL" in portico.log()
    portico.wait_for("is ready after", times=2)
    assert "ZeroDivisionError" not in portico.log()
    portico.stop()


def test_a_worker_is_ready_at_once_however_long_the_import_takes(start: Start) -> None:
    portico = preloaded(start, "import time\ntime.sleep(1)\n" + SHOP)
    for _ in range(5):
        before = wait_for_workers(portico, 2)
        seen = portico.log().count("is ready after")
        os.kill(before[0], signal.SIGKILL)
        portico.wait_for("is ready after", times=seen + 1)
    took = [float(text) for text in re.findall(r"worker \d+ is ready after ([\d.]+) s", portico.log())]
    assert len(took) == 5
    assert min(took) < 0.05
    assert max(took) < 1.0
    portico.stop()


def test_a_template_that_dies_is_made_again(start: Start) -> None:
    portico = preloaded(start)
    before, pids = templates(portico), wait_for_workers(portico, 2)
    os.kill(before[0], signal.SIGKILL)
    portico.wait_for("template", times=3)
    wait_until(lambda: templates(portico) not in ([], before), what="another template")
    assert re.search(rf"template {before[0]} was killed by SIGKILL; ", portico.log())
    assert workers(portico) == pids
    os.kill(pids[0], signal.SIGKILL)
    wait_for_workers(portico, 2, besides=[pids[0]])
    portico.stop()


def test_one_that_cannot_be_made_again_leaves_the_workers_serving(start: Start) -> None:
    portico = preloaded(start)
    pids = wait_for_workers(portico, 2)
    (portico.folder / "shop.py").write_text("1 / 0\n")
    os.kill(templates(portico)[0], signal.SIGKILL)
    portico.wait_for("cannot load shop", times=2)
    assert workers(portico) == pids
    (portico.folder / "shop.py").write_text(SHOP)
    wait_for_workers(portico, 2)
    assert portico.get()
    portico.stop()


def test_a_template_that_hangs_is_replaced(start: Start) -> None:
    portico = preloaded(start)
    (template,) = templates(portico)
    os.kill(template, signal.SIGSTOP)
    before = wait_for_workers(portico, 2)
    os.kill(before[0], signal.SIGKILL)
    portico.wait_for(f"template {template} did not fork within 5 s: killed")
    wait_for_workers(portico, 2, besides=[before[0], template])
    portico.stop()


def test_a_stopped_template_does_not_keep_a_stop(start: Start) -> None:
    portico = preloaded(start)
    os.kill(templates(portico)[0], signal.SIGSTOP)
    portico.stop()


def test_the_end_of_the_supervisor_is_the_end_of_all(start: Start) -> None:
    portico = preloaded(start)
    pids = [*templates(portico), *wait_for_workers(portico, 2)]
    portico.process.kill()
    wait_until(lambda: not any(map(is_alive, pids)), what="the end of template and workers")


def test_an_application_that_cannot_be_loaded_ends_the_start(start: Start) -> None:
    portico = start("1 / 0\n", "--preload", "-w", "3")
    assert portico.wait() == 3
    assert portico.log().count("cannot load shop") == 1
    assert "ZeroDivisionError" in portico.log()


def test_an_import_that_ends_the_process_is_named(start: Start) -> None:
    portico = start("import os\nos._exit(7)\n", "--preload")
    assert portico.wait() == 3
    assert "the template ended with status 7 while it loaded the application" in portico.log()


@not_for("gevent", reason="where an import waits in the hub, that is all that is seen")
def test_an_import_that_takes_too_long_is_given_up(start: Start) -> None:
    portico = start("import time\ntime.sleep(1000)\n", "--preload", "--boot-timeout", "0.5s")
    assert portico.wait() == 3
    assert "shop.py:2 (<module>), and boot_timeout is 0.5 s" in portico.log()


# --- Reload


def test_a_reload_loads_anew(start: Start) -> None:
    portico = preloaded(start)
    before, pids = templates(portico), wait_for_workers(portico, 2)
    (portico.folder / "shop.py").write_text(SHOP.replace('f"{LOADED', 'f"new {LOADED'))
    portico.signal(signal.SIGHUP)
    wait_for_workers(portico, 2, besides=[*before, *pids])
    wait_until(lambda: templates(portico) != before, what="the end of the template of before")
    assert portico.get().startswith("new ")
    portico.stop()


def test_a_reload_to_a_broken_application_leaves_all_as_it_was(start: Start) -> None:
    portico = preloaded(start)
    before, pids = templates(portico), wait_for_workers(portico, 2)
    (portico.folder / "shop.py").write_text("1 / 0\n")
    portico.signal(signal.SIGHUP)
    portico.wait_for("reload failed, the workers of before go on serving")
    assert (templates(portico), wait_for_workers(portico, 2)) == (before, pids)
    # And so it is for those that are made from now on, whatever the file says.
    os.kill(pids[0], signal.SIGKILL)
    wait_for_workers(portico, 2, besides=[pids[0]])
    assert templates(portico) == before
    (portico.folder / "shop.py").write_text(SHOP)
    portico.signal(signal.SIGHUP)
    wait_for_workers(portico, 2, besides=[*before, *pids])
    portico.stop()


def test_a_worker_that_fails_after_the_fork_fails_the_reload(start: Start) -> None:
    portico = preloaded(start, SHOP, "--warmup", "/")
    before, pids = templates(portico), wait_for_workers(portico, 2)
    (portico.folder / "shop.py").write_text(SHOP.replace("    SERVED += 1", "    1 / 0"))
    portico.signal(signal.SIGHUP)
    portico.wait_for("reload failed, the workers of before go on serving")
    wait_until(lambda: templates(portico) == before, what="the end of the template that failed")
    assert workers(portico) == pids
    portico.stop()


def test_preload_may_come_and_go_by_reloads(start: Start, tmp_path: Path) -> None:
    from .test_reload import Configured

    configured = Configured(tmp_path, start)
    configured.write("preload = false", workers=2)
    portico = configured.start(SHOP)
    assert templates(portico) == []
    for value, count in (("true", 1), ("false", 0), ("true", 1)):
        before = workers(portico)
        configured.write(f"preload = {value}", workers=2)
        portico.signal(signal.SIGHUP)
        wait_until(
            lambda before=before, count=count: (  # type: ignore[misc]
                len(templates(portico)) == count
                and len(workers(portico)) == 2
                and not {*before} & {*workers(portico)}
            ),
            what=f"preload = {value}",
        )
        loaded_by, pid, *_ = portico.get().split()
        assert (loaded_by != pid) == bool(count)
    portico.stop()


class Counted:
    """Clients that ask all the time; each request gets its response, or is an error."""

    def __init__(self, portico: Portico, *, clients: int = 3) -> None:
        self.responses = 0
        self.errors: list[str] = []
        self._portico = portico
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while not self._done.is_set():
            try:
                body = self._portico.get()
                error = "" if len(body.split()) == 4 else f"response {body!r}"
            except OSError as problem:
                error = repr(problem)
            with self._lock:
                self.responses += not error
                self.errors += [error] if error else []
            time.sleep(0.002)

    def __enter__(self) -> Counted:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def test_reloads_under_load_lose_no_request(start: Start) -> None:
    portico = preloaded(start)
    with Counted(portico) as counted:
        for _ in range(5):
            before = [*templates(portico), *workers(portico)]
            portico.signal(signal.SIGHUP)
            wait_for_workers(portico, 2, besides=before)
    assert counted.errors == []
    assert counted.responses > 50
    portico.stop()


def test_a_stop_while_a_worker_is_ordered_ends_all(start: Start) -> None:
    portico = preloaded(start, SHOP, count=6)
    for pid in workers(portico):
        os.kill(pid, signal.SIGKILL)
    portico.stop()


# --- What workers have of the template, and what they have not


def test_functions_around_a_fork_are_called_once_in_each_process(start: Start) -> None:
    source = """
import os
from pathlib import Path
def note(what):
    with open("noted", "a") as file:
        file.write(f"{what} {os.getpid()}\\n")
for what in ("before", "after_in_parent", "after_in_child"):
    os.register_at_fork(**{what: lambda what=what: note(what)})
"""
    portico = preloaded(start, source + SHOP, count=2)
    (template,), pids = templates(portico), wait_for_workers(portico, 2)
    noted = sorted((portico.folder / "noted").read_text().splitlines())
    wanted = [f"{what} {template}" for what in ("before", "after_in_parent") for _ in pids]
    assert noted == sorted([*wanted, *(f"after_in_child {pid}" for pid in pids)])
    portico.stop()


def test_a_thread_that_is_started_after_the_fork_runs(start: Start) -> None:
    source = """
import os, threading
BEATS = threading.Event()
os.register_at_fork(after_in_child=lambda: threading.Thread(target=BEATS.set, daemon=True).start())
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(BEATS.wait(5)).encode()]
"""
    portico = preloaded(start, source)
    assert portico.get() == "True"
    portico.stop()


def test_workers_have_different_random_numbers(start: Start) -> None:
    source = """
import os, random, secrets, ssl, sys, tempfile, types, uuid
class Numpy(types.ModuleType):
    value = 0
    def seed(self):
        self.value = os.getpid()
sys.modules["numpy.random"] = numpy = Numpy("numpy.random")
def application(environ, start_response):
    start_response("200 OK", [])
    values = (random.random(), secrets.token_hex(8), uuid.uuid4(), uuid.uuid1(), ssl.RAND_bytes(8).hex(),
              next(tempfile._get_candidate_names()), numpy.value)
    return [" ".join(map(str, (os.getpid(), *values))).encode()]
"""
    portico = preloaded(start, source, "--threads", "1")
    by_pid: dict[str, list[str]] = {}
    wait_until(lambda: _ask_into(portico, by_pid) == 2, what="both workers")
    one, other = by_pid.values()
    assert [a for a, b in zip(one, other, strict=True) if a == b] == []
    portico.stop()


def _ask_into(portico: Portico, by_pid: dict[str, list[str]]) -> int:
    pid, *values = portico.get().split()
    by_pid.setdefault(pid, values)
    return len(by_pid)


def test_handlers_of_the_application_stay_in_the_workers(start: Start) -> None:
    source = """
import signal
CAUGHT = []
signal.signal(signal.SIGUSR1, lambda number, frame: CAUGHT.append(number))
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(len(CAUGHT)).encode()]
"""
    portico = preloaded(start, source, count=1)
    (pid,) = wait_for_workers(portico, 1)
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: portico.get() == "1", what="the handler")
    portico.stop()


def test_what_is_printed_while_loading_is_printed_once(start: Start) -> None:
    portico = preloaded(start, "print('loaded', end='')\n" + SHOP, count=3)
    portico.stop()
    assert portico.log().count("loaded") == 1


def test_a_worker_that_gets_a_signal_leaves_and_has_a_successor(start: Start) -> None:
    portico = preloaded(start)
    before = wait_for_workers(portico, 2)
    os.kill(before[0], signal.SIGTERM)
    portico.wait_for(f"worker {before[0]} leaves because of a signal")
    wait_for_workers(portico, 2, besides=[before[0]])
    portico.stop()


@contextmanager
def _listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@not_for("gevent", reason="its threads are greenlets, and there is no select.epoll")
def test_what_is_unsafe_is_named(start: Start) -> None:
    source = """
import fcntl, select, socket, sqlite3, subprocess, threading, time
def beat():
    time.sleep(1000)
threading.Thread(target=beat, name="heart", daemon=True).start()
CONNECTION = socket.create_connection(("127.0.0.1", PORT))
POLL = select.epoll()
DATABASE = sqlite3.connect("shop.db")
DATABASE.execute("CREATE TABLE IF NOT EXISTS a (b)")
CHILD = subprocess.Popen(["sleep", "1000"])
LOCK = open("shop.lock", "w")
fcntl.flock(LOCK, fcntl.LOCK_EX)
"""
    with _listening() as port:
        portico = preloaded(start, source.replace("PORT", str(port)) + SHOP)
        log = portico.log()
        for said in (
            r"the thread 'heart' at \S+/shop\.py:4 \(beat\) runs in no worker",
            rf"a TCP socket connected to 127\.0\.0\.1:{port} \(descriptor \d+\) is the same one in all",
            r"an epoll descriptor, as event loops have \(descriptor \d+\)",
            r"the SQLite database \S+/shop\.db \(descriptor \d+\)",
            # Its name may still be that of who has started it.
            r"the process \d+ \(.+\) is no child of any worker",
            r"the lock on \S+/shop\.lock is held by all workers together",
        ):
            assert len(re.findall(rf"\[warning\] preload: {said}", log)) == 1, (said, log)
        assert log.count("preload: ") == 6
        portico.stop()


def test_nothing_is_said_of_an_application_that_is_fine(start: Start) -> None:
    portico = preloaded(start)
    portico.stop()
    assert "[warning]" not in portico.log()
