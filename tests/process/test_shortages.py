"""A supervisor that can have no descriptor serves on, says so, and does what is due once it has one again."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
# Of its first moments: its standard streams, its signals and its socket have all of them.
DESCRIPTORS = 6


@contextmanager
def no_descriptors(portico: Portico) -> Iterator[None]:
    pid = portico.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    yield
    if portico.process.poll() is None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def settled(start: Start, *options: str) -> Portico:
    """A server that has read what it may need later, but has needed nothing of it that ends workers."""
    portico = start(HELLO, "-w", "1", *options)
    portico.wait_ready()
    portico.signal(signal.SIGHUP)
    wait_until(lambda: bool(re.search(r"worker \d+ is ready after", portico.log())), what="a new worker")
    there = 1 + ("--preload" in options)
    wait_until(lambda: len(portico.worker_pids) == there, what="the end of those of before")
    return portico


def test_in_the_moment_after_the_first_worker_is_ready(start: Start) -> None:
    takes_all = f"""
import os, resource
if not os.path.exists("taken"):
    open("taken", "w").close()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, ({DESCRIPTORS}, hard))
"""
    portico = start(HELLO + takes_all, "-w", "1")
    portico.wait_for("the supervisor cannot do all that is due: Too many open files; it tries again")
    assert portico.get() == "hello"
    pid, hard = portico.process.pid, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    assert portico.get() == "hello"
    portico.stop()
    assert "Traceback" not in portico.log()


def test_a_signal_is_heeded_once_it_can_be(start: Start) -> None:
    portico = settled(start)
    with no_descriptors(portico):
        portico.signal(signal.SIGHUP)
        portico.wait_for("cannot read the configuration anew: Too many open files")
        portico.signal(signal.SIGUSR2)
        portico.wait_for("cannot read the configuration anew: Too many open files", times=2)
        assert portico.get() == "hello"
    portico.stop()


def test_a_worker_that_is_killed_is_replaced_later(start: Start) -> None:
    portico = settled(start)
    with no_descriptors(portico):
        os.kill(portico.worker_pids[0], signal.SIGKILL)
        portico.wait_for("was killed by SIGKILL after")
        portico.wait_for("cannot fork a worker: Too many open files")
    portico.wait_for("is ready after", times=2)
    assert portico.get() == "hello"
    portico.stop()


def test_a_worker_of_a_template_is_replaced_later(start: Start) -> None:
    """It is born, and its connection to the supervisor is lost on the way."""
    portico = settled(start, "--preload")
    ready = portico.log().count("is ready after")
    with no_descriptors(portico):
        [worker] = [pid for pid in portico.worker_pids if f"template {pid}" not in portico.log()]
        os.kill(worker, signal.SIGKILL)
        portico.wait_for("cannot fork a worker: the supervisor has no descriptor left")
    portico.wait_for("is ready after", times=ready + 1)
    assert portico.get() == "hello"
    portico.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_comes(start: Start, number: signal.Signals) -> None:
    portico = settled(start)
    with no_descriptors(portico):
        portico.signal(number)
        assert portico.wait() == 0, portico.log()


def test_the_end_of_one_that_loads_is_not_that_of_others(start: Start) -> None:
    """It was killed, as the kernel does for want of memory: the others may still get ready."""
    dies = """
import os, signal, time
try:
    os.close(os.open("first", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    while "cannot load" not in open("error.log").read():
        time.sleep(0.01)
else:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    portico = start(HELLO + dies, "-w", "2")
    portico.wait_ready()
    assert portico.get() == "hello"
    portico.stop()
