"""The wall clock jumps a day forwards and backwards: nothing is aborted, and only what shows the time
follows.

The server runs under libfaketime (Debian: `apt-get install faketime`), which reads the offset from a file at
every look at the clock; the monotonic clock stays true.
"""

from __future__ import annotations

import datetime
import email.utils
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.waiting import wait_until

LIBRARIES = [
    *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
    *Path("/usr/lib").glob("faketime/libfaketimeMT.so.1"),
]
DAY_S = 86_400
ACCURACY_S = 30

OPTIONS = [
    *("--keep-alive", "5s", "--head-timeout", "5s", "--body-timeout", "5s", "--write-timeout", "5s"),
    *("--queue-timeout", "5s", "--request-timeout", "30s", "--timeout", "5s"),
]
"""Much shorter than the jumps, and longer than the test."""

pytestmark = pytest.mark.skipif(
    not LIBRARIES, reason="NOT TESTED: clock jumps, since libfaketime is missing (apt-get install faketime)"
)


class WallClock:
    """What time the server believes it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset_s = 0
        self.jump(0)

    def jump(self, offset_s: int) -> None:
        """Set the clock to `offset_s` seconds from the true time."""
        self.offset_s = offset_s
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}s\n")
        fresh.rename(self._path)

    def shows(self, date: str | None) -> bool:
        """Whether `date` is the present time of this clock."""
        assert date
        stamp = email.utils.parsedate_to_datetime(date).timestamp()
        return abs(stamp - time.time() - self.offset_s) < ACCURACY_S


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    return WallClock(tmp_path_factory.mktemp("clock") / "offset")


@pytest.fixture(scope="module")
def jumping(clock: WallClock) -> Iterator[Server]:
    environment = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock._path),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    with Server(threads=1, options=OPTIONS, environment=environment) as running:
        yield running


@pytest.fixture(autouse=True)
def _back_to_now(clock: WallClock) -> Iterator[None]:
    yield
    clock.jump(0)


jumps = pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["forwards", "backwards"])


def date_of(connection: Connection) -> str | None:
    return connection.request("/function").get("Date")


@jumps
def test_the_date_follows(jumping: Server, clock: WallClock, jump_s: int) -> None:
    with jumping.connect() as connection:
        assert clock.shows(date_of(connection))
        for jump in (jump_s, 0):
            clock.jump(jump)
            # The text is kept for a moment.
            wait_until(lambda: clock.shows(date_of(connection)), what="the new Date", deadline_s=1)


@jumps
def test_log_lines_follow(jumping: Server, clock: WallClock, key: str, jump_s: int) -> None:
    clock.jump(jump_s)
    with jumping.connect() as connection:
        connection.request(f"/function?key={key}")
    line = jumping.access_log.wait_for(rf"\[(.*?)\] .*{key}")
    stamp = datetime.datetime.strptime(line[1], "%d/%b/%Y:%H:%M:%S %z")
    assert clock.shows(email.utils.format_datetime(stamp))


@jumps
def test_nothing_is_aborted(jumping: Server, clock: WallClock, key: str, jump_s: int) -> None:
    """At the jump: an idle connection, half a head, half a body, a call, a queue, a slow reader."""
    size = 4 << 20
    with ExitStack() as stack:
        idle, head, body, running, queued, reader, silent = (
            stack.enter_context(jumping.connect(receive_buffer=4096)) for _ in range(7)
        )
        assert idle.request("/function").status == 200
        head.send(b"GET /function HTTP/1.1\r\nHo")
        body.send(request_bytes("/counts", "POST", headers=["Content-Length: 4"]) + b"xx")
        reader.ask("/one-block?mebibytes=4")
        assert reader.read_head().status == 200
        running.ask(f"/waits?key={key}")
        jumping.recorder.wait_for(key, "inside")
        queued.ask("/function")
        for offset_s in (jump_s, 0, jump_s):
            clock.jump(offset_s)
            # Longer than the deadlines' tick and the supervisor's look at its workers.
            assert queued.is_silent(0.4)
        jumping.recorder.open_gate(key)
        assert running.read_response().body == b"waited"
        assert queued.read_response().body == b"function"
        head.send(b"st: a\r\n\r\n")
        assert head.read_response().body == b"function"
        body.send(b"xx")
        assert body.read_response().body == b"4"
        reader.discard(size)
        for connection in (idle, reader, silent, queued):
            assert connection.request("/function").body == b"function"
        assert "replaced" not in jumping.error_log.text()
        assert "[error]" not in jumping.error_log.text()


def test_deadlines_are_kept_while_the_clock_jumps(clock: WallClock, jumping: Server) -> None:
    """Backwards: a deadline by the wall clock would come a day too late."""
    options = [*OPTIONS, "--head-timeout", "500ms"]
    with Server(options=options, environment=dict(jumping._environment)) as server, server.connect() as slow:
        slow.send(b"GET / HTTP/1.1\r\n")
        clock.jump(-DAY_S)
        assert slow.read_response().status == 408


@pytest.mark.parametrize(
    "day",
    [
        *("2024-02-29", "2028-02-29", "2028-03-01", "2096-12-31", "2100-02-28", "2100-03-01"),
        *("2026-12-01", "2027-01-31", "2400-02-29", "2400-03-01"),
    ],
)
def test_log_lines_know_the_calendar(jumping: Server, clock: WallClock, key: str, day: str) -> None:
    noon = datetime.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    clock.jump(round(noon.timestamp() - time.time()))
    expected = f"[{noon:%d/%b/%Y}:12:00:"
    with jumping.connect() as connection:
        connection.request(f"/function?key={key}")
    line = jumping.access_log.wait_for(rf"(\[[^\]]*).*key={key}")
    assert line[1].startswith((expected, expected.replace("12:00", "11:59")))
