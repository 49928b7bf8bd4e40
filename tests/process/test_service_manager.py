"""What a service manager is told (sd_notify(3)): in which order, by whom, and which sockets it is to keep."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.processes import children, is_alive
from support.server import free_port
from support.service_manager import Message, ServiceManager
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Portico, Start, read_body

SHOP = """
import os, subprocess, sys
BODY = "one"
def shop(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/variables":
        body = " ".join(sorted(os.environ))
    elif path == "/child":
        body = subprocess.run(["env"], stdout=-1).stdout.decode()
    elif path == "/modules":
        body = " ".join(sorted(sys.modules))
    elif path == "/wait":
        open("waits", "a").close()
        with open("gate") as gate:
            body = gate.read()
    else:
        body = BODY
    start_response("200 OK", [])
    return [body.encode()]
"""


@pytest.fixture
def manager() -> Iterator[ServiceManager]:
    with ServiceManager() as one:
        yield one


@pytest.fixture
def begin(start: Start, manager: ServiceManager) -> Callable[..., Portico]:
    """Start portico so that `manager` is told."""

    def start_one(source: str = SHOP, *options: str, **variables: str) -> Portico:
        environment = {"NOTIFY_SOCKET": manager.address, **variables}
        workers = [] if "-w" in options else ["-w", "1"]
        return start(source, *workers, *options, application="shop:shop", environment=environment)

    return start_one


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_a_life_is_told_in_its_order(start: Start, tmp_path: Path, kind: str) -> None:
    with ServiceManager(is_file=kind == "file") as manager:
        variables = {"NOTIFY_SOCKET": manager.address}
        portico = start(SHOP, "-w", "2", application="shop:shop", environment=variables)
        first = manager.next()
        assert first.values["STATUS"] == "loading the application, 0 of 2 workers ready"
        assert int(first.values["EXTEND_TIMEOUT_USEC"]) == 15_000_000
        ready = manager.wait_for("READY=1")
        # Whoever is told so may connect.
        assert portico.get() == "one"
        assert ready.values["STATUS"] == "2 workers, 0 requests in flight, 0 requests/s"
        (tmp_path / "shop.py").write_text(SHOP.replace('"one"', '"two"'))
        before_usec = time.monotonic_ns() // 1000
        portico.signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1")
        assert before_usec <= int(reloading.values["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        manager.wait_for("READY=1")
        assert portico.get() == "two"
        portico.signal(signal.SIGTERM)
        stopping = manager.wait_for("STOPPING=1")
        assert stopping.values["STATUS"].startswith("stopping, ")
        assert portico.wait() == 0, portico.log()
        assert manager.states == ["READY", "RELOADING", "READY", "STOPPING"]


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda folder: (folder / "shop.py").write_text("1 / 0"), id="application"),
        pytest.param(
            lambda folder: (folder / "portico.toml").write_text("[processes]\nworkers = 'x'"),
            id="configuration",
        ),
    ],
)
def test_a_reload_that_fails_is_over_too(
    begin: Callable[..., Portico], manager: ServiceManager, break_it: Callable[[Path], None]
) -> None:
    portico = begin()
    manager.wait_for("READY=1")
    break_it(portico.folder)
    portico.signal(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    assert "all stays as it is" in portico.log() or "reload failed" in portico.log()
    assert portico.get() == "one"
    portico.stop()


def test_an_application_that_cannot_be_loaded_is_never_ready(
    begin: Callable[..., Portico], manager: ServiceManager
) -> None:
    portico = begin("1 / 0")
    assert portico.wait() == 3
    manager.rest()
    assert manager.states == ["STOPPING"]


def test_variables_of_the_manager_are_for_the_supervisor_alone(
    begin: Callable[..., Portico], manager: ServiceManager
) -> None:
    portico = begin(
        WATCHDOG_USEC="60000000", FDSTORE="4", MARK="1", LISTEN_FDS="0", LISTEN_FDNAMES="", LISTEN_PID="1"
    )
    manager.wait_for("READY=1")
    for _ in range(2):
        for path in ("/variables", "/child"):
            seen = portico.get(path)
            assert "MARK" in seen
            for word in ("NOTIFY", "WATCHDOG", "FDSTORE", "LISTEN"):
                assert word not in seen
        # A worker of the next generation sees no more.
        portico.signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        manager.wait_for("READY=1")
    portico.stop()


@of_the_default
def test_without_a_manager_none_of_it_is_in_memory(start: Start) -> None:
    portico = start(SHOP, application="shop:shop")
    portico.wait_ready()
    modules = portico.get("/modules").split()
    assert "portico.process.supervisor" in modules
    assert [name for name in modules if "service_manager" in name or name in ("socket", "_socket")] == []
    portico.stop()


@of_the_default
def test_with_a_manager_no_module_of_sockets_is(
    begin: Callable[..., Portico], manager: ServiceManager
) -> None:
    portico = begin(FDSTORE="4", WATCHDOG_USEC="60000000")
    manager.wait_for("READY=1")
    modules = portico.get("/modules").split()
    assert "portico.process.service_manager.watchdog" in modules
    assert [name for name in modules if name in ("socket", "_socket")] == []
    portico.stop()


def test_the_start_is_extended_while_the_application_loads(
    begin: Callable[..., Portico], manager: ServiceManager, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    portico = begin("open('gate').read()\n" + SHOP)
    manager.wait_for("EXTEND_TIMEOUT_USEC")
    extended = manager.wait_for("EXTEND_TIMEOUT_USEC")
    assert extended.values["EXTEND_TIMEOUT_USEC"] == "15000000"
    assert "READY" not in extended.values
    (tmp_path / "gate").write_text("")
    manager.wait_for("READY=1")
    portico.stop()


def test_the_figures_are_live_and_the_end_is_extended_while_requests_are_in_flight(
    begin: Callable[..., Portico], manager: ServiceManager, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    portico = begin()
    manager.wait_for("READY=1")
    with portico.ask("/wait") as connection:
        while "1 worker, 1 request in flight" not in manager.wait_for("STATUS").values["STATUS"]:
            pass
        portico.signal(signal.SIGTERM)
        stopping = manager.wait_for("STOPPING=1")
        assert stopping.values["STATUS"] == "stopping, 1 worker left, 1 request in flight"
        assert "EXTEND_TIMEOUT_USEC" in stopping.values
        assert "EXTEND_TIMEOUT_USEC" in manager.wait_for("EXTEND_TIMEOUT_USEC").values
        (tmp_path / "gate").write_text("done")
        assert read_body(connection) == "done"
    assert portico.wait() == 0


def test_the_watchdog_is_fed_until_all_threads_hang_and_again_when_they_go_on(
    begin: Callable[..., Portico], manager: ServiceManager, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    portico = begin(SHOP, "--timeout", "0", "--threads", "1", WATCHDOG_USEC="800000")
    manager.wait_for("WATCHDOG=1")
    with portico.ask("/wait") as connection:
        wait_until((tmp_path / "waits").exists, what="the call")
        portico.wait_for("no worker makes progress though requests wait")
        portico.wait_for("GET /wait")
        portico.wait_for("most recent call first")
        # Nothing more is told: systemd would have lost its patience by then.
        manager.rest()
        manager.socket.settimeout(0.8)
        with pytest.raises(TimeoutError):
            manager.next()
        manager.socket.settimeout(20)
        (tmp_path / "gate").write_text("done")
        assert read_body(connection) == "done"
    manager.wait_for("WATCHDOG=1")
    portico.stop()


def test_the_watchdog_is_not_fed_when_stopped_workers_leave_connections_waiting(
    begin: Callable[..., Portico], manager: ServiceManager
) -> None:
    portico = begin(SHOP, "-w", "2", WATCHDOG_USEC="800000")
    manager.wait_for("READY=1")
    workers = portico.worker_pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    with portico.ask() as connection:
        portico.wait_for("the service manager's watchdog is not fed")
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert read_body(connection) == "one"
    manager.rest()
    manager.wait_for("WATCHDOG=1")
    portico.stop()


def test_a_manager_that_reads_nothing_stops_nobody(
    begin: Callable[..., Portico], manager: ServiceManager
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.sendto(b"FILL=1", "\0" + manager.address[1:])
    portico = begin()
    portico.wait_ready()
    assert portico.get() == "one"
    manager.wait_for("READY=1")
    portico.stop()


def test_nobody_at_the_socket_is_said_once(start: Start, tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "nobody")}
    portico = start(SHOP, application="shop:shop", environment=environment)
    portico.wait_ready()
    portico.stop()
    assert portico.log().count("NOTIFY_SOCKET: cannot tell the service manager at") == 1


# -- sockets that are kept through a restart

# What systemd does between fork and exec.
PASS_ON = """
import os, sys
names, *command = sys.argv[1:]
count = len(names.split(":"))
for number in range(count):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""
UMASK = 0o022


class Service:
    """Starts of one service: what it gives to its manager is passed on to its next start."""

    def __init__(self, folder: Path, manager: ServiceManager) -> None:
        self.folder = folder
        self.manager = manager
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "shop.py").write_text(SHOP)

    def start(self, *binds: str) -> list[Message]:
        """Start with these addresses and wait until it is ready; returns what it has told."""
        command = [sys.executable, "-m", "portico", "run", "shop:shop", "-w", "1", "--access-log", "off"]
        command += [word for bind in binds for word in ("-b", bind)]
        fds = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 200) for one in self.manager.kept.values()]
        moved = [os.dup2(fd, 100 + number) for number, fd in enumerate(fds)]
        if moved:
            command = [sys.executable, "-c", PASS_ON, ":".join(self.manager.kept), *command]
        with (self.folder / "error.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=moved,
                umask=UMASK,
                env={**os.environ, "NOTIFY_SOCKET": self.manager.address, "FDSTORE": "8"},
            )
        for fd in fds + moved:
            os.close(fd)
        self.manager.forget()
        try:
            self.manager.wait_for("READY=1")
        except AssertionError as error:
            raise AssertionError((self.folder / "error.log").read_text()) from error
        return self.manager.seen

    def end(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        workers = children(self.process.pid)
        self.process.send_signal(number)
        self.process.wait(20)
        wait_until(lambda: not any(map(is_alive, workers)), what="the end of the workers")
        self.manager.rest()


@pytest.fixture
def service(tmp_path: Path, manager: ServiceManager) -> Iterator[Service]:
    found = Service(tmp_path, manager)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.end(signal.SIGKILL)


def ask(address: tuple[str, int] | str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connection.settimeout(20)
    try:
        connection.connect(address)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    except OSError:
        connection.close()
        raise
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.parametrize("kind", ["tcp", "file", "abstract"])
def test_who_connects_between_the_end_and_the_next_start_is_served(
    service: Service, tmp_path: Path, kind: str, number: signal.Signals
) -> None:
    port, path = free_port(), str(tmp_path / "shop.sock")
    name = f"shop-{port}"
    bind, address = {
        "tcp": (f"127.0.0.1:{port}", ("127.0.0.1", port)),
        "file": (f"unix:{path}", path),
        "abstract": (f"unix:@{name}", f"\0{name}"),
    }[kind]
    messages = service.start(bind)
    assert "FDSTORE" in next(message for message in messages if "STATUS" not in message.values).values
    assert len(service.manager.kept) == 1
    before = set(service.manager.kept)
    for _ in range(2):
        service.end(number)
        with ask(address) as connection:
            service.start(bind)
            assert read_body(connection) == "one"
    assert set(service.manager.kept) == before, "it is the same socket"


def test_a_socket_that_no_address_asks_for_any_more_is_given_back_before_others_are_bound(
    service: Service,
) -> None:
    port, other = free_port(), free_port()
    service.start(f"127.0.0.1:{port}", f"127.0.0.1:{other}")
    assert len(service.manager.kept) == 2
    service.end()
    # In the way of it is the one of before, as long as anybody has it open.
    messages = service.start(f"0.0.0.0:{port}")
    assert [next(iter(message.values)) for message in messages][:3] == [
        "FDSTOREREMOVE",
        "FDSTOREREMOVE",
        "BARRIER",
    ]
    assert len(service.manager.kept) == 1
    with ask(("127.0.0.2", port)) as connection:
        assert read_body(connection) == "one"
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", other))


def test_a_socket_whose_file_was_replaced_is_not_taken(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    service.start(f"unix:{path}")
    before = set(service.manager.kept)
    service.end()
    assert path.exists()
    path.unlink()
    # One that another has made there.
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
    service.start(f"unix:{path}")
    assert len(service.manager.kept) == 1
    assert set(service.manager.kept) != before
    with ask(str(path)) as connection:
        assert read_body(connection) == "one"


def test_a_kept_socket_gets_the_mode_that_is_asked_for_now(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    for options, mode in (("?mode=600", 0o600), ("?mode=660", 0o660), ("", 0o777 & ~UMASK)):
        service.start(f"unix:{path}{options}")
        assert path.stat().st_mode & 0o777 == mode
        service.end()
    assert len(service.manager.kept) == 1


def test_without_a_store_nothing_is_given_and_the_file_goes(
    begin: Callable[..., Portico], manager: ServiceManager, tmp_path: Path
) -> None:
    path = tmp_path / "shop.sock"
    portico = begin(SHOP, "-b", f"unix:{path}")
    manager.wait_for("READY=1")
    portico.stop()
    manager.rest()
    assert not any("FDSTORE" in message.values for message in manager.seen)
    assert not path.exists()


def test_a_reload_gives_new_sockets_and_takes_back_those_given_up(
    start: Start, manager: ServiceManager, tmp_path: Path
) -> None:
    ports = [free_port() for _ in range(3)]
    path = tmp_path / "shop.sock"

    def write(*binds: str) -> None:
        lines = ["[[app]]", 'app = "shop:shop"', "[listening]", f"bind = {list(binds)}"]
        (tmp_path / "portico.toml").write_text("\n".join(lines))

    write(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"unix:{path}")
    environment = {"NOTIFY_SOCKET": manager.address, "FDSTORE": "8"}
    portico = start(SHOP, reads_file=True, environment=environment)
    manager.wait_for("READY=1")
    names = {
        message.sockets[0].getsockname(): message.values["FDNAME"]
        for message in manager.seen
        if "FDSTORE" in message.values
    }
    assert set(names) == {("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), str(path)}
    write(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[2]}")
    portico.signal(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    added = manager.wait_for("FDSTORE=1")
    assert added.sockets[0].getsockname() == ("127.0.0.1", ports[2])
    removed = {manager.wait_for("FDSTOREREMOVE=1").values["FDNAME"] for _ in range(2)}
    assert removed == {names["127.0.0.1", ports[1]], names[str(path)]}
    assert not path.exists()
    portico.stop()


def test_an_upgrade_in_place_goes_on_telling(
    begin: Callable[..., Portico], manager: ServiceManager, tmp_path: Path
) -> None:
    path = tmp_path / "shop.sock"
    portico = begin(SHOP, "-b", f"unix:{path}", FDSTORE="8", WATCHDOG_USEC="1000000", WATCHDOG_PID="")
    manager.wait_for("READY=1")
    names = set(manager.kept)
    assert len(names) == 2
    (tmp_path / "shop.py").write_text(SHOP.replace('"one"', '"two"'))
    portico.signal(signal.SIGUSR2)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    assert "upgraded from portico" in portico.log()
    assert portico.get() == "two"
    assert "NOTIFY_SOCKET" not in portico.get("/variables")
    # The next supervisor has a watchdog to feed, and gives the same sockets once more.
    manager.rest()
    manager.wait_for("WATCHDOG=1")
    assert set(manager.kept) == names
    portico.stop()
    manager.rest()
    assert manager.states[0] == "READY"
    assert set(manager.states[1:-2]) == {"RELOADING"}
    assert manager.states[-2:] == ["READY", "STOPPING"]
    assert path.exists(), "it is kept"


# -- process 1


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="takes root and unshare (util-linux)"
)
def test_process_1_tells_too_and_takes_leave_of_orphans(
    start: Start, manager: ServiceManager, tmp_path: Path
) -> None:
    # The shells end at once, and their children after it, many at a time.
    source = """
import os, subprocess
def shop(environ, start_response):
    wait = "sh -c 'until [ -e go ]; do sleep 0.05; done'"
    subprocess.run(["sh", "-c", f"for each in $(seq 50); do {wait} & done"], check=True)
    start_response("200 OK", [])
    return [str(os.getppid()).encode()]
"""
    program: Sequence[str] = (
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "portico"),
    )
    portico = start(
        source,
        *("-w", "1", "--access-log", "-"),
        application="shop:shop",
        program=program,
        environment={"NOTIFY_SOCKET": manager.address},
    )
    manager.wait_for("READY=1")
    (supervisor,) = children(portico.process.pid)
    assert portico.get() == "1"
    wait_until(lambda: len(children(supervisor)) == 51, what="the orphans of process 1")
    (tmp_path / "go").touch()

    of_process_1 = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    wait_until(lambda: len(of_process_1.read_text().split()) == 1, what="the worker alone, without zombies")
    os.kill(supervisor, signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert portico.wait() == 0, portico.log()
    assert '"GET / HTTP/1.1" 200' in portico.log()
