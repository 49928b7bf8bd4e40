"""Orders reach a worker whatever its application does with signals; signals are for people."""

from __future__ import annotations

import os
import signal

import pytest
from support.processes import is_alive
from support.waiting import wait_until

from .conftest import Portico, Start, read_body

PLAIN = """
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/take":
        take()
    if environ["PATH_INFO"] == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""

# What applications do with the signals of their process.
TAKERS = {
    "handlers of its own": """
def take():
    import signal
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)
""",
    "ignored": """
def take():
    import signal
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
""",
    "blocked": """
def take():
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
""",
    "a wakeup descriptor": """
def take():
    import os, signal
    global pipe
    pipe = os.pipe()
    os.set_blocking(pipe[1], False)
    signal.set_wakeup_fd(pipe[1])
""",
    "a loop": """
def take():
    import asyncio, signal
    global loop
    loop = asyncio.new_event_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
""",
    "a loop that has ended": """
def take():
    import asyncio, signal
    global loop
    loop = asyncio.new_event_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    loop.close()
""",
}
taken = pytest.mark.parametrize("taker", TAKERS.values(), ids=TAKERS.keys())
threads = pytest.mark.parametrize("threads", ["1", "8"])
when = pytest.mark.parametrize("when", ["at import", "in a call"])


def start_taker(start: Start, taker: str, when: str, *options: str) -> Portico:
    """Start workers whose application has taken the signals; a call in the first thread can do that too."""
    portico = start(PLAIN + taker + ("take()\n" if when == "at import" else ""), "-w", "1", *options)
    portico.wait_ready()
    if when == "in a call":
        portico.get("/take")
    return portico


@taken
@when
@threads
def test_term_ends_an_application_in_time_that_has_taken_the_signals(
    start: Start, taker: str, when: str, threads: str
) -> None:
    portico = start_taker(start, taker, when, "--threads", threads, "--graceful-timeout", "30s")
    with portico.ask("/wait") as connection:
        wait_until((portico.folder / "waiting").exists, what="the request to reach the application")
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        (portico.folder / "go on").touch()
        assert read_body(connection).isdigit()
    assert portico.wait() == 0
    assert "killed" not in portico.log()


@taken
@when
def test_a_reload_replaces_an_application_that_has_taken_the_signals(
    start: Start, taker: str, when: str
) -> None:
    portico = start_taker(start, taker, when, "--graceful-timeout", "30s")
    [before] = portico.worker_pids
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    wait_until(lambda: not is_alive(before), what="the old worker to leave")
    assert "killed" not in portico.log()


@taken
@when
def test_int_ends_an_application_that_has_taken_the_signals(start: Start, taker: str, when: str) -> None:
    portico = start_taker(start, taker, when)
    portico.signal(signal.SIGINT)
    assert portico.wait() == 0
    assert "killed" not in portico.log()


def test_term_and_int_that_are_read_together_are_both_taken(start: Start) -> None:
    portico = start(PLAIN, "-w", "1", "--graceful-timeout", "30s")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/wait"):
        wait_until((portico.folder / "waiting").exists, what="the request to reach the application")
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: _is_stopped(pid), what="the worker to stop")
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not is_alive(pid), what="the worker to leave without its call")
    assert portico.get().isdigit()


@pytest.mark.parametrize(
    ("number", "waits"),
    [(signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGQUIT, False)],
    ids=["TERM", "INT", "QUIT"],
)
@threads
def test_a_worker_leaves_at_a_signal_and_its_successor_does_not_wait_for_that(
    start: Start, number: signal.Signals, waits: bool, threads: str
) -> None:
    portico = start(PLAIN, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/wait") as connection:
        wait_until((portico.folder / "waiting").exists, what="the request to reach the application")
        os.kill(pid, number)
        portico.wait_for("is ready after")
        assert portico.get() != str(pid)
        if waits:
            (portico.folder / "go on").touch()
        assert read_body(connection) == (str(pid) if waits else "")
    wait_until(lambda: not is_alive(pid), what="the worker to leave")
    assert f"worker {pid} leaves because of a signal; " in portico.log()


def test_backs_off_while_workers_leave_as_soon_as_they_are_ready(start: Start) -> None:
    source = """
import signal
signal.signal(signal.SIGTERM, lambda number, frame: None)
os.kill(os.getpid(), signal.SIGTERM)
"""
    portico = start(PLAIN + source, "-w", "1")
    portico.wait_for("leaves because of a signal; the next one starts in", times=3)
    lines = [line.partition("the next one starts in ")[2] for line in portico.log().splitlines()]
    delays = [float(line.split()[0]) for line in lines if line]
    assert delays == sorted(delays)
    assert delays[2] > delays[0]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGHUP])
@pytest.mark.parametrize("at", ["a worker", "all workers", "the group"])
def test_a_signal_that_ends_nothing_kills_nothing(start: Start, number: signal.Signals, at: str) -> None:
    portico = start(PLAIN, "-w", "2", own_group=True)
    portico.wait_ready()
    before = portico.worker_pids
    for pid in before if at == "all workers" else before[:1]:
        if at == "the group":
            os.killpg(portico.process.pid, number)
        else:
            os.kill(pid, number)
    if at == "the group" and number in (signal.SIGHUP, signal.SIGUSR2):
        portico.wait_for("is ready after", times=2)
        wait_until(lambda: not set(before) & set(portico.worker_pids), what="the old workers to leave")
    elif at == "the group" and number == signal.SIGWINCH:
        wait_until(lambda: not portico.worker_pids, what="the workers to leave")
    else:
        assert portico.get().isdigit()
        assert portico.worker_pids == before
    assert portico.process.poll() is None
    assert "was killed" not in portico.log()


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU], ids=["TTIN", "TTOU"])
def test_the_number_of_workers_may_be_changed_by_a_signal_to_the_group(
    start: Start, number: signal.Signals
) -> None:
    portico = start(PLAIN, "-w", "2", own_group=True)
    portico.wait_ready()
    os.killpg(portico.process.pid, number)
    wanted = 3 if number == signal.SIGTTIN else 1
    wait_until(lambda: len(portico.worker_pids) == wanted, what=f"{wanted} workers")
    assert not any(_is_stopped(pid) for pid in portico.worker_pids)
    assert portico.get().isdigit()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGHUP])
@pytest.mark.parametrize("at", ["the supervisor", "a worker", "the group"])
def test_a_signal_during_the_first_load_is_no_failure(start: Start, number: signal.Signals, at: str) -> None:
    source = """
import os, time
open("loading", "w").close()
while not os.path.exists("go on"):
    time.sleep(0.01)
"""
    portico = start(source + PLAIN, "-w", "1", own_group=True)
    wait_until((portico.folder / "loading").exists, what="the load to begin")
    [loading] = portico.worker_pids
    if at == "the group":
        os.killpg(portico.process.pid, number)
    else:
        os.kill(loading if at == "a worker" else portico.process.pid, number)
    if at != "a worker" and number == signal.SIGHUP:
        portico.wait_for("reloading")
    (portico.folder / "go on").touch()
    portico.wait_ready()
    assert portico.get().isdigit()
    assert "cannot load" not in portico.log()


def test_ready_is_told_when_the_engine_is_ready(start: Start) -> None:
    """With too few descriptors the application can be loaded, and nothing can be served."""
    source = """
import os, resource
taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]
resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 4, max(taken) + 4))
"""
    portico = start(PLAIN + source, "-w", "1")
    assert portico.wait() != 0
    log = portico.log()
    assert "ready in" not in log
    assert "cannot make the I/O runtime" in log


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"
