"""What `portico generate systemd` writes, under a real systemd: started, reloaded, restarted, watched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from generate.made import generated, statements
from support.server import free_port
from support.systemd import Systemd
from support.waiting import wait_until

from .conftest import read_body
from .test_service_manager import SHOP, ask

# What of the generated unit a manager of a user's can do, beside how it starts.
KEPT = re.compile(
    r"(Type|NotifyAccess|WatchdogSec|FileDescriptorStoreMax|ExecReload|KillMode|TimeoutStopSec|Restart|RestartSec"
    r"|RuntimeDirectory|RuntimeDirectoryPreserve|Environment)="
)


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    try:
        found = Systemd(tmp_path_factory.mktemp("systemd"))
    except (OSError, RuntimeError) as error:
        pytest.skip(f"no manager of systemd can be run here: {error}")
    yield found
    found.close()


class Shop:
    """shop.service; `port` is one that portico opens itself."""

    def __init__(self, systemd: Systemd, folder: Path) -> None:
        self.systemd = systemd
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log"

    def write(self, source: str, *options: str, **changed: str) -> None:
        """Write application and unit, with some statements changed."""
        (self.folder / "shop.py").write_text(source)
        unit = generated("systemd", "shop:shop", "-b", f"127.0.0.1:{self.port}", *options)
        lines = [line for line in statements(unit) if KEPT.match(line)]
        lines = [line for line in lines if line.partition("=")[0] not in changed]
        lines += [f"{name}={value}" for name, value in changed.items()]
        command = (
            f"{sys.executable} -m portico run shop:shop -w 1 -b 127.0.0.1:{self.port} {' '.join(options)}"
        )
        lines += [
            f"ExecStart={command} --access-log off",
            f"WorkingDirectory={self.folder}",
            f"StandardOutput=append:{self.log}",
            f"StandardError=append:{self.log}",
            f"Environment=PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={os.environ.get('PYTHONPATH', '')}",
        ]
        self.systemd.write("shop.service", "[Service]\n" + "\n".join(lines) + "\n")

    def control(self, verb: str, *options: str) -> None:
        try:
            self.systemd.control(verb, *options, "shop.service")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from None

    def show(self, name: str) -> str:
        return self.systemd.show("shop.service", name)

    def get(self) -> str:
        with ask(("127.0.0.1", self.port)) as connection:
            return read_body(connection)

    @property
    def pid(self) -> int:
        return int(self.show("MainPID"))


@pytest.fixture
def shop(systemd: Systemd, tmp_path: Path) -> Iterator[Shop]:
    found = Shop(systemd, tmp_path)
    yield found
    systemd.control("stop", "shop.service", check=False)
    systemd.control("reset-failed", check=False)


@contextlib.contextmanager
def visited(shop: Shop) -> Iterator[list[str]]:
    """One request after the other all the while; what comes of each."""
    found: list[str] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.is_set():
            try:
                found.append(shop.get())
            except OSError as error:
                found.append(repr(error))

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def test_a_start_is_done_when_the_workers_are_ready(shop: Shop) -> None:
    os.mkfifo(shop.folder / "gate")
    shop.write("open('gate').read()\n" + SHOP)
    shop.control("start", "--no-block")
    wait_until(lambda: shop.show("StatusText").startswith("loading the application"), what="the status")
    assert shop.show("ActiveState") == "activating"
    (shop.folder / "gate").write_text("")
    wait_until(lambda: shop.show("ActiveState") == "active", what="the end of the start")
    assert shop.show("StatusText") == "1 worker, 0 requests in flight, 0 requests/s"
    assert shop.get() == "one"
    shop.control("stop")
    assert shop.show("Result") == "success"


def test_the_generated_units_serve_as_they_are_but_for_their_namespaces(shop: Shop) -> None:
    (shop.folder / "shop.py").write_text(SHOP)
    path, file = shop.folder / "shop.sock", shop.systemd.units / "shop.service"
    generated(
        *("systemd", "shop:shop", "-b", f"unix:{path}", "-w", "1", "--user", "root"),
        *("--chdir", str(shop.folder), "--output", str(file), "--force"),
    )
    # What the manager of a user cannot do.
    unit = re.sub(r"(?m)^(Protect|Private).*\n", "", file.read_text())
    ours = f"Environment=PYTHONPATH={os.environ.get('PYTHONPATH', '')}\nStandardError=append:{shop.log}"
    shop.systemd.write("shop.service", unit.replace("[Service]", f"[Service]\n{ours}", 1))
    try:
        shop.control("start", "shop.socket")
        for _ in range(2):
            shop.control("restart")
            assert shop.show("StatusText").startswith("1 worker, ")
            with ask(str(path)) as connection:
                assert read_body(connection) == "one"
        # Its sockets are those of the unit, which has them anyway.
        assert shop.show("NFileDescriptorStore") == "0"
        shop.control("stop")
        assert shop.show("Result") == "success"
    finally:
        shop.systemd.control("stop", "shop.socket", check=False)
        (shop.systemd.units / "shop.socket").unlink()


def test_an_import_that_takes_longer_than_systemd_allows_is_waited_for(shop: Shop) -> None:
    os.mkfifo(shop.folder / "gate")
    shop.write("open('gate').read()\n" + SHOP, TimeoutStartSec="2")
    shop.control("start", "--no-block")
    began_s = time.monotonic()
    wait_until(lambda: time.monotonic() > began_s + 6, what="three times what was allowed")
    assert shop.show("ActiveState") == "activating", shop.systemd.log.read_text()
    (shop.folder / "gate").write_text("")
    wait_until(lambda: shop.show("ActiveState") == "active", what="the end of the start")
    assert shop.show("NRestarts") == "0"


def test_a_reload_is_a_state_and_ends(shop: Shop) -> None:
    shop.write(SHOP)
    shop.control("start")
    os.mkfifo(shop.folder / "gate")
    (shop.folder / "shop.py").write_text("open('gate').read()\n" + SHOP.replace('"one"', '"two"'))
    pid = shop.pid
    shop.control("reload", "--no-block")
    wait_until(lambda: shop.show("ActiveState") == "reloading", what="the state of a reload")
    assert shop.get() == "one"
    (shop.folder / "gate").write_text("")
    wait_until(lambda: shop.show("ActiveState") == "active", what="the end of the reload")
    assert shop.get() == "two"
    assert shop.pid == pid


def test_a_restart_loses_no_connection(shop: Shop) -> None:
    shop.write(SHOP)
    shop.control("start")
    assert shop.show("NFileDescriptorStore") == "1"
    with visited(shop) as bodies:
        for body in ("two", "three"):
            pid = shop.pid
            (shop.folder / "shop.py").write_text(SHOP.replace('"one"', f'"{body}"'))
            shop.control("restart")
            assert shop.pid != pid
            wait_until(lambda body=body: body in bodies, what="a response of the new one")
    assert set(bodies) == {"one", "two", "three"}, bodies
    assert shop.show("NFileDescriptorStore") == "1"
    # A stop gives it up.
    shop.control("stop")
    with pytest.raises(ConnectionRefusedError):
        shop.get()


def test_an_upgrade_in_place_is_a_reload_to_systemd_and_its_sockets_live_on(shop: Shop) -> None:
    shop.write(SHOP)
    shop.control("start")
    pid = shop.pid
    with visited(shop) as bodies:
        (shop.folder / "shop.py").write_text(SHOP.replace('"one"', '"two"'))
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: "upgraded from" in shop.log.read_text(), what="the upgrade")
        wait_until(lambda: shop.show("ActiveState") == "active" and "two" in bodies, what="its end")
        assert shop.pid == pid
        (shop.folder / "shop.py").write_text(SHOP.replace('"one"', '"three"'))
        shop.control("restart")
        wait_until(lambda: "three" in bodies, what="a response of the next one")
    assert set(bodies) == {"one", "two", "three"}, bodies
    assert shop.show("NFileDescriptorStore") == "1"


def test_an_address_that_is_another_after_a_restart_leaves_nothing_behind(shop: Shop) -> None:
    shop.write(SHOP)
    shop.control("start")
    before, shop.port = shop.port, free_port()
    shop.write(SHOP)
    shop.control("restart")
    assert shop.get() == "one"
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", before))
    assert shop.show("NFileDescriptorStore") == "1"
    # The same port, but wider: systemd has to let go of the one before.
    shop.write(SHOP, "-b", f"0.0.0.0:{shop.port + 1}")
    shop.control("restart")
    assert shop.show("NFileDescriptorStore") == "2"


def test_a_killed_supervisor_is_replaced_and_no_connection_is_lost(shop: Shop) -> None:
    shop.write(SHOP)
    shop.control("start")
    pid = shop.pid
    os.kill(pid, signal.SIGKILL)
    assert shop.get() == "one"
    # 0 is none, in the moment before systemd says that the one before has gone.
    wait_until(lambda: shop.pid not in (0, pid) and shop.show("ActiveState") == "active", what="the next one")
    assert shop.show("NRestarts") == "1"
    assert shop.get() == "one"


def test_workers_that_hang_for_ever_have_the_service_restarted(shop: Shop) -> None:
    os.mkfifo(shop.folder / "gate")
    shop.write(SHOP, "--timeout", "0", "--threads", "1", WatchdogSec="1")
    shop.control("start")
    pid = shop.pid
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{shop.port}/wait", timeout=20)
    wait_until(lambda: shop.show("NRestarts") == "1", what="the restart")
    wait_until(lambda: shop.show("ActiveState") == "active" and shop.pid != pid, what="the next one")
    assert "no worker makes progress though requests wait" in shop.log.read_text()
    assert shop.get() == "one"
