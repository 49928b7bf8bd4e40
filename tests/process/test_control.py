"""The control socket: every verb, whoever asks, and whatever comes in; `portico ctl` at the other end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import is_alive
from support.waiting import wait_until

from .conftest import Portico, Start, read_body

SHOP = """
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        open("held", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
_PATIENCE_S = 20.0


class Asked:
    """A server with a control socket of its own in its folder."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.begin = start
        self.folder = folder
        self.path = str(folder / "c.sock")

    def start(self, *options: str, source: str = SHOP, **others: Any) -> Portico:
        portico = self.begin(source, "--control", self.path, *options, **others)
        portico.wait_ready()
        return portico

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE_S)
        connection.connect(self.path)
        return connection

    def ask(self, verb: str, **fields: Any) -> Any:
        """The result of a verb; the whole response if it is an error."""
        with self.connect() as connection:
            response = ask_on(connection, verb, **fields)
        return response["result"] if response["ok"] else response


def ask_on(connection: socket.socket, verb: str, **fields: Any) -> Any:
    connection.sendall(line(verb, **fields))
    return read_response(connection)


def line(verb: str, **fields: Any) -> bytes:
    return json.dumps({"protocol": 1, "verb": verb, **fields}).encode() + b"\n"


def read_response(connection: socket.socket) -> Any:
    received = b""
    while not received.endswith(b"\n"):
        data = connection.recv(65536)
        assert data, received
        received += data
    return json.loads(received)


def ctl(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portico", "ctl", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def asked(start: Start, tmp_path: Path) -> Asked:
    return Asked(start, tmp_path)


@pytest.fixture
def held(asked: Asked) -> Iterator[Portico]:
    """A server with two workers, of which one has a call that goes on until a file is there."""
    portico = asked.start("-w", "2", "--threads", "1")
    with portico.ask("/hold?x=1") as connection:
        wait_until((asked.folder / "held").exists, what="the call")
        yield portico
        (asked.folder / "go on").touch()
        assert read_body(connection).isdigit()


# --- Verbs that tell


def test_status(asked: Asked) -> None:
    portico = asked.start("-w", "2", "--name", "shop-1", "--pid-file", "p")
    portico.get()
    said = wait_until(lambda: (got := asked.ask("status"))["requests"] == 1 and got, what="a request")
    assert said["pid"] == portico.process.pid
    assert (said["name"], said["app"], said["directory"]) == ("shop-1", "shop", str(asked.folder))
    assert (said["stage"], said["generation"], said["reloading"]) == ("serving", 1, False)
    assert said["listeners"] == [f"http://127.0.0.1:{portico.port}"]
    assert (said["workers_wanted"], said["workers"]["ready"]) == (2, 2)
    assert (said["connections_total"], said["errors"], said["running"]) == (1, 0, 0)
    assert (said["control"], said["pid_file"]) == (asked.path, str(asked.folder / "p"))
    assert said["bytes_sent"] > 0
    assert said["rss_bytes"] > 1_000_000
    assert said["uptime_s"] > 0
    portico.stop()


def test_workers(asked: Asked) -> None:
    portico = asked.start("-w", "2")
    said = asked.ask("workers")["workers"]
    assert [each["pid"] for each in said] == portico.worker_pids
    assert [(each["slot"], each["state"], each["generation"]) for each in said] == [
        (1, "ready", 1),
        (2, "ready", 1),
    ]
    assert all(each["rss_bytes"] > 1_000_000 for each in said)
    portico.stop()


def test_requests(held: Portico, asked: Asked) -> None:
    [said] = asked.ask("requests")["requests"]
    assert (said["method"], said["path"]) == ("GET", "/hold")
    assert said["pid"] in held.worker_pids
    assert said["seconds"] >= said["silent_s"] > 0
    assert asked.ask("status")["running"] == 1


def test_config(asked: Asked) -> None:
    portico = asked.start("-w", "1", "--env", "A=1")
    said = asked.ask("config")
    assert said["values"]["workers"] == 1
    assert "on the command line" in said["origins"]["workers"]
    assert said["values"]["env"] == [["A", "1"]]
    portico.stop()


# --- Verbs that do


def test_reload_waits_until_the_workers_are_new(asked: Asked) -> None:
    portico = asked.start("-w", "2")
    before = portico.worker_pids
    assert asked.ask("reload") == {"generation": 2}
    said = asked.ask("workers")["workers"]
    new = [each["pid"] for each in said if each["state"] == "ready"]
    assert len(new) == 2
    assert not set(new) & set(before)
    portico.stop()


def test_reload_tells_why_an_application_cannot_be_loaded(asked: Asked) -> None:
    portico = asked.start("-w", "2")
    before = portico.worker_pids
    (asked.folder / "shop.py").write_text("1 / 0\n")
    said = asked.ask("reload")
    assert (said["ok"], said["error"]) == (False, "failed")
    assert "ZeroDivisionError" in said["message"]
    assert portico.worker_pids == before
    (asked.folder / "shop.py").write_text(SHOP)
    assert asked.ask("reload") == {"generation": 3}
    portico.stop()


def test_reload_tells_why_a_configuration_is_not_taken(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    (asked.folder / "portico.toml").write_text("[processes]\nthreats = 1\n")
    said = asked.ask("reload")
    assert said["error"] == "failed"
    assert "the configuration was not taken" in said["message"]
    assert "did you mean threads?" in said["message"]
    portico.stop()


def test_reloads_at_the_same_time_are_all_told(asked: Asked) -> None:
    portico = asked.start("-w", "2")
    connections = [asked.connect() for _ in range(10)]
    for connection in connections:
        connection.sendall(line("reload"))
    generations = {read_response(connection)["result"]["generation"] for connection in connections}
    assert min(generations) >= 2
    for connection in connections:
        connection.close()
    portico.stop()


def test_a_stop_ends_a_wait_for_a_reload(asked: Asked) -> None:
    source = "import os, time\nwhile os.path.exists('wait'): time.sleep(0.01)\n" + SHOP
    portico = asked.start("-w", "1", source=source)
    (asked.folder / "wait").touch()
    with asked.connect() as waiting:
        waiting.sendall(line("reload"))
        portico.wait_for("each worker is replaced")
        assert asked.ask("stop") == {"stage": "draining"}
        assert read_response(waiting)["message"] == "the server is about to end"
    assert portico.wait() == 0


def test_nobody_waits_who_does_not_want_to(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    assert asked.ask("reload", wait=False) == {"reloading": True}
    assert asked.ask("scale", workers=2, wait=False) == {"workers": 2}
    portico.stop()


def test_stop_finishes_what_is_in_flight(held: Portico, asked: Asked) -> None:
    with asked.connect() as connection:
        assert ask_on(connection, "stop")["result"] == {"stage": "draining"}
        # It can still be asked.
        said = ask_on(connection, "status")["result"]
        assert (said["stage"], said["listeners"], said["running"]) == ("draining", [], 1)
        assert ask_on(connection, "scale", workers=2)["error"] == "rejected"
        (asked.folder / "go on").touch()
        assert connection.recv(1) == b""
    assert held.wait() == 0
    assert not os.path.exists(asked.path)


def test_stop_now_does_not(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    with portico.ask("/hold"):
        wait_until((asked.folder / "held").exists, what="the call")
        assert asked.ask("stop", now=True) == {"stage": "quitting"}
        assert portico.wait() == 0


def test_scale(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    assert asked.ask("scale", workers=3) == {"workers": 3}
    assert asked.ask("status")["workers"]["ready"] == 3
    assert asked.ask("scale", workers=1) == {"workers": 1}
    wait_until(lambda: len(portico.worker_pids) == 1, what="one worker")
    said = asked.ask("scale", workers=1000)
    assert said["message"] == "expected 1 to 17 workers, got 1000"
    assert asked.ask("scale", workers=0)["error"] == "rejected"
    assert asked.ask("scale")["error"] == "bad-request"
    portico.stop()


def test_scale_tells_when_workers_cannot_be_loaded(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    (asked.folder / "shop.py").write_text("1 / 0\n")
    said = asked.ask("scale", workers=2)
    assert said["error"] == "failed"
    assert asked.ask("scale", workers=1) == {"workers": 1}
    assert portico.get().isdigit()
    portico.stop()


def test_drain_keeps_the_supervisor_and_the_sockets(asked: Asked) -> None:
    portico = asked.start("-w", "2")
    assert asked.ask("drain") == {"workers": 0}
    assert portico.worker_pids == []
    # Nobody accepts, nobody is turned away.
    with portico.ask() as connection:
        assert asked.ask("scale", workers=1) == {"workers": 1}
        assert read_body(connection).isdigit()
    asked.ask("drain")
    # As many as the configuration says.
    assert asked.ask("reload") == {"generation": 2}
    assert asked.ask("status")["workers"]["ready"] == 2
    portico.stop()


def test_drain_is_no_sleep(asked: Asked) -> None:
    portico = asked.start("-w", "2", "--workers-min", "0", "--workers-max", "3", "--idle-timeout", "1s")
    assert asked.ask("scale", workers=4)["message"] == "expected 1 to 3 workers, got 4"
    portico.wait_for("no request for 1 s: no worker until one comes")
    wait_until(lambda: not portico.worker_pids, what="the workers to leave")
    assert asked.ask("drain") == {"workers": 0}
    with portico.ask() as connection:
        # The supervisor has looked at what woke it before it answers the second time.
        assert [asked.ask("status")["workers_wanted"] for _ in range(2)] == [0, 0]
        portico.signal(signal.SIGTTIN)
        assert read_body(connection).isdigit()
    assert "a connection waits" not in portico.log()
    assert asked.ask("drain") == {"workers": 0}
    assert asked.ask("reload") == {"generation": 2}
    assert asked.ask("status")["workers"]["ready"] == 2
    portico.stop()


def test_upgrade_waits_for_what_comes_of_it(asked: Asked) -> None:
    portico = asked.start("-w", "2", "--pid-file", "p")
    before = portico.worker_pids
    done = ctl("upgrade", "--socket", asked.path, folder=asked.folder)
    assert (done.stdout, done.returncode) == ("all workers are new, this is generation 2\n", 0), done.stderr
    wait_until(lambda: len(portico.worker_pids) == 2, what="the end of those of before")
    assert not {*before} & {*portico.worker_pids}
    said = asked.ask("status")
    assert (said["pid"], said["control"]) == (portico.process.pid, asked.path)
    assert (asked.folder / "p").read_text() == f"{portico.process.pid}\n"
    assert ctl("upgrade", "--socket", asked.path, folder=asked.folder).returncode == 0
    portico.stop()
    assert not os.path.exists(asked.path)
    assert not (asked.folder / "p").exists()


def test_upgrade_tells_what_the_trial_has_found(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    before = portico.worker_pids
    (asked.folder / "shop.py").write_text("1 / 0\n")
    said = asked.ask("upgrade")
    assert said["error"] == "failed"
    assert said["message"].startswith("the upgrade was not made, all stays as it is:")
    assert "ZeroDivisionError" in said["message"]
    assert portico.worker_pids == before
    assert asked.ask("upgrade", after=1)["message"] == "there was no upgrade after generation 1"
    assert asked.ask("upgrade", after="1")["error"] == "bad-request"
    portico.stop()


def test_upgrade_tells_that_no_new_worker_gets_ready(asked: Asked) -> None:
    source = (
        SHOP
        + """
if os.path.exists("broken"):
    if os.path.exists("tried"):
        raise RuntimeError("not twice")
    open("tried", "w").close()
"""
    )
    portico = asked.start("-w", "1", source=source)
    before = portico.worker_pids
    (asked.folder / "broken").touch()
    done = ctl("upgrade", "--socket", asked.path, folder=asked.folder)
    assert done.returncode == 1
    assert "RuntimeError: not twice" in done.stderr
    assert portico.worker_pids == before
    assert portico.get() == str(before[0])
    portico.stop()


def test_upgrade_need_not_wait(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    done = ctl("upgrade", "--no-wait", "--socket", asked.path, folder=asked.folder)
    assert (done.stdout, done.returncode) == ("upgrading; the error log says what comes of it\n", 0)
    portico.wait_for("upgraded from portico")
    portico.stop()


def test_recycle_starts_the_successor_first(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    [pid] = portico.worker_pids
    assert asked.ask("recycle", pid=pid) == {"pid": pid}
    wait_until(lambda: not is_alive(pid), what="its end")
    [successor] = portico.worker_pids
    assert portico.get() == str(successor)
    assert asked.ask("recycle", pid=pid)["message"] == (
        f"expected the process id of a worker ({successor}), got {pid}"
    )
    portico.stop()


@pytest.mark.parametrize("count", [1, 2])
def test_recycle_leaves_a_worker_whose_successor_cannot_be_loaded(asked: Asked, count: int) -> None:
    portico = asked.start("-w", str(count))
    before = portico.worker_pids
    (asked.folder / "shop.py").write_text("1 / 0\n")
    said = asked.ask("recycle", pid=before[0])
    assert said["error"] == "failed"
    assert f"worker {before[0]} stays" in said["message"]
    wait_until(lambda: portico.worker_pids == before, what="the workers of before alone")
    assert {each["generation"] for each in asked.ask("workers")["workers"]} == {1}
    portico.stop()


def test_stacks(held: Portico, asked: Asked) -> None:
    [call] = asked.ask("requests")["requests"]
    assert asked.ask("stacks", pid=call["pid"]) == {"pid": call["pid"], "written_to": "-"}
    held.wait_for("in application")
    assert asked.ask("stacks", pid=held.process.pid)["error"] == "rejected"
    assert asked.ask("stacks", pid=True)["error"] == "bad-request"


def test_log_level_is_for_the_supervisor_and_workers_old_and_new(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    assert asked.ask("log-level", level="trace") == {"workers": 1}
    portico.get()
    portico.wait_for("[trace]")
    asked.ask("scale", workers=2)
    portico.wait_for("started as worker 2")
    assert asked.ask("config")["origins"]["log_level"] == "portico ctl log-level"
    assert asked.ask("log-level", level="loud")["error"] == "bad-request"
    asked.ask("reload")
    assert asked.ask("config")["values"]["log_level"] == "info"
    portico.stop()


# --- Logs that are opened anew

LOGGING = """
import os
def application(environ, start_response):
    environ["wsgi.errors"].write(f"error of {environ['PATH_INFO']}\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("by", ["USR1", "ctl"])
def test_logs_are_opened_anew_without_new_workers(asked: Asked, by: str) -> None:
    folder = asked.folder
    portico = asked.begin(
        LOGGING, *("--control", asked.path, "-w", "2"), *("--access-log", "access", "--error-log", "errors")
    )
    wait_until(lambda: "ready in" in read(folder / "errors"), what="the start")
    before = portico.worker_pids
    portico.get("/one")
    wait_until(lambda: "/one" in read(folder / "access"), what="the line")
    (folder / "access").rename(folder / "access.1")
    (folder / "errors").rename(folder / "errors.1")
    if by == "USR1":
        portico.signal(signal.SIGUSR1)
        wait_until(lambda: "opened anew" in read(folder / "errors"), what="the new file")
    assert asked.ask("reopen-logs") == {"workers": 2}
    for number in range(10):
        portico.get(f"/two-{number}")
    wait_until(lambda: read(folder / "access").count("/two-") == 10, what="lines in the new file")
    assert read(folder / "errors").count("error of /two-") == 10
    assert "/two" not in read(folder / "access.1") + read(folder / "errors.1")
    assert read(folder / "access.1").count("/one") == 1
    assert portico.worker_pids == before
    portico.stop()


def test_a_worker_in_a_call_opens_them_too(asked: Asked) -> None:
    portico = asked.begin(
        SHOP, "--control", asked.path, "-w", "1", "--threads", "1", "--access-log", "access"
    )
    portico.wait_ready()
    with portico.ask("/hold") as connection:
        wait_until((asked.folder / "held").exists, what="the call")
        (asked.folder / "access").rename(asked.folder / "access.1")
        assert asked.ask("reopen-logs") == {"workers": 1}
        (asked.folder / "go on").touch()
        read_body(connection)
    wait_until(lambda: "/hold" in read(asked.folder / "access"), what="the line")
    portico.stop()


def test_a_log_that_cannot_be_opened_stays_as_it_is(asked: Asked) -> None:
    (asked.folder / "logs").mkdir()
    portico = asked.begin(SHOP, "--control", asked.path, "-w", "1", "--access-log", "logs/access")
    portico.wait_ready()
    (asked.folder / "logs").rename(asked.folder / "old")
    assert asked.ask("reopen-logs") == {"workers": 1}
    portico.wait_for("going on with the one of before")
    portico.get("/three")
    wait_until(lambda: "/three" in read(asked.folder / "old" / "access"), what="the line")
    portico.stop()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# --- Whatever comes in


@pytest.mark.parametrize(
    "sent",
    [
        *(b"\n", b"GET / HTTP/1.1\r\n\r\n", b"\0\xff\n", b"[]\n", b"{}\n", b'{"protocol":1}\n'),
        *(
            b'{"protocol":2,"verb":"status"}\n',
            b'{"protocol":1,"verb":"dance"}\n',
            b'{"protocol":1,"verb":1}\n',
        ),
        *(b'{"protocol":1,"verb":"scale","workers":"4"}\n', b'{"protocol":1,"verb":"stop","now":"yes"}\n'),
        *(b"x" * 5000, b"x" * 100_000, b'{"protocol":1,"verb":"' + b"x" * 4096 + b'"}\n'),
        *(b'{"protocol":1,"verb":"reload","wait":1}\n', b'{"protocol":1,"verb":"__class__"}\n'),
        *(b'{"protocol":true,"verb":"status"}\n', b'{"protocol":1,"verb":"status","wait":1}\n'),
        *(f'{{"protocol":1,"verb":"{verb}","wait":1}}\n'.encode() for verb in ("upgrade", "drain")),
        b'{"protocol":1,"verb":"scale","workers":2,"wait":1}\n',
    ],
)
def test_what_is_no_request_is_rejected(asked: Asked, sent: bytes) -> None:
    portico = asked.start("-w", "1")
    with asked.connect() as connection:
        try:
            connection.sendall(sent)
            response = read_response(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has been closed with more on its way
        else:
            assert (response["ok"], response["error"]) == (False, "bad-request")
    status = asked.ask("status")
    assert (status["stage"], status["reloading"], status["workers_wanted"]) == ("serving", False, 1)
    # Nothing was begun, and nothing else is told.
    assert "control: " not in portico.log()
    portico.stop()


def test_a_request_may_come_in_pieces_and_several_at_once(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    with asked.connect() as connection:
        for byte in line("status"):
            connection.send(bytes([byte]))
        assert read_response(connection)["ok"]
        connection.sendall(line("status") * 3)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
        assert [json.loads(each)["ok"] for each in received.splitlines()] == [True] * 3
    portico.stop()


def test_a_client_that_sends_no_more_still_gets_its_outcome(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    with asked.connect() as connection:
        connection.sendall(line("reload"))
        connection.shutdown(socket.SHUT_WR)
        assert read_response(connection)["result"] == {"generation": 2}
    portico.stop()


def test_clients_that_leave_at_any_moment_do_no_harm(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    for sent in (b"", b"{", line("status"), line("workers") * 50, line("reload"), line("scale", workers=2)):
        for _ in range(5):
            with asked.connect() as connection:
                connection.sendall(sent)
    assert asked.ask("status")["stage"] == "serving"
    portico.stop()


def test_a_hundred_clients_are_all_told(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(asked.ask("status")["pid"])) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_S)
    assert got == [portico.process.pid] * 100
    portico.stop()


def test_idle_clients_make_room_and_requests_are_served_meanwhile(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    idle = [asked.connect() for _ in range(40)]
    # The supervisor does its work beside them: a worker that dies is replaced.
    [pid] = portico.worker_pids
    os.kill(pid, signal.SIGKILL)
    portico.wait_for("is ready after")
    assert portico.get().isdigit()
    # After their time has gone by.
    assert asked.ask("status")["stage"] == "serving"
    for connection in idle:
        connection.close()
    portico.stop()


def test_one_that_reads_nothing_is_waited_for_by_nobody(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    with asked.connect() as slow:
        slow.setblocking(False)
        sent = 0
        # As much as it takes: the rest stays here.
        while sent < 10_000_000:
            try:
                sent += slow.send(line("config") * 100)
            except BlockingIOError:
                break
        assert asked.ask("status")["stage"] == "serving"
        os.kill(portico.worker_pids[0], signal.SIGKILL)
        portico.wait_for("is ready after")
        assert sent < 10_000_000
    portico.stop()


def test_workers_do_not_keep_clients_open(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    with asked.connect() as connection:
        assert ask_on(connection, "scale", workers=3)["ok"]
        for pid in portico.worker_pids:
            links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
            listening = f"socket:[{inode_of(asked.path)}]"
            assert listening not in links
        portico.process.kill()
        portico.process.wait()
        assert connection.recv(1) == b""


def inode_of(path: str) -> str:
    """The kernel's number of the socket that listens at `path`."""
    for row in Path("/proc/net/unix").read_text().splitlines():
        fields = row.split()
        if fields[-1].endswith(os.path.basename(path)) or fields[-1] == path:
            return fields[6]
    return ""


# --- Where it is


def test_only_the_owner_may_connect(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    assert stat.S_IMODE(os.stat(asked.path).st_mode) == 0o600
    portico.stop()
    assert not os.path.exists(asked.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_is_turned_away_whatever_the_mode_is(asked: Asked) -> None:
    with tempfile.TemporaryDirectory(prefix="portico-test-") as folder:
        os.chmod(folder, 0o755)
        asked.path = os.path.join(folder, "c.sock")
        portico = asked.start("-w", "1")
        os.chmod(asked.path, 0o666)
        said = ask_as_nobody(asked.path)
        assert (said["ok"], said["message"]) == (False, "user 65534 may not ask this server")
        portico.stop()


def ask_as_nobody(path: str) -> Any:
    source = (
        "import os, socket, sys\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "os.setuid(65534)\n"
        "connection.connect(sys.argv[1])\n"
        "print(connection.makefile().read())\n"
    )
    ran = subprocess.run([sys.executable, "-c", source, path], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def test_off_is_none(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "--control", "off", "-w", "1")
    portico.wait_ready()
    ended = ctl("status", "--pid-file", "none", folder=tmp_path)
    assert ended.returncode == 3
    portico.stop()


@pytest.mark.parametrize("place", ["missing/c.sock", "x" * 120, "plain"])
def test_a_place_that_cannot_be_had_is_a_warning(start: Start, tmp_path: Path, place: str) -> None:
    (tmp_path / "plain").write_text("mine")
    portico = start(SHOP, "--control", place, "-w", "1")
    portico.wait_ready()
    assert "portico: control: cannot make a socket: " in portico.log()
    assert portico.get().isdigit()
    assert (tmp_path / "plain").read_text() == "mine"
    portico.stop()


def test_a_stale_socket_is_taken_over_and_a_served_one_is_not(asked: Asked, start: Start) -> None:
    killed = asked.start("-w", "1")
    killed.kill()
    assert os.path.exists(asked.path)
    portico = asked.start("-w", "1")
    assert asked.ask("status")["pid"] == portico.process.pid
    other = start(SHOP, "--control", asked.path, "-w", "1")
    other.wait_ready()
    assert "another process listens on" in other.log()
    assert asked.ask("status")["pid"] == portico.process.pid
    other.stop()
    assert asked.ask("status")["pid"] == portico.process.pid
    portico.stop()


def test_a_directory_that_goes_away_while_it_runs_does_no_harm(start: Start, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    portico = start(SHOP, "--control", "run/c.sock", "-w", "1")
    portico.wait_ready()
    shutil.rmtree(tmp_path / "run")
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    assert portico.get().isdigit()
    portico.stop()


def test_a_reload_does_not_move_it(asked: Asked) -> None:
    (asked.folder / "portico.toml").write_text("")
    portico = asked.start("-w", "1", environment={"PORTICO_PID_FILE": "a.pid"})
    assert asked.ask("reload") == {"generation": 2}
    assert asked.ask("reload") == {"generation": 3}
    assert asked.ask("status")["control"] == asked.path
    portico.stop()
    assert not os.path.exists(asked.path)
    assert not (asked.folder / "a.pid").exists()


def test_another_place_takes_a_restart(start: Start, tmp_path: Path) -> None:
    def write(control: str) -> None:
        (tmp_path / "portico.toml").write_text(f'[control]\ncontrol = "{control}"\n')

    write("c.sock")
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    write("d.sock")
    portico.signal(signal.SIGHUP)
    portico.wait_for("control takes a restart; it stays as it is")
    portico.wait_for("is ready after")
    assert sorted(path.name for path in tmp_path.glob("*.sock")) == ["c.sock"]
    portico.stop()


# --- portico ctl


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status"], "serving"),
        (["workers"], "SLOT"),
        (["requests"], "no request is running"),
        (["config"], 'app = "shop"'),
        (["reload"], "all workers are new, this is generation 2"),
        (["reload", "--no-wait"], "reloading"),
        (["scale", "2"], "the number of workers is 2"),
        (["drain"], "the workers leave"),
        (["recycle", "PID"], "is replaced"),
        (["stacks", "PID"], "writes its stacks to the error log"),
        (["reopen-logs"], "are opened anew"),
        (["log-level", "debug"], "is set"),
        (["stop"], "the server has ended"),
        (["stop", "--now"], "the server has ended"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_ctl_has_every_verb(asked: Asked, arguments: list[str], said: str) -> None:
    portico = asked.start("-w", "1")
    words = [str(portico.worker_pids[0]) if word == "PID" else word for word in arguments]
    ended = ctl(*words, "--socket", asked.path, folder=asked.folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert said in ended.stdout
    if arguments[0] == "stop":
        assert portico.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *((["ctl", "status", "--timeout", text], "'--timeout'") for text in ("nan", "inf", "1e9", "0", "-1")),
        *((["top", "--once", "--interval", text], "'--interval'") for text in ("nan", "inf", "1e300")),
        (["ctl", "scale", "9" * 23], "'N'"),
        (["ctl", "recycle", "9" * 23], "'PID'"),
        (["ctl", "stacks", "9" * 23], "'PID'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_numbers_out_of_any_range_are_named(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "portico", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, f"Invalid value for {said}: " in ended.stderr) == (2, True), ended.stderr


def test_ctl_prints_json(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    ended = ctl("status", "--json", "--socket", asked.path, folder=asked.folder)
    assert json.loads(ended.stdout)["pid"] == portico.process.pid
    portico.stop()


def test_ctl_ends_with_1_and_the_reason_where_a_reload_fails(asked: Asked) -> None:
    portico = asked.start("-w", "1")
    (asked.folder / "shop.py").write_text("1 / 0\n")
    ended = ctl("reload", "--socket", asked.path, folder=asked.folder)
    assert ended.returncode == 1
    assert ended.stderr.startswith("portico: reload: ")
    assert "ZeroDivisionError" in ended.stderr
    portico.stop()


def test_ctl_waits_no_longer_than_told(asked: Asked) -> None:
    source = "import os, time\nwhile os.path.exists('wait'): time.sleep(0.01)\n" + SHOP
    portico = asked.start("-w", "1", source=source)
    (asked.folder / "wait").touch()
    ended = ctl("reload", "--timeout", "0.3", "--socket", asked.path, folder=asked.folder)
    assert (ended.returncode, ended.stderr) == (
        1,
        "portico: reload: no outcome after 0.3 s; it may still come\n",
    )
    (asked.folder / "wait").unlink()
    portico.stop()


def test_ctl_ends_with_3_where_nobody_is(tmp_path: Path) -> None:
    ended = ctl("status", "--socket", "none.sock", folder=tmp_path)
    assert ended.returncode == 3
    assert ended.stderr == 'portico: nobody can be reached at "none.sock": No such file or directory\n'


def test_ctl_finds_a_server_by_name_pid_file_and_configuration(start: Start, tmp_path: Path) -> None:
    name = f"shop-{os.getpid()}-{tmp_path.name}"
    portico = start(SHOP, "--name", name, "--pid-file", "p.pid", "-w", "1")
    portico.wait_ready()
    pid = portico.process.pid

    def found(*arguments: str) -> int:
        ended = ctl("status", "--json", *arguments, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        return int(json.loads(ended.stdout)["pid"])

    assert found("--name", name) == pid
    assert found("--pid-file", "p.pid") == pid
    assert found("shop") == pid
    (tmp_path / "portico.toml").write_text(f'[processes]\nname = "{name}"\n')
    assert found() == pid
    (tmp_path / "other.toml").write_text('[control]\npid_file = "p.pid"\n')
    assert found("-c", "other.toml") == pid
    ended = ctl("status", "other:app", "-c", "none", folder=tmp_path)
    assert ended.returncode == 3
    assert "no server of the configuration here, for other:app can be reached; there is:" in ended.stderr
    assert f"{name} (pid {pid}, in {tmp_path}" in ended.stderr
    portico.stop()


def test_ctl_lists_several(start: Start, tmp_path: Path) -> None:
    porticos = [start(SHOP, "-w", "1", "--name", f"{tmp_path.name}-{number}") for number in range(2)]
    for portico in porticos:
        portico.wait_ready()
    ended = ctl("stop", "shop", folder=tmp_path)
    assert ended.returncode == 2
    assert (
        "there are 2 servers of the configuration here, for shop; --name or --socket says which:"
        in ended.stderr
    )
    assert all(f"(pid {portico.process.pid}, " in ended.stderr for portico in porticos)
    for portico in porticos:
        portico.stop()


def test_ctl_reaches_the_server_of_a_folder_whose_file_has_become_wrong(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    (tmp_path / "portico.toml").write_text("[processes]\nthreats = 1\n")
    ended = ctl("reload", folder=tmp_path)
    # The server is asked all the same, and says what is wrong.
    assert ended.returncode == 1
    assert (
        "reload: the configuration was not taken, all stays as it is:\n  portico.toml:2:1: " in ended.stderr
    )
    assert str(portico.process.pid) in ctl("status", folder=tmp_path).stdout
    ended = ctl("status", "-c", "portico.toml", folder=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("portico: portico.toml:2:1: expected a setting of [processes]")
    assert ended.stderr.endswith(
        "--name, --pid-file or --socket says which server, whatever its configuration\n"
    )
    portico.stop()


def test_a_killed_server_leaves_no_socket_behind_for_long(start: Start, tmp_path: Path) -> None:
    killed = start(SHOP, "-w", "1", "--name", tmp_path.name)
    killed.wait_ready()
    ended = ctl("status", "--json", "--name", tmp_path.name, folder=tmp_path)
    path = json.loads(ended.stdout)["control"]
    killed.kill()
    assert ctl("status", "--name", tmp_path.name, folder=tmp_path).returncode == 3
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    assert not os.path.exists(path)
    portico.stop()
