"""The examples that a way to execute is for: one flag, and each does what its first lines say."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.postgresql import PostgreSQL, postgresql
from support.server import free_port
from support.waiting import DEADLINE_S, wait_until
from support.ways import THREADS, WAYS, serving

EXAMPLES = Path(__file__).parents[2] / "examples"
PATHS = ("/prices", "/stock", "/reviews")
READERS = 20
"""More than there would be threads."""

in_every_way = pytest.mark.parametrize("way", WAYS)


# --- examples/fan_out.py


class Services(ThreadingHTTPServer):
    """Services that are asked for PATHS; `hold` is called before each response."""

    daemon_threads = True
    request_queue_size = len(PATHS) * READERS

    def __init__(self, hold: Callable[[BaseHTTPRequestHandler], object]) -> None:
        super().__init__(("127.0.0.1", 0), _Service)
        self.hold = hold
        self.urls = [f"http://127.0.0.1:{self.server_port}{path}" for path in PATHS]


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Services)
        self.server.hold(self)
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Stay silent."""


@contextmanager
def services(hold: Callable[[BaseHTTPRequestHandler], object]) -> Iterator[Services]:
    running = Services(hold)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def said(asked: Services) -> dict[str, Any]:
    return {url: {"path": path} for url, path in zip(asked.urls, PATHS, strict=True)}


@in_every_way
def test_fan_out_shows_what_each_service_says(way: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    with (
        services(lambda request: None) as asked,
        serving("fan_out", way, EXAMPLES, {"SERVICES": " ".join([*asked.urls, nobody])}) as server,
    ):
        page = httpx.get(server.url, timeout=DEADLINE_S)
        assert page.json() == {**said(asked), nobody: None}
        assert f"{nobody}: " in server.error_log.text()


def test_fan_out_asks_for_all_readers_at_one_time() -> None:
    """No service responds before everybody has asked all of them."""
    everybody = threading.Barrier(len(PATHS) * READERS)
    with (
        services(lambda request: everybody.wait(DEADLINE_S)) as asked,
        serving("fan_out", "gevent", EXAMPLES, {"SERVICES": " ".join(asked.urls)}) as server,
        ThreadPoolExecutor(READERS) as readers,
    ):
        pages = list(readers.map(lambda url: httpx.get(url, timeout=2 * DEADLINE_S), [server.url] * READERS))
        assert [page.json() for page in pages] == [said(asked)] * READERS


def test_fan_out_that_is_late_leaves_nothing_asked() -> None:
    """RequestTimeout ends the call, and the call the greenlets that it has made."""
    late = ("--timeout", "300ms")
    has_left = threading.Semaphore(0)

    def hold(request: BaseHTTPRequestHandler) -> None:
        # Until portico, who has nothing more to say, closes.
        request.connection.settimeout(DEADLINE_S)
        assert request.connection.recv(1) == b""
        has_left.release()

    with (
        services(hold) as asked,
        serving("fan_out", "gevent", EXAMPLES, {"SERVICES": " ".join(asked.urls)}, *late) as server,
    ):
        assert httpx.get(server.url, timeout=DEADLINE_S).status_code == 504
        # Sooner than each of them would give up by itself.
        assert all(has_left.acquire(timeout=DEADLINE_S / 2) for _ in PATHS)


# --- examples/psycopg_notes.py


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    """A PostgreSQL with the table of the notes."""
    pytest.importorskip("psycopg_pool")
    with postgresql() as running:
        subprocess.run(
            [sys.executable, EXAMPLES / "psycopg_notes.py"], check=True, env=running.environment, cwd=EXAMPLES
        )
        yield running


@in_every_way
def test_psycopg_notes_are_kept(database: PostgreSQL, way: str) -> None:
    with (
        serving("psycopg_notes", way, EXAMPLES, database.environment) as server,
        httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client,
    ):
        added = client.post("/", data={"text": f"<milk>, {way}"})
        assert (added.status_code, added.headers["Location"]) == (302, "/")
        assert f"<li>&lt;milk&gt;, {way}</li>" in client.get("/").text


@pytest.mark.parametrize(("way", "count"), [("threads", THREADS - 1), ("gevent", 3 * THREADS)])
def test_psycopg_notes_are_served_while_the_database_lets_others_wait(
    database: PostgreSQL, way: str, count: int
) -> None:
    with (
        serving("psycopg_notes", way, EXAMPLES, database.environment) as server,
        httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client,
        ThreadPoolExecutor(count) as writers,
    ):

        def write(number: int) -> int:
            return client.post("/", data={"text": f"{way} {number}"}).status_code

        with closing(database.connect()) as connection, connection.transaction():
            # Whoever reads the table may go on, whoever writes waits.
            connection.execute("LOCK TABLE note IN EXCLUSIVE MODE")
            written = [writers.submit(write, number) for number in range(count)]
            wait_until(lambda: database.waiting() == count, what="all to wait in the database")
            assert f"<li>{way} 0</li>" not in client.get("/").text
        assert [each.result() for each in written] == [302] * count
        page = client.get("/").text
        assert [number for number in range(count) if f"<li>{way} {number}</li>" not in page] == []


# --- examples/periodic.py


def test_periodic_ticks_while_handlers_wait() -> None:
    with (
        serving("periodic", "tornado", EXAMPLES, {"TICK_MS": "20"}) as server,
        httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client,
    ):
        first, second = (client.get("/").json() for _ in range(2))
        assert second["ticks"] > first["ticks"] > 0


def test_periodic_streams_until_its_reader_leaves() -> None:
    with (
        serving("periodic", "tornado", EXAMPLES, {"TICK_MS": "20"}) as server,
        httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client,
    ):
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)) as reader:
            reader.request("GET", "/ticks")
            with reader.getresponse() as response:
                assert (response.status, response.headers["Content-Type"]) == (200, "text/plain")
                ticks = [int(response.readline()) for _ in range(4)]
                # One that comes while a line is on its way is not waited for.
                assert ticks == sorted(set(ticks))
                assert client.get("/").json()["readers"] == 1
                assert reader.sock is not None
                reader.sock.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: client.get("/").json()["readers"] == 0, what="the handler to hear of it")


@pytest.mark.parametrize("way", ["asyncio", "tornado"])
def test_reminders_are_sent_by_the_loop_after_the_response(way: str) -> None:
    with (
        serving("periodic:reminders", way, EXAMPLES, {"DELAY_S": "0.1"}) as server,
        httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client,
    ):
        accepted = [client.post("/", content=text).status_code for text in ("milk", "bread")]
        assert accepted == [202, 202]
        wait_until(lambda: client.get("/").text == "milk\nbread\n", what="both to be sent")
