"""Calls as greenlets: `--worker gevent`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import children, is_alive
from support.server import free_port
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Portico, Start, read_body
from .test_control import Asked

APPLICATION = """
import contextvars, ctypes, json, os, socket, sys, threading, time
import gevent, gevent.event, gevent.local
from gevent import monkey
import portico
thread_of_it = monkey.get_original("threading", "get_native_id")
mark = contextvars.ContextVar("mark", default="none")
release = gevent.event.Event()
told, together = [], []
def respond(start_response, body, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
def read_all(environ):
    count = 0
    while data := environ["wsgi.input"].read(65536):
        count += len(data)
    return str(count).encode()
def sleeps_in_the_hub():
    monkey.get_original("time", "sleep")(600)
def computes_in_the_hub():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
def keeps_the_lock():
    mutex = ctypes.create_string_buffer(64)  # twice by one thread: no signal ends that wait
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
def stands_at(number):
    release.wait() if number else gevent.sleep(600)
def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"][1:].partition("/")
    if path == "sleep":
        time.sleep(float(argument))
    if path == "thread":
        time.sleep(0.1)
        return respond(start_response, str(thread_of_it()).encode())
    if path == "patched":
        names = [name for name in ("socket", "threading", "time", "select") if monkey.is_module_patched(name)]
        return respond(start_response, " ".join(names).encode())
    if path == "context":
        seen = mark.get()
        mark.set(argument)
        return respond(start_response, seen.encode())
    if path == "wait":
        release.wait()
    if path == "release":
        release.set()
    if path == "together":
        together.append(path)
        while len(together) < int(argument):
            gevent.sleep(0.01)
    if path == "alone":
        together.clear()
    if path == "upload":
        return respond(start_response, read_all(environ))
    if path == "upload-within":
        try:
            with gevent.Timeout(float(argument)):
                return respond(start_response, read_all(environ))
        except gevent.Timeout:
            return respond(start_response, b"too slow", "408 Request Timeout")
    if path == "big":
        return respond(start_response, b"b" * int(argument))
    if path == "blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"c" * 100_000 for _ in range(int(argument)))
    if path == "write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(int(argument)):
            write(b"d" * 100_000)
        return []
    if path == "killed":
        gevent.spawn(gevent.getcurrent().kill, block=False)
        gevent.sleep(30)
    if path == "kill-upload":
        gevent.spawn_later(0.1, gevent.getcurrent().kill, block=False)
        return respond(start_response, read_all(environ))
    if path == "ignores":
        while True:
            try:
                gevent.sleep(600)
            except BaseException:
                pass
    if path == "computes":
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass
    if path == "blocks-the-hub":
        ctypes.CDLL(None).sleep(600)
    if path == "sleeps-in-the-hub":
        sleeps_in_the_hub()
    if path == "computes-in-the-hub":
        computes_in_the_hub()
    if path == "keeps-the-lock":
        keeps_the_lock()
    if path == "stands":
        stands_at(int(argument) % 2)
    if path == "leaves":
        environ["portico.on_disconnect"](lambda: told.append(thread_of_it() == os.getpid()))
        environ["portico.on_disconnect"](lambda: (gevent.sleep(0.01), told.append("slept")))
        told.append("begun")
        release.wait(20)
    if path == "told":
        return respond(start_response, json.dumps(told).encode())
    if path == "pid":
        return respond(start_response, str(os.getpid()).encode())
    if path == "descriptors":
        return respond(start_response, str(len(os.listdir("/proc/self/fd"))).encode())
    return respond(start_response, b"fine")
"""


def begin(start: Start, *options: str, source: str = APPLICATION) -> Portico:
    portico = start(source, "-w", "1", "--worker", "gevent", *options)
    portico.wait_ready()
    return portico


def respond_within(portico: Portico, seconds: float = 5.0) -> None:
    """Assert that a request is responded to, beside whatever goes on."""
    with portico.ask("/") as connection:
        connection.settimeout(seconds)
        assert read_body(connection) == "fine"


def upload(portico: Portico, path: str, length: int) -> socket.socket:
    """Send the head of a request with a body of `length` bytes, and return the connection."""
    connection = portico.connect()
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def status_of(connection: socket.socket) -> int:
    """The status of a response, 0 if there is none."""
    received = b""
    while b"\r\n" not in received and (data := connection.recv(65536)):
        received += data
    return int(received.split(b" ")[1]) if received else 0


def test_calls_that_wait_are_beside_each_other_on_one_thread(start: Start) -> None:
    portico = begin(start)
    with ExitStack() as stack:
        waiting = [stack.enter_context(portico.ask("/wait")) for _ in range(100)]
        threads = [stack.enter_context(portico.ask("/thread")) for _ in range(20)]
        assert len({read_body(connection) for connection in threads}) == 1
        assert portico.get("/release") == "fine"
        assert [read_body(connection) for connection in waiting] == ["fine"] * 100


def test_all_are_called_whose_requests_come_while_greenlets_are_made(start: Start) -> None:
    portico = begin(start, "--queue-timeout", "500ms")
    # The second time some are there, and the others are made while requests come.
    for count in (25, 150, 300, 600):
        with ExitStack() as stack:
            calls = [stack.enter_context(portico.ask(f"/together/{count}")) for _ in range(count)]
            assert [read_body(call) for call in calls] == ["fine"] * count
        assert portico.get("/alone") == "fine"


def test_no_more_calls_than_greenlets(start: Start) -> None:
    portico = begin(start, "--greenlets", "3")
    with ExitStack() as stack:
        waiting = [stack.enter_context(portico.ask("/wait")) for _ in range(3)]
        late = stack.enter_context(portico.ask("/"))
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(1)
        reset(waiting.pop())
        # Nobody tells a call that its client has left: it still has its greenlet.
        with pytest.raises(TimeoutError):
            late.recv(1)


def test_a_call_that_ends_lets_the_next_one_in(start: Start) -> None:
    portico = begin(start, "--greenlets", "2")
    with ExitStack() as stack:
        waiting = [stack.enter_context(portico.ask("/sleep/0.2")) for _ in range(12)]
        assert [read_body(connection) for connection in waiting] == ["fine"] * 12


TOGETHER = """
import os, time
import gevent.event
inside, everybody = [], gevent.event.Event()
def application(environ, start_response):
    inside.append(environ["PATH_INFO"])
    open(f"{len(inside)} are in", "x").close()
    if environ["PATH_INFO"] == "/computes":
        # Nobody looks meanwhile whether more have come.
        while not os.path.exists("sent"):
            pass
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            pass
    if len(inside) == 5:
        everybody.set()
    is_there = everybody.wait(5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all are here" if is_there else b"the others have not come"]
"""


def test_requests_that_come_while_a_new_greenlet_computes_have_theirs(start: Start, tmp_path: Path) -> None:
    portico = begin(start, source=TOGETHER)
    with ExitStack() as stack:
        together = []
        for number, path in enumerate(["/waits", "/computes"], 1):
            together.append(stack.enter_context(portico.ask(path)))
            wait_until((tmp_path / f"{number} are in").exists, what=path)
        together += [stack.enter_context(portico.ask("/waits")) for _ in range(3)]
        (tmp_path / "sent").touch()
        assert [read_body(connection) for connection in together] == ["all are here"] * 5


LISTER = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "gevent":
            sys.meta_path.remove(self)
            with open(os.path.join(%r, f"{os.getpid()} {os.getppid()}"), "w") as file:
                file.write("\\n".join(sys.modules))
sys.meta_path.insert(0, Finder())
"""
# What monkey.patch_all() changes, but for what is built in; and what would keep names of it.
PATCHED = {"_threading_local", "queue", "selectors", "signal", "socket", "ssl", "subprocess", "threading"}
KEEP_NAMES = {"asyncio", "concurrent.futures", "http.client", "logging", "multiprocessing", "tempfile"}


def test_gevent_is_imported_before_all_that_it_patches_and_never_by_the_supervisor(
    start: Start, tmp_path: Path
) -> None:
    lists, path = tmp_path / "lists", tmp_path / "path"
    lists.mkdir()
    path.mkdir()
    (path / "sitecustomize.py").write_text(LISTER % str(lists))
    portico = start(APPLICATION, "-w", "2", "--worker", "gevent", environment={"PYTHONPATH": str(path)})
    portico.wait_ready()
    assert portico.get("/patched") == "socket threading time select"
    by_process = {
        tuple(map(int, file.name.split())): set(file.read_text().split()) for file in lists.iterdir()
    }
    assert {pid for pid, _ in by_process} == set(portico.worker_pids)
    assert {parent for _, parent in by_process} == {portico.process.pid}
    for modules in by_process.values():
        assert modules & (PATCHED | KEEP_NAMES) == set()
        assert "shop" not in modules


def test_each_call_has_a_context_of_its_own(start: Start) -> None:
    portico = begin(start, "--greenlets", "1")
    assert [portico.get(f"/context/{number}") for number in range(3)] == ["none"] * 3


@pytest.fixture(params=["uploads", "slow readers"])
def crowd(request: pytest.FixtureRequest, start: Start) -> Iterator[tuple[Portico, list[socket.socket]]]:
    """A server in which calls wait for their clients, in the middle of a body or of a response."""
    bodies = ("--body-memory", "0", "--body-spool", "0")
    portico = begin(start, *bodies, "--response-memory", "64k", "--response-spool", "64k")
    with ExitStack() as stack:
        if request.param == "uploads":
            clients = [stack.enter_context(upload(portico, "/upload", 20)) for _ in range(100)]
            for client in clients:
                client.sendall(b"0123456789")
        else:
            paths = ["/big/9000000", "/blocks/90", "/write/90"]
            clients = [stack.enter_context(portico.ask(paths[number % 3])) for number in range(60)]
        yield portico, clients


def test_calls_wait_for_their_clients_without_the_others(crowd: tuple[Portico, list[socket.socket]]) -> None:
    portico, clients = crowd
    for _ in range(20):
        respond_within(portico)
    if len(clients) == 100:
        for client in clients:
            client.sendall(b"0123456789")
        assert [read_body(client) for client in clients] == ["20"] * 100
    else:
        # Some of them come in chunks.
        assert {sum(map(read_body(client).count, "bcd")) for client in clients} == {9_000_000}


def test_clients_that_vanish_leave_nothing_behind(crowd: tuple[Portico, list[socket.socket]]) -> None:
    portico, clients = crowd
    respond_within(portico)
    for client in clients:
        reset(client)
    wait_until(lambda: int(portico.get("/descriptors")) < 40, what="the descriptors of before")
    respond_within(portico)


def test_a_timeout_of_gevent_ends_a_wait_for_the_body(start: Start) -> None:
    portico = begin(start, "--body-memory", "0", "--body-spool", "0")
    before = int(portico.get("/descriptors"))
    for _ in range(20):
        with upload(portico, "/upload-within/0.02", 20) as connection:
            connection.sendall(b"0123456789")
            assert read_body(connection) == "too slow"
    with upload(portico, "/upload-within/20", 4) as connection:
        connection.sendall(b"0123")
        assert read_body(connection) == "4"
    wait_until(lambda: int(portico.get("/descriptors")) <= before, what="the descriptors of before")


@pytest.mark.parametrize("path", ["/killed", "/kill-upload"])
def test_a_call_that_is_killed_has_a_response_and_its_greenlet_goes_on(start: Start, path: str) -> None:
    portico = begin(start, "--body-memory", "0", "--body-spool", "0", "--greenlets", "1", "--access-log", "-")
    for _ in range(5):
        with upload(portico, path, 20) as connection:
            connection.sendall(b"0123456789")
            assert status_of(connection) == 500
    respond_within(portico)
    portico.wait_for(f'"POST {path} HTTP/1.1" 500', times=5)


def test_request_timeout_is_thrown_into_the_greenlet_that_is_late(start: Start) -> None:
    portico = begin(start, "--timeout", "1", "--access-log", "-")
    pid = portico.get("/pid")
    with portico.ask("/sleep/0.1") as other, portico.ask("/sleep/60") as late:
        assert read_body(other) == "fine"
        assert status_of(late) == 504
    with portico.ask("/computes") as late:
        assert status_of(late) == 504
    assert portico.get("/pid") == pid
    assert portico.log().count("was ended by RequestTimeout") == 2
    assert "in application" in portico.log()
    assert "event_loops" not in portico.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_does_not_wait_for_a_greenlet_that_has_had_its_response(
    start: Start, number: signal.Signals
) -> None:
    portico = begin(start, "--timeout", "500ms", "--timeout-grace", "500ms", "--graceful-timeout", "1h")
    [pid] = portico.worker_pids
    with portico.ask("/ignores") as connection:
        assert status_of(connection) == 504
    portico.wait_for("of RequestTimeout; the others go on beside it")
    portico.signal(number)
    wait_until(lambda: not is_alive(pid), what="the worker to go")
    assert f"worker {pid} has finished all other calls: killed, in flight: GET /ignores" in portico.log()
    portico.stop()


def test_a_greenlet_that_does_not_end_holds_up_nobody(start: Start) -> None:
    portico = begin(start, "--timeout", "1", "--timeout-grace", "1")
    pid = portico.get("/pid")
    with portico.ask("/ignores") as connection:
        assert status_of(connection) == 504
    portico.wait_for("has not ended within 1 s of RequestTimeout; the others go on beside it")
    assert portico.get("/pid") == pid


def test_a_worker_whose_hub_does_not_turn_is_replaced(start: Start) -> None:
    portico = begin(start, "--timeout", "1", "--timeout-grace", "1")
    pid = int(portico.get("/pid"))
    with portico.ask("/blocks-the-hub") as connection:
        assert status_of(connection) == 504
    wait_until(lambda: not is_alive(pid), what="the end of the worker")
    assert int(portico.get("/pid")) != pid
    assert "has not ended within 1 s of RequestTimeout; replacing the worker" in portico.log()


@pytest.mark.parametrize("path", ["sleeps-in-the-hub", "computes-in-the-hub", "keeps-the-lock"])
def test_where_all_stand_is_logged_when_the_hub_stands_still(start: Start, path: str) -> None:
    bodies = ("--body-memory", "0", "--body-spool", "0", "--timeout", "2", "--timeout-grace", "1")
    portico = begin(start, *bodies)
    with ExitStack() as stack:
        begun = [stack.enter_context(portico.ask(f"/sleep/{number % 2 / 10}")) for number in range(60)]
        assert [read_body(connection) for connection in begun] == ["fine"] * 60
        for number in range(40):
            stack.enter_context(portico.ask(f"/stands/{number}"))
        for _ in range(5):
            stack.enter_context(upload(portico, "/upload", 20)).sendall(b"0123456789")
        respond_within(portico)
        stack.enter_context(portico.ask(f"/{path}"))
        portico.wait_for("more calls have not ended within 1 s of RequestTimeout; replacing the worker")
        # Eight are named.
        portico.wait_for("; replacing the worker", times=9)
        # The hub's own thread, whatever keeps it.
        portico.wait_for(f" in {path.replace('-', '_')}")
        if path == "keeps-the-lock":
            portico.wait_for("where greenlets stand cannot be told: the interpreter does not come free")
            return
        portico.wait_for("greenlets have given the thread up")
    said = re.search(
        r"(\d+) greenlets have given the thread up, (\d+) of them wait for a request\n((?:  .*\n)+)",
        portico.log(),
    )
    assert said
    count, idle, places = int(said[1]), int(said[2]), said[3]
    assert count - idle == 45
    stacks = re.split(r"^  (\d+) at\n", places, flags=re.MULTILINE)[1:]
    assert stacks[::2] == ["20", "20", "5"], places
    assert all("stands_at" in stack for stack in stacks[1:4:2]), places
    assert "read_all" in stacks[5], places
    assert "event_loops" not in places


def test_a_health_check_needs_no_hub(start: Start) -> None:
    portico = begin(start, "--health-path", "/up", "--timeout", "0")
    with portico.ask("/computes") as computing:
        for _ in range(20):
            with portico.ask("/up") as connection:
                assert status_of(connection) == 200
        computing.settimeout(0.01)
        with pytest.raises(TimeoutError):
            computing.recv(1)
    portico.kill()


def test_callbacks_of_clients_that_leave_are_greenlets(start: Start) -> None:
    portico = begin(start)
    connection = portico.ask("/leaves")
    wait_until(lambda: json.loads(portico.get("/told")) == ["begun"], what="the call")
    reset(connection)
    wait_until(lambda: json.loads(portico.get("/told")) == ["begun", True, "slept"], what="the callbacks")


def test_a_stop_waits_for_the_calls_in_flight(start: Start) -> None:
    portico = begin(start)
    with ExitStack() as stack:
        waiting = [stack.enter_context(portico.ask("/sleep/1")) for _ in range(50)]
        respond_within(portico)
        portico.signal(signal.SIGTERM)
        assert [read_body(connection) for connection in waiting] == ["fine"] * 50
    assert portico.wait() == 0


def test_a_stop_has_its_limit(start: Start) -> None:
    portico = begin(start, "--graceful-timeout", "1")
    with portico.ask("/sleep/60") as connection:
        respond_within(portico)
        portico.signal(signal.SIGTERM)
        assert status_of(connection) == 0
    assert portico.wait() == 0


def test_a_reload_replaces_the_worker(start: Start) -> None:
    portico = begin(start)
    pid = portico.get("/pid")
    with portico.ask("/sleep/1") as connection:
        respond_within(portico)
        portico.signal(signal.SIGHUP)
        wait_until(lambda: portico.get("/pid") != pid, what="another worker")
        assert read_body(connection) == "fine"


def test_preload_patches_the_template(start: Start) -> None:
    portico = start(APPLICATION, "-w", "2", "--worker", "gevent", "--preload")
    portico.wait_ready()
    assert portico.get("/patched") == "socket threading time select"
    with ExitStack() as stack:
        waiting = [stack.enter_context(portico.ask("/sleep/0.2")) for _ in range(40)]
        assert [read_body(connection) for connection in waiting] == ["fine"] * 40


def test_without_gevent_a_sentence_says_what_to_install(start: Start, tmp_path: Path) -> None:
    (tmp_path / "gevent.py").write_text("raise ImportError('No module named gevent')")
    portico = start("def application(environ, start_response): pass", "--worker", "gevent")
    assert portico.wait() != 0
    assert "worker is gevent, which cannot be imported: No module named gevent; expected" in portico.log()
    assert "pip install 'portico-server[gevent]'" in portico.log()


PATCHES_ITSELF = """
from gevent import monkey
monkey.patch_all()
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"fine"]
"""


@of_the_default
def test_an_application_that_patches_itself_is_warned_of_once(start: Start) -> None:
    portico = start(PATCHES_ITSELF, "-w", "2")
    portico.wait_ready()
    assert portico.log().count("the application has called gevent.monkey.patch_all()") == 1
    assert "expected --worker gevent" in portico.log()


def test_with_gevent_it_may(start: Start) -> None:
    portico = begin(start, source=PATCHES_ITSELF)
    assert portico.get() == "fine"
    assert "patch_all" not in portico.log()


@of_the_default
@pytest.mark.parametrize("word", ["--greenlets=5", "--worker=eventlet"])
def test_what_has_no_effect_is_an_error(start: Start, word: str) -> None:
    portico = start(APPLICATION, word)
    assert portico.wait() == 2
    assert "expected" in portico.log()


def test_free_threaded_python_is_no_place_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from portico.errors import OperatorError
    from portico.event_loops.gevent import GeventLoop

    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(OperatorError, match="expected a Python with an interpreter lock"):
        GeventLoop(1).prepare()


def test_the_supervisor_has_no_library_of_it(start: Start) -> None:
    portico = begin(start)
    maps = Path(f"/proc/{portico.process.pid}/maps").read_text()
    assert "gevent" not in maps
    [worker] = children(portico.process.pid)
    assert "gevent" in Path(f"/proc/{worker}/maps").read_text()
    assert os.path.exists(f"/proc/{worker}")


def test_views_tell_how_many_calls_there_can_be(start: Start, tmp_path: Path) -> None:
    asked = Asked(start, tmp_path)
    portico = asked.start("-w", "1", "--worker", "gevent", "--greenlets", "300")
    assert portico.get().isdigit()
    [worker] = asked.ask("workers")["workers"]
    assert worker["threads"] == sum(asked.ask("status")["threads"].values()) == 300
    portico.stop()


BESIDE = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/waits":
        open("waits", "w").close()
        while not os.path.exists("computed"):
            time.sleep(0.01)
    if path == "/computes":
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            pass
        open("computed", "w").close()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [path.encode()]
"""


def test_a_slow_call_is_not_told_to_compute_what_others_do(start: Start, tmp_path: Path) -> None:
    portico = begin(start, "--slow-after", "50ms", source=BESIDE)
    with portico.ask("/waits") as waiting:
        wait_until((tmp_path / "waits").exists, what="the call")
        portico.wait_for("GET /waits has been in the application for")
        assert portico.get("/computes") == "/computes"
        assert read_body(waiting) == "/waits"
    portico.wait_for("GET /waits has ended after")
    record = portico.log().partition("GET /waits has ended after")[2].partition("; it stood")[0]
    assert "client 0.000 s" in record
    assert "CPU" not in record


def test_what_calls_compute_is_not_told_where_nobody_knows(start: Start, tmp_path: Path) -> None:
    admin = free_port()
    portico = begin(start, "--admin-bind", f"127.0.0.1:{admin}", source=BESIDE)
    assert portico.get("/computes") == "/computes"

    def parts() -> set[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=20) as response:
            lines = response.read().decode().splitlines()
        of_parts = [line for line in lines if line.startswith("portico_request_part_seconds_total{")]
        return {line.partition('part="')[2].partition('"')[0] for line in of_parts}

    assert wait_until(parts, what="a request that was counted") == {"queue", "lock", "client"}


@pytest.mark.parametrize("path", ["/spawned", "/joined", "/callback"])
@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt"])
def test_an_exit_in_a_greenlet_ends_no_other_call(start: Start, path: str, error: str) -> None:
    source = f"""
import gevent, os
def leave():
    raise {error}
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/waits":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            gevent.sleep(0.01)
    elif path == "/spawned":
        gevent.spawn(leave)
    elif path == "/joined":
        gevent.spawn(leave).get()
    elif path == "/callback":
        gevent.get_hub().loop.run_callback(leave)
    start_response("200 OK", [])
    return [b"fine"]
"""
    portico = begin(start, source=source)
    pids = portico.worker_pids
    with portico.ask("/waits") as other:
        wait_until((portico.folder / "waiting").exists, what="the other call")
        with portico.ask(path) as connection:
            assert status_of(connection) == (500 if path == "/joined" else 200)
        portico.wait_for(
            "what the application runs beside its calls has failed; its worker goes on\nTraceback"
        )
        (portico.folder / "go on").touch()
        assert read_body(other) == "fine"
    assert portico.worker_pids == pids
