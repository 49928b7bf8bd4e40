"""portico.process.service_manager: what is told and when, by a clock of the test, to a datagram socket."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from portico import _core
from portico.config.addresses import parse_address
from portico.config.sources import resolve
from portico.process.life import DRAINING, Life
from portico.process.plan import Listener
from portico.process.service_manager.descriptor_store import DescriptorStore
from portico.process.service_manager.notify_socket import NotifySocket
from portico.process.service_manager.opening import duties_of
from portico.process.service_manager.service import Service
from portico.process.service_manager.states import States
from portico.process.service_manager.watchdog import Watchdog
from portico.process.worker_handle import BOOTING, LEAVING, READY
from support.service_manager import ServiceManager


class Supervisor:
    """What a service consists of, to be changed by a test."""

    def __init__(self) -> None:
        self.workers: dict[int, Any] = {}
        self.statuses: dict[int, Any] = {}
        self.listeners: list[Listener] = []
        self.generations = SimpleNamespace(number=0, listeners=self.listeners)
        self.set("30s")
        self.life = Life()
        self.life.wanted = 2

    def set(self, boot_timeout: str) -> None:
        settings = resolve({"app": ["shop"], "boot_timeout": [boot_timeout]}, {})
        self.generations.current = SimpleNamespace(settings=settings)

    def service(self) -> Service:
        worker_set: Any = SimpleNamespace(
            workers=self.workers,
            in_state=lambda state: [one for one in self.workers.values() if one.state == state],
        )
        scoreboard: Any = SimpleNamespace(read=self.statuses.__getitem__)
        return Service(
            self.generations,  # type: ignore[arg-type]
            worker_set,
            scoreboard,
            self.life,
        )

    def worker(self, pid: int, state: str = READY, *, generation: int = 0, **texts: str) -> Any:
        """Add a worker, with settings such as `timeout="0"`."""
        settings = resolve({"app": ["shop"], **{name: [text] for name, text in texts.items()}}, {})
        worker = SimpleNamespace(
            pid=pid, slot=pid, state=state, generation=generation, settings=settings, stacks=0
        )
        worker.is_active = state in (BOOTING, READY)
        worker.write_stacks = lambda: setattr(worker, "stacks", worker.stacks + 1)
        self.workers[pid] = worker
        self.does(pid)
        return worker

    def does(
        self, pid: int, *, requests: int = 0, silent_s: tuple[float, ...] = (), waiting_s: float = 0.0
    ) -> None:
        calls = [SimpleNamespace(what="GET /", elapsed_s=each, silent_s=each) for each in silent_s]
        self.statuses[pid] = SimpleNamespace(requests=requests, calls=calls, waiting_s=waiting_s)


@pytest.fixture
def manager() -> Iterator[ServiceManager]:
    with ServiceManager() as one:
        yield one


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor()


def received(manager: ServiceManager) -> list[list[str]]:
    return [message.lines for message in manager.rest()]


# -- states


def states_of(supervisor: Supervisor, manager: ServiceManager) -> States:
    return States(supervisor.service(), NotifySocket(manager.address))


EXTENDED = "EXTEND_TIMEOUT_USEC=15000000"


def test_a_life_is_told_in_its_order_and_each_state_once(
    supervisor: Supervisor, manager: ServiceManager
) -> None:
    supervisor.worker(1, BOOTING)
    states = states_of(supervisor, manager)
    for now_s in (0.0, 0.1):
        states.look(now_s)
    assert received(manager) == [["STATUS=loading the application, 0 of 2 workers ready", EXTENDED]]
    supervisor.workers[1].state = READY
    supervisor.worker(2)
    supervisor.life.is_announced = True
    for now_s in (0.2, 0.3):
        states.look(now_s)
    assert received(manager) == [["READY=1", "STATUS=2 workers, 0 requests in flight, 0 requests/s"]]
    supervisor.life.stage = DRAINING
    supervisor.workers[1].state = LEAVING
    supervisor.does(1, silent_s=(1.0,))
    for now_s in (0.4, 0.5):
        states.look(now_s)
    assert received(manager) == [
        ["STOPPING=1", "STATUS=stopping, 2 workers left, 1 request in flight", EXTENDED]
    ]


def test_a_reload_is_over_when_no_worker_of_before_is_to_be_replaced(
    supervisor: Supervisor, manager: ServiceManager
) -> None:
    supervisor.life.is_announced = True
    old = supervisor.worker(1)
    states = states_of(supervisor, manager)
    states.look(0.0)
    received(manager)
    supervisor.life.readings.asked += 1
    supervisor.life.readings.is_on_its_way = True
    states.look(1.0)
    ((reloading, since, status, _),) = received(manager)
    assert (reloading, status) == (
        "RELOADING=1",
        "STATUS=reloading, 1 worker, 0 requests in flight, 0 requests/s",
    )
    assert since.startswith("MONOTONIC_USEC=")
    supervisor.life.readings.is_on_its_way = False
    supervisor.generations.number = 1
    supervisor.worker(2, generation=1)
    states.look(1.1)
    assert received(manager) == []
    old.state, old.is_active = LEAVING, False
    states.look(1.2)
    assert received(manager)[0][0] == "READY=1"


def test_a_reload_that_is_asked_for_during_another_is_told_with_its_own_time(
    supervisor: Supervisor, manager: ServiceManager
) -> None:
    supervisor.life.is_announced = True
    supervisor.worker(1)
    states = states_of(supervisor, manager)
    states.look(0.0)
    received(manager)
    supervisor.life.readings.is_on_its_way = True
    for now_s in (1.0, 2.0):
        supervisor.life.readings.asked += 1
        states.look(now_s)
    first, second = manager.rest()
    assert "RELOADING" in first.values
    assert "RELOADING" in second.values
    assert int(second.values["MONOTONIC_USEC"]) > int(first.values["MONOTONIC_USEC"])


def test_a_reload_that_could_not_even_begin_is_over_at_once(
    supervisor: Supervisor, manager: ServiceManager
) -> None:
    # Else systemd would wait for its end (Type=notify-reload).
    supervisor.life.is_announced = True
    supervisor.worker(1)
    states = states_of(supervisor, manager)
    states.look(0.0)
    received(manager)
    supervisor.life.readings.asked += 1
    states.look(1.0)
    assert [lines[0] for lines in received(manager)] == ["RELOADING=1", "READY=1"]


def test_figures_are_told_when_they_change_and_every_few_seconds_at_most(
    supervisor: Supervisor, manager: ServiceManager
) -> None:
    supervisor.life.is_announced = True
    supervisor.worker(1)
    supervisor.worker(2)
    states = states_of(supervisor, manager)
    states.look(0.0)
    states.look(5.0)
    received(manager)
    supervisor.does(1, requests=30, silent_s=(0.1, 0.1))
    supervisor.does(2, requests=20)
    states.look(9.9)
    assert received(manager) == []
    assert states.due_s() == 10.0
    states.look(10.0)
    assert received(manager) == [["STATUS=2 workers, 2 requests in flight, 10 requests/s"]]
    supervisor.does(1, requests=32)
    del supervisor.workers[2]
    states.look(15.0)
    assert received(manager) == [["STATUS=1 worker, 0 requests in flight, 0.4 requests/s"]]
    states.look(20.0)
    assert received(manager) == [["STATUS=1 worker, 0 requests in flight, 0 requests/s"]]
    states.look(25.0)
    assert received(manager) == []


def test_nobody_is_woken_for_figures_of_no_workers(supervisor: Supervisor, manager: ServiceManager) -> None:
    supervisor.life.is_announced = True
    supervisor.worker(1)
    states = states_of(supervisor, manager)
    states.look(0.0)
    supervisor.workers.clear()
    states.look(5.0)
    assert states.due_s() == float("inf")
    supervisor.worker(2)
    states.look(60.0)
    assert states.due_s() == 65.0


@pytest.mark.parametrize(
    ("boot_timeout", "until_s"), [("0", 0), ("20s", 40)], ids=["without a limit", "with a limit"]
)
def test_the_start_is_extended_as_long_as_portico_itself_allows(
    supervisor: Supervisor, manager: ServiceManager, boot_timeout: str, until_s: int
) -> None:
    supervisor.set(boot_timeout)
    supervisor.worker(1, BOOTING)
    states = states_of(supervisor, manager)
    began_s = states._began_s
    extended = []
    for step in range(0, 65, 5):
        states.look(began_s + step)
        if any(EXTENDED in lines for lines in received(manager)):
            extended.append(step)
    assert extended == list(range(0, until_s, 5))


# -- the watchdog


@pytest.fixture
def watchdog(supervisor: Supervisor, manager: ServiceManager) -> Watchdog:
    found = Watchdog(supervisor.service(), NotifySocket(manager.address), limit_s=40.0)
    found._well_at_s = found._looked_at_s = 0.0
    return found


def fed(watchdog: Watchdog, manager: ServiceManager, *times_s: float) -> list[float]:
    """At which of these times it is fed."""
    found = []
    for now_s in times_s:
        watchdog.look(now_s)
        found += [now_s] * received(manager).count(["WATCHDOG=1"])
    return found


def test_a_service_that_nobody_asks_is_well(
    supervisor: Supervisor, manager: ServiceManager, watchdog: Watchdog
) -> None:
    supervisor.worker(1)
    assert fed(watchdog, manager, 0, 5, 10, 20, 30, 40) == [0, 10, 20, 30, 40]
    assert watchdog.due_s() == 50


OCCUPIED = (8.0,) * 8


def test_it_is_not_fed_when_all_threads_are_silent_and_again_when_one_completes(
    supervisor: Supervisor, manager: ServiceManager, watchdog: Watchdog
) -> None:
    worker = supervisor.worker(1, timeout="0")
    supervisor.does(1, requests=7, silent_s=OCCUPIED)
    assert fed(watchdog, manager, 0, 10) == [0, 10]
    supervisor.does(1, requests=7, silent_s=(50.0,) * 8)
    assert fed(watchdog, manager, 20, 30, 40, 50, 60) == [20, 30]
    assert worker.stacks == 1
    supervisor.does(1, requests=8, silent_s=(50.0,) * 8)
    assert fed(watchdog, manager, 70) == [70]


@pytest.mark.parametrize(
    ("silent_s", "timeout", "is_well"),
    [
        pytest.param((50.0,) * 7, "0", True, id="a thread is free"),
        pytest.param((50.0,) * 8, "0", False, id="none is, without a timeout"),
        pytest.param((50.0,) * 8, "60s", True, id="none is, and the calls may take longer"),
        pytest.param((70.0,) * 8, "60s", False, id="none is, and none of the calls may take so long"),
        pytest.param((50.0,) * 7 + (3.0,), "0", True, id="a block has left"),
    ],
)
def test_what_counts_as_progress(
    supervisor: Supervisor,
    manager: ServiceManager,
    watchdog: Watchdog,
    silent_s: tuple[float, ...],
    timeout: str,
    *,
    is_well: bool,
) -> None:
    supervisor.worker(1, timeout=timeout, threads="8")
    supervisor.does(1, silent_s=silent_s)
    assert (fed(watchdog, manager, 0, 10, 20, 30, 40)[-1] == 40) is is_well


def test_a_loop_of_greenlets_has_room_for_more_calls_than_threads(
    supervisor: Supervisor, manager: ServiceManager, watchdog: Watchdog
) -> None:
    supervisor.worker(1, timeout="0", worker="gevent", greenlets="9")
    supervisor.does(1, silent_s=(50.0,) * 8)
    assert fed(watchdog, manager, 0, 10, 20, 30, 40)[-1] == 40
    supervisor.does(1, silent_s=(50.0,) * 9)
    assert fed(watchdog, manager, 50, 60, 70, 80, 90)[-1] < 90


def test_a_path_with_a_timeout_of_its_own_has_its_own_patience(
    supervisor: Supervisor, manager: ServiceManager, watchdog: Watchdog
) -> None:
    supervisor.worker(1, timeout="20s", route_timeout="/report=5m")
    for what, last_s in (("GET /report", 140), ("GET /other", 70)):
        supervisor.does(1, silent_s=(50.0,) * 8)
        for call in supervisor.statuses[1].calls:
            call.what = what
        start_s = 100 if what == "GET /report" else 50
        watchdog._next_s, watchdog._well_at_s, watchdog._looked_at_s = 0.0, start_s, start_s
        assert fed(watchdog, manager, *(start_s + step for step in (0, 10, 20, 30, 40)))[-1] == last_s


def test_a_request_that_waits_for_the_interpreter_is_no_progress(
    supervisor: Supervisor, manager: ServiceManager, watchdog: Watchdog
) -> None:
    supervisor.worker(1)
    supervisor.does(1, waiting_s=100.0)
    assert fed(watchdog, manager, 0, 10, 20, 30, 40) == [0, 10, 20]


def test_connections_that_nobody_accepts_wait_for_progress(
    supervisor: Supervisor, manager: ServiceManager, watchdog: Watchdog
) -> None:
    supervisor.worker(1)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        supervisor.listeners.append(Listener(server.fileno(), parse_address("127.0.0.1:1"), "shown"))
        assert fed(watchdog, manager, 0, 10, 20, 30, 40) == [0, 10, 20]
        supervisor.worker(2, BOOTING)
        assert fed(watchdog, manager, 50) == [50]
        del supervisor.workers[2]
        assert fed(watchdog, manager, 60, 70, 80) == [60, 70]
        # Nobody is to be there: the first connection is about to start one, or none is to be.
        supervisor.life.wanted = 0
        assert fed(watchdog, manager, 90) == [90]
        supervisor.life.wanted, supervisor.life.stage = 2, DRAINING
        assert fed(watchdog, manager, 200) == [200]


# -- the descriptor store


def stored_by(manager: ServiceManager) -> list[tuple[str, list[int]]]:
    """Names, and the ports of the sockets that came with them, of what has come."""
    return [
        (next(iter(message.values)), [one.getsockname()[1] for one in message.sockets])
        for message in manager.rest()
    ]


def test_sockets_are_given_once_and_taken_back_when_they_are_given_up(
    supervisor: Supervisor, manager: ServiceManager
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [each.getsockname()[1] for each in (one, two)]
        first, second = (
            Listener(each.fileno(), parse_address(f"127.0.0.1:{port}"), "shown")
            for each, port in zip((one, two), ports, strict=True)
        )
        store = DescriptorStore(supervisor.service(), NotifySocket(manager.address), most=4)
        supervisor.generations.listeners = [first, second]
        for _ in range(2):
            store.look(0.0)
        messages = manager.rest()
        assert [message.lines[0] for message in messages] == ["FDSTORE=1", "FDSTORE=1"]
        assert all("FDPOLL=0" in message.lines for message in messages)
        assert [message.sockets[0].getsockname()[1] for message in messages] == ports
        assert first.is_stored
        assert second.is_stored
        # The same socket after a reload.
        again = Listener(one.fileno(), parse_address(f"uwsgi://127.0.0.1:{ports[0]}"), "shown")
        supervisor.generations.listeners = [again]
        store.look(1.0)
        assert [message.lines for message in manager.rest()] == [
            ["FDSTOREREMOVE=1", f"FDNAME={messages[1].values['FDNAME']}"]
        ]
        assert again.is_stored
        # At the end all are closed, and are to be kept.
        supervisor.generations.listeners, supervisor.life.stage = [], DRAINING
        store.look(2.0)
        assert manager.rest() == []


@pytest.mark.parametrize(
    ("address", "asked"), [("fd://shop", ""), ("127.0.0.1:8000", "127.0.0.1:0"), ("[::1]:8000", "[::1]:0")]
)
def test_what_the_next_start_could_not_find_is_not_given(
    supervisor: Supervisor, manager: ServiceManager, address: str, asked: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        listener = Listener(one.fileno(), parse_address(address), "shown", asked=asked)
        supervisor.generations.listeners = [listener]
        DescriptorStore(supervisor.service(), NotifySocket(manager.address), most=4).look(0.0)
        assert manager.rest() == []
        assert not listener.is_stored


def test_no_more_are_given_than_are_kept(supervisor: Supervisor, manager: ServiceManager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        supervisor.generations.listeners = [
            Listener(each.fileno(), parse_address(f"127.0.0.1:{each.getsockname()[1]}"), "shown")
            for each in (one, two)
        ]
        DescriptorStore(supervisor.service(), NotifySocket(manager.address), most=1).look(0.0)
        assert len(manager.rest()) == 1
        assert [each.is_stored for each in supervisor.generations.listeners] == [True, False]


# -- the variables, and the socket

ALL = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid()), "FDSTORE": "2"}


@pytest.mark.parametrize(
    ("variables", "kinds"),
    [
        ({}, ["NotifySocket", "States"]),
        (ALL, ["NotifySocket", "DescriptorStore", "States", "Watchdog"]),
        ({**ALL, "WATCHDOG_PID": "1"}, ["NotifySocket", "DescriptorStore", "States"]),
        ({"WATCHDOG_USEC": "1000000", "FDSTORE": "0"}, ["NotifySocket", "States", "Watchdog"]),
        ({"WATCHDOG_USEC": "soon", "FDSTORE": "many"}, ["NotifySocket", "States"]),
    ],
)
def test_the_variables_say_what_is_wanted_and_are_taken_out(
    supervisor: Supervisor, variables: dict[str, str], kinds: list[str]
) -> None:
    environment = {"NOTIFY_SOCKET": "@anywhere", "PATH": "/bin", **variables}
    found = duties_of(supervisor.service(), environment)
    assert [type(each).__name__ for each in found] == kinds
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative", ""])
def test_a_socket_of_another_kind_is_said_and_left(supervisor: Supervisor, address: str) -> None:
    environment = {"NOTIFY_SOCKET": address}
    assert duties_of(supervisor.service(), environment) == []
    assert environment == {}


def test_what_finds_no_room_is_sent_later_and_in_order(manager: ServiceManager) -> None:
    filled = 0
    try:
        while True:
            _core.send_datagram(os.fsencode(manager.address), b"FILL=1", ())
            filled += 1
    except BlockingIOError:
        pass
    notify = NotifySocket(manager.address)
    notify.send("READY=1")
    notify.send("STOPPING=1")
    notify.look(1.0)
    assert notify.due_s() == 1.25
    assert len(manager.rest()) == filled
    notify.look(1.1)
    assert manager.rest() == []
    notify.look(1.25)
    assert [message.lines for message in manager.rest()] == [["READY=1"], ["STOPPING=1"]]
    assert notify.due_s() is None


def test_nobody_at_the_socket_is_no_failure() -> None:
    notify = NotifySocket("/nowhere/notify")
    notify.send("READY=1")
    assert notify.due_s() is None


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process have none but those that are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_watchdog_is_fed_without_a_descriptor(manager: ServiceManager) -> None:
    notify = NotifySocket(manager.address)
    with no_descriptors():
        notify.send("WATCHDOG=1")
        notify.send("WATCHDOG=1")
    assert [message.lines for message in manager.rest()] == [["WATCHDOG=1"]] * 2


def test_what_finds_no_descriptor_is_sent_later(manager: ServiceManager) -> None:
    with no_descriptors():
        notify = NotifySocket(manager.address)
        notify.send("READY=1")
        assert notify.due_s() is not None
    assert manager.rest() == []
    notify.look(1.0)
    assert [message.lines for message in manager.rest()] == [["READY=1"]]
    notify.send("WATCHDOG=1")
    assert [message.lines for message in manager.rest()] == [["WATCHDOG=1"]]
