"""The soak's clients and its timetable: what honest ones expect, what hostile ones do, when faults happen."""

from __future__ import annotations

import io
import random
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "soak"))

import application
import honest
from curves import Curve, Mark, Panel, drawing
from faults import Fault, Moment, timetable
from hostile import HostileLoad, Loop, wanted_load
from hostile_kinds import KINDS


def respond(request: bytes) -> tuple[str, bytes]:
    """What the application says to a request, as bytes on the wire."""
    head, _, body = request.partition(b"\r\n\r\n")
    method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
    path, _, query = target.partition("?")
    if b"Transfer-Encoding: chunked" in head:
        body = b"".join(_chunks(io.BytesIO(body)))
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(body),
    }
    blocks = application.application(environ, lambda status, headers: statuses.append(status))
    return statuses[0], b"".join(blocks)


def _chunks(body: io.BytesIO) -> Iterator[bytes]:
    while size := int(body.readline(), 16):
        yield body.read(size)
        assert body.readline() == b"\r\n"


def test_every_errand_expects_the_response_of_the_application() -> None:
    chance = random.Random(7)
    seen = set()
    for _ in range(300):
        wanted = honest.errand(chance)
        seen.add(wanted.route)
        if wanted.route == "raise":
            with pytest.raises(application.Intended):
                respond(wanted.request)
            continue
        status, body = respond(wanted.request)
        assert (int(status[:3]), body) == (wanted.status, wanted.body)
    assert seen == {"fast", "slow", "stream", "upload", "large", "missing", "raise"}


def test_percentiles_are_upper_ends_of_buckets() -> None:
    account = honest.Account()
    response = honest.Response("HTTP/1.1", 200, "OK", [])
    for ms in range(1, 101):
        account.complete("fast", response, ms / 1000, 5)
    latencies = account.report()["latency_ms"]
    assert isinstance(latencies, dict)
    for name, exact in (("p50", 50), ("p99", 99), ("max", 100)):
        assert exact <= latencies["fast"][name] <= exact * 1.1


def test_faults_end_before_the_run_and_reloads_come_early() -> None:
    moments = timetable(1800, 30)
    kills = [moment.at_s for moment in moments if moment.fault is Fault.KILL]
    reloads = [moment.at_s for moment in moments if moment.fault is Fault.RELOAD]
    assert kills == [30.0 * number for number in range(1, 60)]
    assert reloads == [45, 135, 225, 315, 405, 495, 585, 675]
    assert moments == sorted(moments, key=lambda moment: moment.at_s)


def test_a_short_run_has_a_reload_too() -> None:
    assert timetable(60, 10)[:3] == [
        Moment(10, Fault.KILL),
        Moment(15, Fault.RELOAD),
        Moment(20, Fault.KILL),
    ]


def test_connections_are_opened_at_a_bounded_rate() -> None:
    load = HostileLoad(KINDS["silent"], 100)
    opened = 0
    for _ in range(10):
        count = load.take_allowance(0.01, 1.0)
        opened += count
        load.alive += count
    assert opened == 10, "a tenth of a second: a tenth of all"
    load.alive = load.wanted
    assert load.take_allowance(1.0, 1.0) == 0, "enough are open"


def test_all_kinds_do_their_work_without_a_server(capfd: pytest.CaptureFixture[str]) -> None:
    loads = [HostileLoad(kind, 20) for kind in KINDS.values()]
    Loop(0, loads, harmless=True).run(0.6)
    for load in loads:
        assert load.tally["opened"] >= 5, load.kind.name
        assert not {name for name in load.tally if name.startswith(("closed", "reset", "not"))}, (
            load.kind.name
        )
        assert load.alive == 0, load.kind.name
    assert capfd.readouterr().out == "ready\n"


def test_closed_connections_are_counted_and_opened_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load = HostileLoad(KINDS["silent"], 2)
        loop = Loop(listener.getsockname()[1], [load], harmless=False)

        def close_two_and_stop_at_the_fourth() -> None:
            for number in range(4):
                connection = listener.accept()[0]
                kept.append(connection)
                if number < 2:
                    connection.close()
            loop.stopped = True

        kept: list[socket.socket] = []
        server = threading.Thread(target=close_two_and_stop_at_the_fourth, daemon=True)
        server.start()
        loop.run(10)
        server.join(10)
        for connection in kept:
            connection.close()
    assert load.tally["closed"] == 2
    assert load.opened >= 4


@pytest.mark.parametrize(
    ("text", "number"),
    [("silent=7", 7), ("silent", 1000), ("connect-flood=3", 3)],
    ids=["n", "default", "rate"],
)
def test_loads_are_read_from_the_command_line(text: str, number: int) -> None:
    assert wanted_load(text).wanted == number


@pytest.mark.parametrize("text", ["loud", "silent=0", "silent=x", "silent="])
def test_bad_loads_are_rejected(text: str) -> None:
    with pytest.raises(Exception, match=r"is none of|is no number"):
        wanted_load(text)


def test_the_picture_has_a_line_per_process_and_a_mark_per_fault() -> None:
    lines = [Curve([(0.0, 0.0), (1.0, 30.0)], "red"), Curve([(0.5, 70.0)], "blue")]
    text = drawing([Panel("RSS <MB>", lines)], [Mark(0.5, "green")], [("one & two", "red")])
    assert text.startswith("<svg ")
    assert (text.count("<polyline"), text.count('class="mark"')) == (2, 1)
    assert "RSS &lt;MB&gt;" in text
    assert "one &amp; two" in text
    # 100 is the round number above 70: at the top, where 30 is 70 % further down.
    assert 'points="70.0,210.0 880.0,157.2"' in text
