"""The supervisor: signals, deaths, reloads, time limits; real processes only."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
from support.processes import is_alive
from support.waiting import wait_until
from support.ways import cannot_be_ended

from .conftest import Portico, Start, read_body

SHOP = """
import os, time
BODY = b"one"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/pid":
        body = str(os.getpid()).encode()
    elif path == "/sleep":
        open("waiting", "w").close()
        time.sleep(60)
    elif path == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
        body = b"waited"
    else:
        body = BODY
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def wait_in_application(portico: Portico, path: str = "/wait") -> socket.socket:
    """Bring one request into the application and return its connection; the file `go on` lets it end."""
    connection = portico.ask(path)
    wait_until((portico.folder / "waiting").exists, what="the request to reach the application")
    return connection


def let_go_on(portico: Portico) -> None:
    (portico.folder / "go on").touch()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Killed, but its parent of last resort has not reaped it yet.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_term_finishes_what_is_in_flight_and_ends_with_status_0(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    with wait_in_application(portico) as connection:
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        let_go_on(portico)
        assert read_body(connection) == "waited"
    assert portico.wait() == 0


def test_term_closes_the_door_at_once(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    with wait_in_application(portico):
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        wait_until(lambda: not is_open(portico.port), what="the door to close", deadline_s=2)


def test_term_kills_what_outlasts_the_graceful_timeout(start: Start) -> None:
    portico = start(SHOP, "--graceful-timeout", "100ms", "-w", "1")
    portico.wait_ready()
    with wait_in_application(portico) as connection:
        portico.signal(signal.SIGTERM)
        assert portico.wait() == 0
        assert "waited" not in read_body(connection)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["INT", "QUIT"])
def test_int_and_quit_do_not_wait_for_the_application(start: Start, number: signal.Signals) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    with wait_in_application(portico):
        portico.signal(number)
        assert portico.wait() == 0


def test_term_during_the_first_load_is_no_failure(start: Start) -> None:
    portico = start("import time; open('loading', 'w').close(); time.sleep(60)")
    wait_until((portico.folder / "loading").exists, what="the load to begin")
    portico.signal(signal.SIGTERM)
    assert portico.wait() == 0
    assert "cannot load" not in portico.log()


def test_a_killed_worker_is_accounted_for_and_replaced_within_a_second(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with wait_in_application(portico):
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert portico.get() == "one"
        assert time.monotonic() - killed_at < 1
    portico.wait_for(f"worker {pid} was killed by SIGKILL after")
    assert "in flight: GET /wait (" in portico.log()


@cannot_be_ended
def test_a_call_beyond_its_timeout_costs_the_worker_and_leaves_the_stacks(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "--timeout", "200ms", "--timeout-grace", "100ms")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with wait_in_application(portico, "/sleep"):
        portico.wait_for("is ready after")
        assert portico.get() == "one"
        wait_until(lambda: is_gone(pid), what="the old worker to go")
    log = portico.log()
    assert f"worker {pid}: GET /sleep has been in the application for" in log
    assert "longer than the timeout of 0.2 s; raising RequestTimeout in it" in log
    assert "and has not ended within 0.1 s of RequestTimeout; replacing the worker" in log
    assert re.search("^(Thread|Current thread) 0x", log, re.MULTILINE)
    assert "(most recent call first):" in log
    assert re.search(r'shop\.py", line \d+ in application', log)


def test_ttin_and_ttou_change_the_number_of_workers(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    portico.signal(signal.SIGTTIN)
    portico.wait_for("is ready after")
    assert len(portico.worker_pids) == 2
    portico.signal(signal.SIGTTOU)
    wait_until(lambda: len(portico.worker_pids) == 1, what="one worker to leave")
    portico.signal(signal.SIGTTOU)
    portico.wait_for("the number of workers stays at 1")


def test_hup_loads_new_code_without_losing_what_is_in_flight(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    before = set(portico.worker_pids)
    with wait_in_application(portico) as connection:
        (portico.folder / "shop.py").write_text(SHOP.replace("one", "two"))
        portico.signal(signal.SIGHUP)
        portico.wait_for("is ready after", times=2)
        wait_until(lambda: portico.get() == "two", what="the new code to respond")
        let_go_on(portico)
        assert read_body(connection) == "waited"
    wait_until(lambda: not before & set(portico.worker_pids), what="the old workers to leave")
    assert len(portico.worker_pids) == 2
    assert {portico.get() for _ in range(10)} == {"two"}


def test_hup_with_broken_code_keeps_the_old_workers(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    before = portico.worker_pids
    (portico.folder / "shop.py").write_text("raise RuntimeError('a slip')")
    portico.signal(signal.SIGHUP)
    portico.wait_for("reload failed, the workers of before go on serving:\nTraceback")
    portico.wait_for("RuntimeError: a slip")
    assert portico.worker_pids == before
    assert portico.get() == "one"
    (portico.folder / "shop.py").write_text(SHOP.replace("one", "two"))
    portico.signal(signal.SIGHUP)
    wait_until(lambda: portico.get() == "two", what="the mended code to respond")


def test_backs_off_while_workers_die_at_boot(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    (portico.folder / "shop.py").write_text("raise RuntimeError('a slip')")
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("RuntimeError: a slip", times=3)
    delays = [line.partition("the next one starts in ")[2][:3] for line in portico.log().splitlines()]
    delays = [delay for delay in delays if delay]
    assert delays == sorted(delays)
    assert len(set(delays)) >= 3
    (portico.folder / "shop.py").write_text(SHOP)
    portico.wait_for("is ready after")
    assert portico.get() == "one"


def test_workers_leave_when_the_supervisor_is_killed(start: Start) -> None:
    portico = start(SHOP, "-w", "2")
    portico.wait_ready()
    pids = portico.worker_pids
    assert len(pids) == 2
    portico.process.kill()
    portico.wait()
    wait_until(lambda: all(is_gone(pid) for pid in pids), what="the workers to leave")


@pytest.mark.parametrize("threads", ["1", "8"])
def test_a_worker_with_a_call_leaves_too_when_the_supervisor_is_killed(start: Start, threads: str) -> None:
    portico = start(SHOP, "-w", "1", "--threads", threads, "--graceful-timeout", "100ms")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with wait_in_application(portico):
        portico.process.kill()
        portico.wait()
        wait_until(lambda: is_gone(pid), what="the worker to leave")


def test_reaps_children_of_others(start: Start) -> None:
    source = (
        SHOP
        + """
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)
    os._exit(0)
"""
    )
    portico = start(source, "-w", "1")
    portico.wait_ready()
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("is ready after")
    assert portico.get() == "one"


def test_removes_its_unix_socket_at_the_end(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "-b", "unix:shop.sock?mode=600")
    portico.wait_ready()
    path = portico.folder / "shop.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert read_body(connection) == "one"
    portico.signal(signal.SIGTERM)
    assert portico.wait() == 0
    assert not path.exists()


def test_runs_what_the_application_registered_for_its_end(start: Start) -> None:
    portico = start(
        SHOP + "import atexit; atexit.register(lambda: open('farewell', 'w').close())\n", "-w", "1"
    )
    portico.wait_ready()
    assert portico.get() == "one"
    portico.signal(signal.SIGTERM)
    assert portico.wait() == 0
    assert (portico.folder / "farewell").exists()


def test_a_storm_of_resizes_is_not_taken_for_a_stop(start: Start) -> None:
    # A worker that is told to leave right after its fork must not pass the signal on to the supervisor.
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    for _ in range(30):
        seen = portico.log().count("the number of workers is ")
        portico.signal(signal.SIGTTIN)
        portico.wait_for("the number of workers is ", times=seen + 1)
        portico.signal(signal.SIGTTOU)
        portico.wait_for("the number of workers is ", times=seen + 2)
    wait_until(lambda: len(portico.worker_pids) == 1, what="the surplus workers to leave")
    assert portico.get() == "one"
    assert "stopping" not in portico.log()


def test_no_further_term_is_the_reason_of_the_end(start: Start) -> None:
    """A service manager and a shell may both say it; the interpreter takes a while to end."""
    for _ in range(5):
        portico = start(SHOP, "-w", "1")
        portico.wait_ready()
        while portico.process.poll() is None:
            portico.signal(signal.SIGTERM)
        assert portico.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_not_taken_for_a_signal_to_a_worker(start: Start, number: signal.Signals) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    [worker] = portico.worker_pids
    # A terminal sends it to both. The worker is quicker here than it could ever be.
    portico.signal(signal.SIGSTOP)
    os.kill(worker, number)
    wait_until(lambda: not is_alive(worker), what="the end of the worker")
    portico.signal(number)
    portico.signal(signal.SIGCONT)
    assert portico.wait() == 0
    assert "because of a signal" not in portico.log()


def test_who_got_ready_before_a_term_is_said_to_have(start: Start, tmp_path: Path) -> None:
    portico = start(
        f"import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n{SHOP}", "-w", "1"
    )
    wait_until(lambda: portico.worker_pids, what="a worker")
    portico.signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    assert portico.get("/") != ""
    portico.signal(signal.SIGTERM)
    portico.signal(signal.SIGCONT)
    assert portico.wait() == 0
    assert portico.log().index("ready in ") < portico.log().index("stopping after the requests in flight")


def test_a_second_int_kills_at_once(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    with wait_in_application(portico):
        portico.signal(signal.SIGINT)
        portico.wait_for("stopping")
        portico.signal(signal.SIGINT)
        assert portico.wait() == 0
    assert "killing the workers" in portico.log()
    assert "did not stop within" not in portico.log()
