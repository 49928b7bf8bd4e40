"""Calls on the thread of a loop that runs for the application too: `--worker asyncio` and `tornado`."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import is_alive
from support.server import WITHOUT_UVLOOP
from support.waiting import wait_until

from .conftest import Portico, Start, read_body
from .test_gevent import reset, status_of, upload

APPLICATION = """
import asyncio, contextvars, ctypes, os, threading, time
told = []
mark = contextvars.ContextVar("mark", default="none")
counted = []
async def count():
    while True:
        counted.append(len(counted))
        await asyncio.sleep(0.01)
counting = asyncio.get_event_loop().create_task(count())
async def clean():
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.05)
        with open("cleaned", "w") as file:
            file.write("up")
async def never_ends():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
def respond(start_response, body, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
async def later(words):
    await asyncio.sleep(0.05)
    counted.extend(words)
async def gather():
    return sum(await asyncio.gather(*(asyncio.sleep(0.01, number) for number in range(10))))
def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"][1:].partition("/")
    loop = environ["portico.loop"]
    if path == "counted":
        return respond(start_response, str(len(counted)).encode())
    if path == "running":
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return respond(start_response, b"hidden" if asyncio.get_event_loop() is loop else b"another")
        return respond(start_response, b"shown")
    if path == "kind":
        return respond(start_response, type(loop).__module__.encode())
    if path == "runs":
        return respond(start_response, str(asyncio.run(gather())).encode())
    if path == "sets":
        asyncio.set_event_loop(loop=None if argument == "none" else asyncio.new_event_loop())
    if path == "policy":
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    if path == "task":
        loop.create_task(later([argument]))
    if path in ("clean", "never_ends"):
        loop.create_task(globals()[path]())
    if path == "stop":
        loop.stop()
    if path == "words":
        return respond(start_response, " ".join(word for word in counted if isinstance(word, str)).encode())
    if path == "context":
        seen = mark.get()
        mark.set(argument)
        return respond(start_response, seen.encode())
    if path == "upload":
        body = environ["wsgi.input"].read()
        return respond(start_response, f"{len(body)} {environ.get('CONTENT_LENGTH')}".encode())
    if path == "blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"c" * 100_000 for _ in range(int(argument)))
    if path == "big":
        return respond(start_response, b"b" * int(argument))
    if path == "write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(int(argument)):
            write(b"d" * 100_000)
        return []
    if path == "raises":
        raise ValueError("of the application")
    if path == "computes":
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass
    if path == "waits-for-its-end":
        left = threading.Event()
        def tell():
            told.append(threading.current_thread().name)
            left.set()
        environ["portico.on_disconnect"](tell)
        told.insert(0, str(left.wait(20)))
    if path == "told":
        return respond(start_response, " ".join(told).encode())
    if path == "blocks-the-loop":
        ctypes.CDLL(None).sleep(600)
    if path == "pid":
        return respond(start_response, str(os.getpid()).encode())
    if path == "descriptors":
        return respond(start_response, str(len(os.listdir("/proc/self/fd"))).encode())
    return respond(start_response, b"fine")
"""

loops = pytest.mark.parametrize("worker", ["asyncio", "tornado"])
also_uvloop = pytest.mark.parametrize("worker", ["asyncio", "tornado", "uvloop"])


def begin(start: Start, worker: str, *options: str, source: str = APPLICATION) -> Portico:
    """Start one, with uvloop's loop for asyncio if `worker` is that."""
    environment = {} if worker == "uvloop" else {"PYTHONPATH": str(WITHOUT_UVLOOP)}
    if worker == "uvloop":
        pytest.importorskip(worker)
        worker = "asyncio"
    portico = start(source, "-w", "1", "--worker", worker, *options, environment=environment)
    portico.wait_ready()
    return portico


@also_uvloop
def test_the_loop_runs_for_the_application_and_is_hidden_from_its_calls(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    assert portico.get("/kind") == ("uvloop" if worker == "uvloop" else "asyncio.unix_events")
    assert portico.get("/running") == "hidden"
    before = int(portico.get("/counted"))
    wait_until(lambda: int(portico.get("/counted")) > before + 5, what="the task of the import")
    assert portico.get("/task/sent") == "fine"
    wait_until(lambda: portico.get("/words") == "sent", what="the task of a call")


def send_many(portico: Portico, *, connections: int = 30, requests: int = 3000) -> float:
    """Have so many requests be there at one time; returns for how many seconds they were served."""
    one = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    began_s = time.monotonic()
    with ExitStack() as stack, ThreadPoolExecutor(connections) as readers:
        clients = [stack.enter_context(portico.connect()) for _ in range(connections)]
        counted = [readers.submit(read_body, client) for client in clients]
        for client in clients:
            client.sendall(one * (requests - 1) + last)
        assert sum(each.result().count("HTTP/1.1 200 OK") + 1 for each in counted) == connections * requests
    return time.monotonic() - began_s


@loops
def test_the_loop_has_its_turn_however_many_requests_wait(start: Start, worker: str) -> None:
    portico = begin(start, worker, "--max-pipelined", "0", "--max-requests-per-connection", "0")
    before = int(portico.get("/counted"))
    seconds = send_many(portico)
    # It counts every hundredth of a second, but for how late each is.
    assert int(portico.get("/counted")) - before > seconds * 10


@also_uvloop
def test_a_call_may_run_a_loop_of_its_own(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    for _ in range(3):
        assert portico.get("/runs") == "45"
        assert portico.get("/running") == "hidden"


@also_uvloop
@pytest.mark.parametrize("path", ["/sets/none", "/sets/new", "/policy", "/raises"])
def test_the_loop_of_the_thread_is_the_same_whatever_a_call_sets(
    start: Start, worker: str, path: str
) -> None:
    portico = begin(start, worker)
    for _ in range(2):
        portico.get(path)
        assert portico.get("/running") == "hidden"
    assert portico.get("/task/sent") == "fine"
    wait_until(lambda: portico.get("/words") == "sent", what="the task of a call")


@also_uvloop
@pytest.mark.parametrize(
    "setting", ["set_event_loop_policy(asyncio.DefaultEventLoopPolicy())", "run(asyncio.sleep(0))"]
)
def test_the_loop_of_the_thread_is_the_same_whatever_the_import_sets(
    start: Start, worker: str, setting: str
) -> None:
    portico = begin(start, worker, source=f"{APPLICATION}\nasyncio.{setting}\n")
    assert portico.get("/running") == "hidden"


@loops
def test_each_call_has_a_context_of_its_own(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    assert [portico.get(f"/context/{number}") for number in range(3)] == ["none"] * 3


@loops
def test_bodies_have_come_before_the_call(start: Start, worker: str) -> None:
    portico = begin(start, worker, "--body-memory", "0", "--body-spool", "0")
    with ExitStack() as stack:
        clients = [stack.enter_context(upload(portico, "/upload", 200_000)) for _ in range(30)]
        for client in clients:
            client.sendall(b"x" * 100_000)
        for _ in range(10):
            assert portico.get() == "fine"
        for client in clients:
            client.sendall(b"x" * 100_000)
        assert [read_body(client) for client in clients] == ["200000 200000"] * 30


@also_uvloop
@pytest.mark.parametrize("path", ["/blocks/90", "/big/9000000", "/write/90"])
def test_a_slow_reader_holds_up_nobody(start: Start, worker: str, path: str) -> None:
    portico = begin(start, worker, "--response-memory", "64k", "--response-spool", "64k")
    with ExitStack() as stack:
        clients = [stack.enter_context(portico.ask(path)) for _ in range(20)]
        for _ in range(10):
            assert portico.get() == "fine"
        assert {sum(map(read_body(client).count, "bcd")) for client in clients} == {9_000_000}


@loops
def test_clients_that_vanish_leave_nothing_behind(start: Start, worker: str) -> None:
    portico = begin(start, worker, "--response-memory", "64k", "--response-spool", "64k")
    before = int(portico.get("/descriptors"))
    for _ in range(20):
        reset(portico.ask("/blocks/90"))
    assert portico.get() == "fine"
    wait_until(lambda: int(portico.get("/descriptors")) <= before, what="the descriptors of before")


@loops
def test_an_exception_is_a_500_and_the_loop_goes_on(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    with portico.ask("/raises") as connection:
        assert status_of(connection) == 500
    assert "ValueError: of the application" in portico.log()
    assert "event_loops" not in portico.log()
    assert portico.get("/running") == "hidden"


@also_uvloop
def test_request_timeout_ends_a_call_that_computes(start: Start, worker: str) -> None:
    portico = begin(start, worker, "--timeout", "1")
    pid = portico.get("/pid")
    with portico.ask("/computes") as late:
        assert status_of(late) == 504
    assert portico.get("/pid") == pid
    assert "was ended by RequestTimeout" in portico.log()


@loops
def test_a_worker_whose_loop_does_not_turn_is_replaced(start: Start, worker: str) -> None:
    portico = begin(start, worker, "--timeout", "1", "--timeout-grace", "1")
    pid = int(portico.get("/pid"))
    with portico.ask("/blocks-the-loop") as connection:
        assert status_of(connection) == 504
    wait_until(lambda: not is_alive(pid), what="the end of the worker")
    assert int(portico.get("/pid")) != pid


@loops
def test_a_stop_waits_for_responses(start: Start, worker: str) -> None:
    portico = begin(start, worker, "--response-memory", "64k", "--response-spool", "64k")
    with ExitStack() as stack:
        clients = [stack.enter_context(portico.ask("/blocks/90")) for _ in range(5)]
        assert portico.get() == "fine"
        portico.signal(signal.SIGTERM)
        assert {read_body(client).count("c") for client in clients} == {9_000_000}
    assert portico.wait() == 0


@loops
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_tasks_clean_up_at_the_end(start: Start, worker: str, tmp_path: Path, number: signal.Signals) -> None:
    portico = begin(start, worker)
    assert portico.get("/clean") == "fine"
    portico.signal(number)
    assert portico.wait() == 0
    assert (tmp_path / "cleaned").read_text() == "up"
    assert "Traceback" not in portico.log()
    assert "destroyed" not in portico.log()


@loops
def test_a_task_that_cannot_be_cancelled_holds_up_no_stop(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    assert portico.get("/never_ends") == "fine"
    portico.stop()


@loops
def test_a_loop_that_the_application_stops_goes_on(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    pid = portico.get("/pid")
    with portico.ask("/blocks/100") as connection:
        assert portico.get("/stop") == "fine"
        assert len(read_body(connection)) > 10_000_000
    assert portico.get("/pid") == pid


EXITS = """
import asyncio, sys
def application(environ, start_response):
    loop, by = environ["portico.loop"], environ["PATH_INFO"]
    async def leave():
        sys.exit(3)
    async def leave_at_the_end():
        try:
            await asyncio.sleep(60)
        finally:
            sys.exit(3)
    async def clean():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            open("cleaned", "w").close()
    if by == "/task":
        loop.create_task(leave())
    elif by == "/callback":
        loop.call_soon(sys.exit, 3)
    elif by == "/end":
        loop.create_task(leave_at_the_end())
        loop.create_task(clean())
    start_response("200 OK", [])
    return [b"up"]
"""
_BESIDE = "what the application runs beside its calls has failed; its worker goes on\nTraceback"


@also_uvloop
@pytest.mark.parametrize("by", ["task", "callback"])
def test_an_exit_beside_the_calls_ends_no_worker(start: Start, worker: str, by: str) -> None:
    portico = begin(start, worker, source=EXITS)
    pids = portico.worker_pids
    assert portico.get(f"/{by}") == "up"
    portico.wait_for(_BESIDE)
    assert "SystemExit: 3" in portico.log()
    assert portico.get() == "up"
    assert portico.worker_pids == pids


@also_uvloop
def test_a_task_that_exits_at_the_end_leaves_the_others_their_time(start: Start, worker: str) -> None:
    portico = begin(start, worker, source=EXITS)
    assert portico.get("/end") == "up"
    portico.stop()
    assert (portico.folder / "cleaned").exists()
    assert _BESIDE in portico.log()


@pytest.mark.parametrize("worker", ["asyncio", "gevent", "uvloop"])
def test_what_a_handler_raises_in_a_turn_leaves_no_call_behind(start: Start, worker: str) -> None:
    """Raised by a profiler, as a signal's handler would: between what is to be done and its doing."""
    source = """
import os, sys
def raises_once(frame, event, what):
    if event == "c_return" and what.__name__ == "begin_turn" and os.path.exists("armed"):
        os.remove("armed")
        raise ValueError("of a handler")
def application(environ, start_response):
    if environ["PATH_INFO"] == "/large":
        open("begun", "w").close()
        start_response("200 OK", [("Content-Length", "20000000")])
        return [bytes(10_000_000)] * 2
    start_response("200 OK", [])
    return [b"fine"]
sys.setprofile(raises_once)
"""
    options = ("--response-memory", "0", "--response-spool", "0", "--timeout", "0")
    portico = begin(start, worker, *options, source=source)
    with portico.ask("/large") as connection:
        wait_until((portico.folder / "begun").exists, what="the call")
        assert portico.get() == "fine"
        (portico.folder / "armed").touch()
        assert len(read_body(connection)) == 20_000_000
    assert "a signal handler of the application failed\nTraceback" in portico.log()
    assert not (portico.folder / "armed").exists()


@loops
def test_what_fails_before_the_first_call_leaves_room_for_it(start: Start, worker: str) -> None:
    """The bridge asks for the frames below its calls when it makes room for one; at first in vain."""
    fails_once = """
import sys
usual = sys._getframe
def fail_once(depth):
    sys._getframe = usual
    return None
sys._getframe = fail_once
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""
    portico = begin(start, worker, "--greenlets", "1", source=fails_once)
    with portico.ask() as first:
        portico.wait_for("has no attribute 'f_back'")
        assert portico.get() == "fine"
        assert read_body(first) == "fine"


@loops
def test_a_callback_tells_a_call_that_holds_the_loop(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    portico.ask("/waits-for-its-end").close()
    assert portico.get("/told") == "True portico-leave"


@loops
def test_a_reload_replaces_the_worker(start: Start, worker: str) -> None:
    portico = begin(start, worker)
    pid = portico.get("/pid")
    portico.signal(signal.SIGHUP)
    wait_until(lambda: portico.get("/pid") != pid, what="another worker")


@loops
def test_with_preload_each_worker_has_a_loop(start: Start, worker: str) -> None:
    source = APPLICATION.replace("counting = asyncio.get_event_loop().create_task(count())", "")
    portico = start(source, "-w", "2", "--worker", worker, "--preload")
    portico.wait_ready()
    wait_until(lambda: len(portico.worker_pids) >= 2, what="both workers")
    assert {portico.get("/running") for _ in range(10)} == {"hidden"}
    assert portico.get("/task/sent") == "fine"


@pytest.mark.parametrize(("worker", "module"), [("asyncio", "greenlet"), ("tornado", "tornado")])
def test_without_what_it_needs_a_sentence_says_what_to_install(
    start: Start, tmp_path: Path, worker: str, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ImportError('No module named {module}')")
    portico = start("def application(environ, start_response): pass", "--worker", worker)
    assert portico.wait() != 0
    assert f"worker is {worker}, which cannot be had: No module named {module}" in portico.log()
    assert f"pip install 'portico-server[{worker}]'" in portico.log()


NATIVE = """
import asyncio, gc, os, sys, time
from portico.event_loops.greenlets import Greenlets
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler
closed = []
class Main(RequestHandler):
    def get(self):
        self.set_cookie("a", "b")
        self.set_cookie("c", "d")
        self.write("fine")
    def post(self):
        self.write(f"{self.get_argument('name')} {len(self.request.body)} {self.request.remote_ip}")
class Sleeps(RequestHandler):
    async def get(self):
        await asyncio.sleep(float(self.get_argument("for")))
        self.write("slept")
    def on_connection_close(self):
        closed.append("woken")
class LateWithItsLoop(RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        # Meanwhile it is late, and the loop is summoned.
        time.sleep(3)
        await asyncio.sleep(0)
        # In the turn in which the loop finds that, and just before.
        self.finish("late")
        asyncio.get_running_loop().call_later(0.1, tell_greenlets)
def tell_greenlets():
    loop, = (one for one in gc.get_objects() if isinstance(one, Greenlets))
    print(f"{loop._made} made, {len(loop._idle)} idle", file=sys.stderr, flush=True)
class Fails(RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        raise HTTPError(418)
class Breaks(RequestHandler):
    async def get(self):
        raise ValueError("of the handler")
class Exits(RequestHandler):
    async def get(self, when, error):
        if when == "sent":
            self.write("begins")
            await self.flush()
        if when != "at-once":
            await asyncio.sleep(0)
        if when != "finished":
            raise RAISED[error]
    def on_finish(self):
        if self.path_args[0] == "finished":
            raise RAISED[self.path_args[1]]
RAISED = {each.__name__: each for each in (SystemExit, KeyboardInterrupt, GeneratorExit, BaseException)}
class Streams(RequestHandler):
    async def get(self):
        try:
            for _ in range(90):
                self.write(b"c" * 100_000)
                await self.flush()
        finally:
            closed.append("streams")
@stream_request_body
class Takes(RequestHandler):
    def prepare(self):
        self.count = self.blocks = 0
    async def data_received(self, chunk):
        await asyncio.sleep(0)
        self.count += len(chunk)
        self.blocks += 1
    def post(self):
        self.write(f"{self.count} {self.blocks > 1}")
@stream_request_body
class Echoes(RequestHandler):
    async def prepare(self):
        self.write(b"begins ")
        await self.flush()
    async def data_received(self, chunk):
        self.write(chunk)
        await self.flush()
    def post(self):
        self.finish(b" ends")
@stream_request_body
class Refuses(RequestHandler):
    async def prepare(self):
        self.set_status(403)
        self.finish("refused")
    def data_received(self, chunk):
        closed.append("received")
class Leaves(RequestHandler):
    async def get(self):
        self.write("begins")
        await self.flush()
        await asyncio.sleep(60)
    def on_connection_close(self):
        asyncio.get_running_loop()
        closed.append("left")
class Socket(WebSocketHandler):
    def open(self):
        pass
class Closed(RequestHandler):
    def get(self):
        self.write(" ".join(closed))
application = Application([
    ("/", Main), ("/sleeps", Sleeps), ("/fails", Fails), ("/breaks", Breaks), ("/streams", Streams),
    ("/takes", Takes), ("/socket", Socket), ("/closed", Closed),
    ("/late-with-its-loop", LateWithItsLoop), ("/exits/(.*)/(.*)", Exits),
    ("/echoes", Echoes), ("/refuses", Refuses), ("/leaves", Leaves),
])
"""


def post(portico: Portico, path: str, body: bytes) -> str:
    with upload(portico, path, len(body)) as connection:
        connection.sendall(body)
        return read_body(connection)


@pytest.fixture
def native(start: Start) -> Portico:
    """A server of a `tornado.web.Application`."""
    spool = ("--response-memory", "64k", "--response-spool", "64k")
    return begin(start, "tornado", "--timeout", "2", *spool, source=NATIVE)


def test_handlers_respond(native: Portico) -> None:
    with native.ask() as connection:
        received = b""
        while data := connection.recv(65536):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert (head.count(b"Set-Cookie: "), body) == (2, b"fine")
    head = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 6\r\n"
    with native.connect() as connection:
        connection.sendall(head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname=a")
        assert read_body(connection) == "a 6 127.0.0.1"


def test_handlers_wait_beside_each_other(native: Portico) -> None:
    began_s = time.monotonic()
    with ExitStack() as stack:
        clients = [stack.enter_context(native.ask("/sleeps?for=0.5")) for _ in range(50)]
        assert native.get() == "fine"
        assert [read_body(client) for client in clients] == ["slept"] * 50
    # Not a test of speed: one after the other they would take 25 s.
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize(("path", "status"), [("/fails", 418), ("/breaks", 500), ("/nowhere", 404)])
def test_handlers_fail(native: Portico, path: str, status: int) -> None:
    with native.ask(path) as connection:
        assert status_of(connection) == status
    assert native.get() == "fine"


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"])
@pytest.mark.parametrize("when", ["at-once", "later"])
def test_a_handler_that_exits_ends_its_call_alone(native: Portico, when: str, error: str) -> None:
    pids = native.worker_pids
    with native.ask("/sleeps?for=0.5") as other:
        with native.ask(f"/exits/{when}/{error}") as connection:
            assert status_of(connection) == 500
        assert read_body(other) == "slept"
    assert native.worker_pids == pids
    assert f"at GET /exits/{when}/{error} failed\nTraceback" in native.log()


@pytest.mark.parametrize("when", ["sent", "finished"])
def test_a_handler_that_exits_late_ends_no_worker(native: Portico, when: str) -> None:
    pids = native.worker_pids
    with native.ask(f"/exits/{when}/SystemExit") as connection:
        assert status_of(connection) == 200
    native.wait_for("has failed; its worker" if when == "finished" else f"/exits/{when}/SystemExit failed")
    assert native.get() == "fine"
    assert native.worker_pids == pids


def test_a_handler_that_is_late_is_ended(native: Portico) -> None:
    with native.ask("/sleeps?for=60") as connection:
        assert native.get() == "fine"
        assert status_of(connection) == 504
    assert native.get() == "fine"


def test_a_handler_that_ends_as_its_call_is_ended_wakes_nobody(start: Start) -> None:
    native = begin(start, "tornado", "--timeout", "1", "--timeout-grace", "20", source=NATIVE)
    with native.ask("/late-with-its-loop") as connection:
        assert status_of(connection) == 504
    native.wait_for("idle")
    assert "1 made, 1 idle" in native.log()
    assert "was ended by RequestTimeout" in native.log()


def test_handlers_stream_as_far_as_their_clients_take_it(native: Portico) -> None:
    with native.ask("/streams") as connection:
        assert native.get("/closed") == ""
        assert read_body(connection).count("c") == 9_000_000
    assert native.get("/closed") == "streams"
    reset(native.ask("/streams"))
    wait_until(lambda: native.get("/closed") == "streams streams", what="the handler to hear of it")


def test_handlers_take_bodies_block_by_block(native: Portico) -> None:
    assert post(native, "/takes", b"x" * 1_000_000) == "1000000 True"


def test_handlers_send_before_they_have_all_of_a_body(native: Portico) -> None:
    assert post(native, "/echoes", b"x" * 1_000_000).count("x") == 1_000_000
    assert post(native, "/refuses", b"x" * 1_000_000) == "refused"
    assert native.get("/closed") == ""


@pytest.mark.parametrize("by", ["the client", "the deadline"])
def test_handlers_hear_of_the_end_of_their_call(native: Portico, by: str) -> None:
    with native.ask("/leaves") as connection:
        assert status_of(connection) == 200
        if by == "the deadline":
            read_body(connection)
    wait_until(lambda: native.get("/closed") == "left", what="the handler to hear of it")


def test_a_client_that_leaves_before_the_response_is_no_failure(native: Portico) -> None:
    native.ask("/sleeps?for=1000").close()
    wait_until(lambda: native.get("/closed") == "woken", what="the handler to hear of it")
    native.stop()
    assert "start_response" not in native.log()
    assert "[error]" not in native.log()


def test_web_sockets_of_tornado_are_not_there(native: Portico) -> None:
    with native.connect() as connection:
        connection.sendall(
            b"GET /socket HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert status_of(connection) == 501
    assert "web sockets of Tornado are not served" in native.log()


def test_a_native_application_needs_its_loop(start: Start) -> None:
    portico = start(NATIVE)
    assert portico.wait() != 0
    assert "is an application of Tornado's own; expected worker = tornado for that" in portico.log()


def test_keep_alive_and_close(native: Portico) -> None:
    with socket.create_connection(("127.0.0.1", native.port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            received = b""
            while not received.endswith(b"fine"):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 OK\r\n")
