"""refork_after: a worker that has served becomes the template of all, and no request is lost for it."""

from __future__ import annotations

import os
import signal

from support.processes import thread_count
from support.waiting import wait_until
from support.ways import without_loop

from .conftest import Portico, Start
from .preloading import SHOP, templates, wait_for_workers, workers
from .test_preload import Counted, preloaded

pytestmark = without_loop


def reforked(start: Start, source: str = SHOP, *options: str) -> tuple[Portico, list[int]]:
    """A portico whose first template was replaced by a worker; its first workers."""
    portico = preloaded(start, source, "--refork-after", "20", *options, count=3)
    first, before = templates(portico), wait_for_workers(portico, 3)
    with Counted(portico) as counted:
        portico.wait_for("is to be the template of all")
        wait_until(lambda: templates(portico) not in ([], first), what="a worker as the template")
        wait_for_workers(portico, 3, besides=before)
    assert counted.errors == []
    return portico, before


def test_a_worker_becomes_the_template_of_all(start: Start) -> None:
    portico, before = reforked(start)
    (template,) = templates(portico)
    assert template in before
    assert thread_count(template) == 1
    # What it had in memory is theirs.
    assert int(portico.get().split()[3]) > 20
    portico.stop()


def test_its_workers_are_like_others(start: Start) -> None:
    portico, _ = reforked(start)
    pids = wait_for_workers(portico, 3)
    os.kill(pids[0], signal.SIGTERM)
    portico.wait_for(f"worker {pids[0]} leaves because of a signal")
    os.kill(pids[1], signal.SIGKILL)
    pids = wait_for_workers(portico, 3, besides=pids[:2])
    before = [*templates(portico), *pids]
    portico.signal(signal.SIGHUP)
    wait_for_workers(portico, 3, besides=before)
    wait_until(lambda: not {*templates(portico)} & {*before}, what="a template that loads anew")
    assert portico.get()
    portico.stop()


def test_it_is_done_once(start: Start) -> None:
    portico, _ = reforked(start)
    pids = [*templates(portico), *wait_for_workers(portico, 3)]
    for _ in range(90):
        portico.get()
    assert [*templates(portico), *workers(portico)] == pids
    assert portico.log().count("is to be the template of all") == 1
    portico.stop()


def test_processes_that_an_application_forks_are_still_ended(start: Start) -> None:
    source = """
import os
def application(environ, start_response):
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
    start_response("200 OK", [])
    return [b"1 2 3 4"]
"""
    portico, _ = reforked(start, source)
    assert portico.get("/fork") == "1 2 3 4"
    portico.wait_for("a process that it has forked returned from the call, and is ended")
    portico.stop()


def test_a_worker_that_has_something_unsafe_is_none(start: Start) -> None:
    source = """
import threading, time
def beat():
    time.sleep(1000)
def application(environ, start_response):
    if not any(thread.name == "heart" for thread in threading.enumerate()):
        threading.Thread(target=beat, name="heart", daemon=True).start()
    start_response("200 OK", [])
    return [b"1 2 3 4"]
"""
    portico = preloaded(start, source, "--refork-after", "5", count=2)
    first, before = templates(portico), wait_for_workers(portico, 2)
    with Counted(portico) as counted:
        portico.wait_for("refork_after: this worker cannot be a template: the thread 'heart' at ")
        wait_until(lambda: len({*workers(portico)} - {*before}) == 1, what="the successor")
        wait_until(lambda: len(workers(portico)) == 2, what="the end of the worker")
    assert counted.errors == []
    assert templates(portico) == first
    portico.stop()


def test_a_stop_while_a_worker_is_to_be_one_ends_all(start: Start) -> None:
    portico = preloaded(start, SHOP, "--refork-after", "5", count=2)
    with Counted(portico):
        portico.wait_for("is to be the template of all")
    portico.stop()
