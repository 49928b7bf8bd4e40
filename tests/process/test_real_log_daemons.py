"""rsyslog and systemd-journald take the access log as they are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.raw_client import Connection
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start
from .test_log_daemons import APPLICATION

AGENT = 'a "quote", a \\ and ' + "x" * 2_000
SHOWN = r"a \x22quote\x22, a \x5c and " + "x" * 100
JOURNALD = Path("/lib/systemd/systemd-journald")
RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
input(type="imuxsock" Socket="{folder}/log")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="json" type="string" string="%jsonmesg%\\n")
action(type="omfile" file="{folder}/records" template="json")
"""


class Rsyslog:
    """An rsyslog with a local socket and one for UDP."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "log"
        self.port = free_port()
        self._configuration = folder / "rsyslog.conf"
        self._configuration.write_text(RSYSLOG.format(folder=folder, port=self.port))
        self._records = folder / "records"
        self.start()

    def start(self) -> None:
        command = ["rsyslogd", "-n", "-f", str(self._configuration), "-i", str(self.socket.with_name("pid"))]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self.socket.exists, what="rsyslog")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def records(self) -> list[dict[str, Any]]:
        lines = self._records.read_text().splitlines() if self._records.exists() else []
        return [record for line in lines if "/200" in (record := json.loads(line))["msg"]]


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    if shutil.which("rsyslogd") is None:
        pytest.skip("there is no rsyslog")
    running = Rsyslog(tmp_path)
    yield running
    running.stop()


def serve(start: Start, access_log: str) -> Portico:
    options = ("--workers", "1", "--syslog-facility", "local3", "--syslog-tag", "shop")
    portico = start(APPLICATION, "--access-log", access_log, *options)
    portico.wait_ready()
    return portico


def ask(portico: Portico, numbers: range) -> None:
    with Connection(("127.0.0.1", portico.port)) as connection:
        for number in numbers:
            connection.request(f"/200?{number}", headers=[f"User-Agent: {AGENT}"])


@pytest.mark.parametrize("address", ["unix:{0.socket}", "udp://127.0.0.1:{0.port}"], ids=["local", "udp"])
def test_rsyslog_has_each_record(start: Start, rsyslog: Rsyslog, address: str) -> None:
    portico = serve(start, "syslog:" + address.format(rsyslog))
    ask(portico, range(50))
    wait_until(lambda: len(rsyslog.records()) >= 50, what="all records")
    records = rsyslog.records()
    assert [int(record["msg"].split("/200?")[1].split()[0]) for record in records] == list(range(50))
    names = ("syslogfacility", "syslogseverity", "programname", "procid", "hostname")
    found = {tuple(record[name] for name in names) for record in records}
    assert found == {("19", "6", "shop", str(portico.worker_pids[0]), os.uname().nodename)}
    assert all(SHOWN in record["msg"] for record in records)
    assert all(record["msg"].lstrip().startswith("127.0.0.1 - - [") for record in records)
    portico.stop()


def test_rsyslog_may_restart(start: Start, rsyslog: Rsyslog) -> None:
    portico = serve(start, f"syslog:unix:{rsyslog.socket}")
    ask(portico, range(10))
    wait_until(lambda: len(rsyslog.records()) == 10, what="records of before")
    rsyslog.stop()
    ask(portico, range(10, 30))
    rsyslog.start()
    wait_until(lambda: len(rsyslog.records()) >= 30, what="all records")
    assert len(rsyslog.records()) == 30
    portico.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A journald of one's own, whose /run is a folder of the test; returns what it has of the shop."""
    may_mount = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
    if not (JOURNALD.exists() and may_mount and Path("/etc/machine-id").exists()):
        pytest.skip("there is no systemd-journald, or no right to give it a /run of its own")
    run = tmp_path / "run"
    for folder in ("systemd/journal", "log/journal"):
        (run / folder).mkdir(parents=True)
    script = f'mount --bind "$0" /run && exec {JOURNALD}'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, str(run)], stderr=subprocess.DEVNULL
    )
    wait_until((run / "systemd/journal/socket").exists, what="journald")

    def entries() -> list[dict[str, Any]]:
        command = ["journalctl", "--directory", str(run / "log/journal"), "-t", "shop", "-o", "json"]
        printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        return [json.loads(line) for line in printed.splitlines()]

    yield entries
    process.terminate()
    process.wait(10)


def test_journald_has_each_entry_with_its_fields(
    start: Start, journal: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    portico = serve(start, f"journald:unix:{tmp_path}/run/systemd/journal/socket")
    [pid] = portico.worker_pids
    ask(portico, range(50))
    with portico.ask("/killed") as connection:
        wait_until((portico.folder / "entered").exists, what="a call")
        portico.signal_worker(pid, signal.SIGKILL)
        assert connection.recv(100) == b""
    wait_until(lambda: len(journal()) >= 51, what="all entries")
    found = journal()
    [killed] = [entry for entry in found if entry["URL_PATH"] == "/killed"]
    entries = [entry for entry in found if entry is not killed]
    # What the supervisor sends in the worker's place may come in another order.
    assert sorted(int(entry["URL_QUERY"]) for entry in entries) == list(range(50))
    names = (
        "PRIORITY",
        "SYSLOG_FACILITY",
        "SYSLOG_PID",
        "HTTP_STATUS",
        "URL_PATH",
        "ROUTE",
        "CLIENT_IP",
        "REQUEST_ID",
    )
    shown = {tuple(entry[name] for name in names) for entry in entries}
    assert shown == {("6", "19", str(pid), "200", "/200", "/<status>", "127.0.0.1", "r-1")}
    assert all(SHOWN in entry["USER_AGENT"] for entry in entries)
    names = ("MESSAGE", "CAUSE", "PRIORITY", "HTTP_STATUS", "SYSLOG_PID")
    assert [killed[name] for name in names] == [
        *("GET /killed 000 killed:SIGKILL", "killed:SIGKILL", "3", "000", str(pid))
    ]
    portico.stop()


def test_journald_reads_the_local_form_of_syslog(
    start: Start, journal: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    portico = serve(start, f"syslog:unix:{tmp_path}/run/systemd/journal/dev-log")
    [pid] = portico.worker_pids
    ask(portico, range(20))
    wait_until(lambda: len(journal()) >= 20, what="all entries")
    entries = journal()
    names = ("PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID")
    assert {tuple(entry[name] for name in names) for entry in entries} == {("6", "19", "shop", str(pid))}
    assert all(entry["MESSAGE"].startswith("127.0.0.1 - - [") for entry in entries)
    portico.stop()
