"""The access log goes to a log daemon: by syslog, here and over the network, and to the journal."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.log_daemon import LogDaemon, entry, network_record, record
from support.raw_client import Connection
from support.waiting import wait_until

from .conftest import Portico, Start

APPLICATION = """
import os, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    environ["portico.route"] = "/<status>"
    environ["shop.customer"] = "line\\nend\\n\\n\\0PRIORITY=0"
    if path == "/killed":
        open("entered", "w").close()
        time.sleep(30)
    status = path[1:4] + " X"
    start_response(status, [("X-Request-ID", "r-1"), ("Content-Length", "5")])
    return [b"hello"]
"""
USER, LOCAL0 = 1, 16
LOST = re.compile(r"(\d+) of its lines are lost")
FIRST_TEXT = "x" * 900


class Sink(NamedTuple):
    """A daemon, what `access_log` has to be for it, and what reads the text of its datagrams."""

    daemon: LogDaemon
    access_log: str
    text: Callable[[bytes], str]


def of_syslog(path: Path) -> Sink:
    return Sink(LogDaemon(path), f"syslog:unix:{path}", lambda datagram: record(datagram).text)


def of_network(path: Path) -> Sink:
    daemon = LogDaemon()
    return Sink(
        daemon, f"syslog:udp://127.0.0.1:{daemon.port}", lambda datagram: network_record(datagram).text
    )


def of_journal(path: Path) -> Sink:
    return Sink(LogDaemon(path), f"journald:unix:{path}", lambda datagram: entry(datagram)["MESSAGE"])


KINDS = [
    pytest.param(of_syslog, id="syslog"),
    pytest.param(of_network, id="udp"),
    pytest.param(of_journal, id="journald"),
]


@pytest.fixture(params=KINDS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    found: Sink = request.param(tmp_path / "log")
    yield found
    found.daemon.leave()


@pytest.fixture(params=[KINDS[0], KINDS[2]])
def local_sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    """One whose daemon is known to be there, or not."""
    found: Sink = request.param(tmp_path / "log")
    yield found
    found.daemon.leave()


def serve(start: Start, sink: Sink, *options: str) -> Portico:
    portico = start(APPLICATION, "--workers", "1", "--access-log", sink.access_log, *options)
    portico.wait_ready()
    return portico


def ask(portico: Portico, *targets: str, headers: tuple[str, ...] = ()) -> None:
    with Connection(("127.0.0.1", portico.port)) as connection:
        for target in targets:
            connection.request(target, headers=list(headers))


@pytest.mark.parametrize("form", ["local", "network"])
def test_a_record_of_syslog_has_level_facility_tag_and_process(
    start: Start, tmp_path: Path, form: str
) -> None:
    sink = (of_syslog if form == "local" else of_network)(tmp_path / "log")
    portico = serve(start, sink, "--syslog-facility", "local0", "--syslog-tag", "shop")
    ask(portico, "/200", "/302", "/404", "/500")
    read = record if form == "local" else network_record
    records = [read(datagram) for datagram in sink.daemon.wait_for(4)]
    assert [each.level for each in records] == ["info", "info", "warning", "err"]
    assert {each[:1] + each[2:4] for each in records} == {(LOCAL0, "shop", portico.worker_pids[0])}
    line = r'127\.0\.0\.1 - - \[[^]]+\] "GET /404 HTTP/1\.1" 404 5 "-" "-" \d\.\d{6}'
    assert re.fullmatch(line, records[2].text)
    portico.stop()
    sink.daemon.leave()


def test_an_entry_of_the_journal_has_fields(start: Start, tmp_path: Path) -> None:
    sink = of_journal(tmp_path / "log")
    options = ("--syslog-tag", "shop", "--access-log-fields", "environ.shop.customer,header.x-tenant")
    portico = serve(start, sink, *options)
    ask(portico, "/404?a=1", headers=("X-Tenant: anna", "User-Agent: tester"))
    [datagram] = sink.daemon.wait_for(1)
    fields = entry(datagram)
    times = {name: fields.pop(name) for name in list(fields) if name.endswith("_US")}
    assert all(value.isdigit() for value in times.values())
    assert {"DURATION_US", "QUEUE_US", "LOCK_US", "APP_US", "CLIENT_US", "FIRST_BYTE_US"} <= set(times)
    assert fields == {
        "MESSAGE": "GET /404?a=1 404",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "shop",
        "SYSLOG_FACILITY": "1",
        "SYSLOG_PID": str(portico.worker_pids[0]),
        "CLIENT_IP": "127.0.0.1",
        "HTTP_METHOD": "GET",
        "URL_PATH": "/404",
        "URL_QUERY": "a=1",
        "URL_DOMAIN": fields["URL_DOMAIN"],
        "HTTP_VERSION": "1.1",
        "ROUTE": "/<status>",
        "REQUEST_ID": "r-1",
        "USER_AGENT": "tester",
        "REQUEST_BYTES": "0",
        "HTTP_STATUS": "404",
        "BODY_BYTES": "5",
        "APPLICATION": fields["APPLICATION"],
        "WORKER": "1",
        "THREAD": "0",
        "ENVIRON_SHOP_CUSTOMER": "line\\x0aend\\x0a\\x0a\\x00PRIORITY=0",
        "HEADER_X_TENANT": "anna",
    }
    portico.stop()
    sink.daemon.leave()


@pytest.mark.parametrize("line_format", ["combined", "json", "%(path) %(status)"])
def test_the_text_is_what_the_format_says(start: Start, sink: Sink, line_format: str) -> None:
    portico = serve(start, sink, "--access-log-format", line_format)
    ask(portico, "/200")
    [datagram] = sink.daemon.wait_for(1)
    text = sink.text(datagram)
    expected = {"combined": "127.0.0.1 - - [", "json": '{"@timestamp":"', "%(path) %(status)": "/200 200"}
    assert text.startswith(expected[line_format])
    portico.stop()


def test_each_hostile_value_is_in_one_record(start: Start, sink: Sink) -> None:
    portico = serve(start, sink, "--max-header", "70000", "--max-head", "100000")
    agents = [b'a "quote" and \\', b"\xff\xfe\x80 no UTF-8", b"<0>kernel: \x1b[31m", "ü\u2028ü".encode()]
    agents += [b"x" * 65_536, b"\xff" * 65_536, b"\nHTTP_STATUS=200\n\nMESSAGE=forged"]
    for number, agent in enumerate(agents):
        with Connection(("127.0.0.1", portico.port)) as connection:
            connection.send(b"GET /200?n=%d HTTP/1.1\r\nHost: x\r\nUser-Agent: %b\r\n\r\n" % (number, agent))
            connection.read_response()
    datagrams = sink.daemon.wait_for(len(agents))
    # Which of them were rejected, the server says; each has its own record in any case.
    texts = [sink.text(datagram) for datagram in datagrams]
    assert max(map(len, datagrams)) < 16_384
    assert all("\n" not in text for text in texts)
    assert [re.search(r"/200\?n=(\d)", text)[1] for text in texts[:2]] == ["0", "1"]  # type: ignore[index]
    portico.stop()


def test_requests_do_not_wait_for_a_daemon_that_does_not_read(start: Start, local_sink: Sink) -> None:
    portico = serve(start, local_sink, "--access-log-format", "%(query) %(user_agent)")
    daemon, count = local_sink.daemon, 2_000
    with Connection(("127.0.0.1", portico.port)) as connection:
        began_s = time.monotonic()
        for number in range(count):
            connection.request(f"/200?{number}", headers=[f"User-Agent: {FIRST_TEXT}"])
        assert time.monotonic() - began_s < 20
    portico.wait_for("of its lines are lost")
    wait_until(lambda: daemon.drain() > 300, what="what was kept")
    portico.stop()
    daemon.drain()
    numbers = [int(local_sink.text(datagram).split()[0]) for datagram in daemon.datagrams]
    # In order, each once.
    assert numbers == sorted(set(numbers))
    assert len(numbers) < count


def test_what_a_daemon_does_not_take_in_time_is_counted(start: Start, local_sink: Sink) -> None:
    portico = serve(start, local_sink)
    count = 600
    with Connection(("127.0.0.1", portico.port)) as connection:
        for number in range(count):
            connection.request(f"/200?{number}")
    # Nobody reads: so the end gives up what the socket has not taken, and says how much that was.
    portico.stop()
    lost = LOST.findall(portico.log())
    assert local_sink.daemon.drain() + sum(map(int, lost)) == count
    assert len(lost) == 1


def test_records_wait_for_a_daemon_that_restarts(start: Start, local_sink: Sink) -> None:
    portico = serve(start, local_sink)
    ask(portico, "/200?1")
    local_sink.daemon.wait_for(1)
    local_sink.daemon.leave()
    ask(portico, *(f"/200?{number}" for number in range(2, 50)))
    portico.wait_for("cannot reach the log daemon at ")
    local_sink.daemon.listen()
    texts = [local_sink.text(datagram) for datagram in local_sink.daemon.wait_for(49)]
    assert [int(text.split("/200?")[1].split()[0]) for text in texts] == list(range(1, 50))
    assert "lost" not in portico.log()
    portico.stop()


def test_a_worker_starts_while_the_daemon_is_gone(start: Start, local_sink: Sink) -> None:
    portico = serve(start, local_sink)
    local_sink.daemon.leave()
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("access lines are kept until it is there")
    wait_until(lambda: len(portico.worker_pids) == 1, what="a worker")
    ask(portico, "/200?later")
    local_sink.daemon.listen()
    [datagram] = local_sink.daemon.wait_for(1)
    assert "/200?later" in local_sink.text(datagram)
    portico.stop()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["forked", "preloaded"])
def test_what_ran_in_a_killed_worker_has_its_record(
    start: Start, sink: Sink, options: tuple[str, ...]
) -> None:
    portico = serve(start, sink, "--workers", "2", *options)
    ask(portico, *(f"/200?{number}" for number in range(20)))
    with portico.ask("/killed") as connection:
        entered = portico.folder / "entered"
        wait_until(entered.exists, what="a call")
        for pid in portico.worker_pids:
            portico.signal_worker(pid, signal.SIGKILL)
        assert connection.recv(100) == b""
    datagrams = sink.daemon.wait_for(21)
    [killed] = [datagram for datagram in datagrams if b"/killed" in datagram]
    assert re.search(r"\b000\b.* killed:SIGKILL$", sink.text(killed))
    if "journald" in sink.access_log:
        fields = entry(killed)
        assert (fields["CAUSE"], fields["PRIORITY"], fields["HTTP_STATUS"]) == ("killed:SIGKILL", "3", "000")
    portico.stop()
    assert sink.daemon.drain() == 21


def test_usr1_and_a_reload_do_no_harm(start: Start, sink: Sink) -> None:
    portico = serve(start, sink)
    ask(portico, "/200?1")
    portico.signal(signal.SIGUSR1)
    ask(portico, "/200?2")
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    ask(portico, "/200?3")
    sink.daemon.wait_for(3)
    assert "cannot" not in portico.log()
    portico.stop()


def test_no_colour_is_in_a_record(start: Start, sink: Sink) -> None:
    portico = start(APPLICATION, "--access-log", sink.access_log, environment={"FORCE_COLOR": "1"})
    portico.wait_ready()
    ask(portico, "/200")
    [datagram] = sink.daemon.wait_for(1)
    assert b"\x1b" not in datagram
    portico.stop()


@pytest.mark.parametrize(
    ("access_log", "sentence"),
    [
        (
            "syslog:unix:/nowhere/log",
            'expected a log daemon at "syslog:unix:/nowhere/log", got: No such file',
        ),
        (
            "journald:unix:/nowhere/log",
            'expected a log daemon at "journald:unix:/nowhere/log", got: No such file',
        ),
        ("syslog:tcp://127.0.0.1", "expected syslog, syslog:unix:/PATH, syslog:udp://HOST:PORT, journald or"),
        (
            "syslog:udp://nowhere.invalid:514",
            'expected a log daemon at "syslog:udp://nowhere.invalid:514", got: ',
        ),
    ],
)
def test_a_daemon_that_is_not_there_is_a_mistake_at_the_start(
    start: Start, access_log: str, sentence: str
) -> None:
    portico = start(APPLICATION, "--access-log", access_log)
    assert portico.wait() == 2
    assert f"--access-log on the command line: {sentence}" in portico.log()


def test_a_format_of_two_lines_is_none_for_a_daemon(start: Start, sink: Sink) -> None:
    options = ("--access-log", sink.access_log, "--access-log-format", "%(path)\n%(status)")
    portico = start(APPLICATION, *options)
    assert portico.wait() == 2
    assert "--access-log-format on the command line: expected one line, got a line end in it" in portico.log()
