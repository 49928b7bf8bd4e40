"""Each socket is closed once and by its owner, whatever happens while a dry run reads the configuration.

The configuration is a FIFO, so the dry run waits for the test; so does a worker that loads the application.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import children, is_stopped
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start
from .test_reload import SHOP, Configured, ask_at, is_refused

GATED = """
import os
if os.path.exists("gate"):
    with open("gate") as gate:
        exec(gate.read())
"""
CLOSED = "no longer listening on"


def open_for_reader(path: Path) -> int:
    """A descriptor to write with to the FIFO at `path`, once somebody reads it."""
    found: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):
            found.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return bool(found)

    wait_until(is_read, what=f"a reader of {path.name}")
    return found[0]


class Held:
    """A server whose next dry run, and next workers, go on when they are told to."""

    def __init__(self, configured: Configured) -> None:
        self.folder = configured.folder
        self.configured = configured
        self.tcp = ("127.0.0.1", free_port())
        self.path = str(self.folder / "other.sock")
        self.others = (f"127.0.0.1:{self.tcp[1]}", f"unix:{self.path}")
        self.portico: Portico
        self._gate = self.folder / "gate"
        self._gate_fd = -1
        self._config_fd = -1
        self._dry_run = 0
        self._has_others = False

    def start(self, *options: str, has_others: bool) -> None:
        self._has_others = has_others
        self.configured.write(bind=self._others)
        self.portico = self.configured.start(GATED + SHOP, *options)

    @property
    def _others(self) -> tuple[str, ...]:
        return self.others if self._has_others else ()

    def toggle(self) -> None:
        """Add the other addresses, or remove them, from the next configuration on."""
        self._has_others = not self._has_others

    def reload_with_held_worker(self) -> None:
        """A reload whose plan is taken, and whose worker loads the application until `let_gated_go`."""
        self._toggle_gated(signal.SIGHUP)

    def upgrade_with_held_trial(self) -> None:
        """An upgrade whose dry run has reported, and loads the application until `let_gated_go`."""
        self._toggle_gated(signal.SIGUSR2)

    def _toggle_gated(self, number: signal.Signals) -> None:
        os.mkfifo(self._gate)
        self.toggle()
        self.configured.write(bind=self._others)
        self.portico.signal(number)
        self._gate_fd = open_for_reader(self._gate)
        # For no other.
        self._gate.unlink()

    def let_gated_go(self, source: str = "") -> None:
        os.write(self._gate_fd, source.encode())
        self.close()

    def close(self) -> None:
        if self._gate_fd >= 0:
            os.close(self._gate_fd)
        self._gate_fd = -1

    def begin(self, number: signal.Signals) -> None:
        """Have a dry run that waits for its configuration."""
        config = self.folder / "portico.toml"
        config.unlink()
        os.mkfifo(config)
        pids = children(self.portico.process.pid)
        self.portico.signal(number)
        self._config_fd = open_for_reader(config)
        [self._dry_run] = {*children(self.portico.process.pid)} - {*pids}

    def go_on(self) -> None:
        os.write(self._config_fd, self.configured.text(bind=self._others).encode())
        os.close(self._config_fd)

    def end_unseen(self) -> None:
        """Let the dry run come to its end while the supervisor stands still."""
        pid = self.portico.process.pid
        self.portico.signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(pid), what="the supervisor to stand still")
        self.go_on()
        wait_until(lambda: self._dry_run not in children(pid), what="the end of the dry run")

    def expect_end(self) -> None:
        assert self.portico.wait() == 0, self.portico.log()
        assert "Traceback" not in self.portico.log()
        assert not os.path.exists(self.path)

    @property
    def are_others_closed(self) -> bool:
        return is_refused(self.tcp) and is_refused(self.path)


@pytest.fixture
def held(tmp_path: Path, start: Start) -> Iterator[Held]:
    made = Held(Configured(tmp_path, start))
    yield made
    made.close()


every_kind = pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2], ids=["reload", "upgrade"])
every_stop = pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
added_or_removed = pytest.mark.parametrize("has_others", [False, True], ids=["added", "removed"])
first_or_second = pytest.mark.parametrize("is_second", [False, True], ids=["first", "second"])


@every_kind
@every_stop
@added_or_removed
@first_or_second
def test_a_stop_that_comes_with_the_end_of_the_dry_run(
    held: Held, number: signal.Signals, stop: signal.Signals, *, has_others: bool, is_second: bool
) -> None:
    held.start(has_others=has_others)
    if is_second:
        held.reload_with_held_worker()
    held.begin(number)
    held.toggle()
    held.end_unseen()
    held.portico.signal(stop)
    held.portico.signal(signal.SIGCONT)
    held.expect_end()


@pytest.mark.parametrize("has_others", [False, True], ids=["removed again", "added again"])
def test_a_stop_that_is_announced_closes_nothing_yet(held: Held, *, has_others: bool) -> None:
    held.start("--drain-delay", "1000s", has_others=has_others)
    held.reload_with_held_worker()
    held.begin(signal.SIGHUP)
    held.toggle()
    held.end_unseen()
    held.portico.signal(signal.SIGTERM)
    held.portico.signal(signal.SIGCONT)
    held.portico.wait_for("stopping in")
    assert held.portico.get().startswith("good")
    if has_others:
        assert ask_at(held.tcp).startswith("good")
        assert ask_at(held.path).startswith("good")
    held.portico.signal(signal.SIGTERM)
    held.expect_end()


@every_kind
@added_or_removed
def test_a_stop_before_the_dry_run_is_through(
    held: Held, number: signal.Signals, *, has_others: bool
) -> None:
    held.start(has_others=has_others)
    held.begin(number)
    held.portico.signal(signal.SIGTERM)
    held.expect_end()


@every_stop
@pytest.mark.parametrize("rests", [False, True], ids=["serving", "resting"])
def test_a_stop_while_an_upgrade_is_tried_closes_what_its_dry_run_has_opened(
    held: Held, stop: signal.Signals, *, rests: bool
) -> None:
    held.start(has_others=False)
    if rests:
        # So that nobody else is waited for.
        held.portico.signal(signal.SIGWINCH)
        wait_until(lambda: not held.portico.worker_pids, what="the rest")
    held.upgrade_with_held_trial()
    assert os.path.exists(held.path)
    held.portico.signal(stop)
    held.expect_end()


@added_or_removed
def test_a_stop_before_the_plan_that_was_taken_is_confirmed(held: Held, *, has_others: bool) -> None:
    held.start(has_others=has_others)
    held.reload_with_held_worker()
    held.portico.signal(signal.SIGTERM)
    held.expect_end()


@every_kind
def test_what_is_given_up_meanwhile_is_kept_if_the_dry_run_keeps_it(
    held: Held, number: signal.Signals
) -> None:
    held.start(has_others=True)
    held.reload_with_held_worker()
    held.begin(number)
    held.let_gated_go()
    held.portico.wait_for("is ready after")
    held.toggle()
    held.go_on()
    held.portico.wait_for("is ready after", times=2)
    assert ask_at(held.tcp).startswith("good")
    assert ask_at(held.path).startswith("good")
    assert CLOSED not in held.portico.log()
    held.portico.stop()
    assert not os.path.exists(held.path)


@every_kind
def test_what_is_given_up_meanwhile_is_closed_after_the_dry_run(held: Held, number: signal.Signals) -> None:
    held.start(has_others=True)
    held.reload_with_held_worker()
    held.begin(number)
    held.let_gated_go()
    held.portico.wait_for("is ready after")
    held.go_on()
    held.portico.wait_for("is ready after", times=2)
    wait_until(lambda: held.are_others_closed, what="the end of the others")
    assert not os.path.exists(held.path)
    assert held.portico.log().count(CLOSED) == 2
    held.portico.stop()


@every_kind
def test_what_a_plan_had_that_fails_meanwhile_is_kept_if_the_dry_run_keeps_it(
    held: Held, number: signal.Signals
) -> None:
    held.start(has_others=False)
    held.reload_with_held_worker()
    held.begin(number)
    held.let_gated_go("1 / 0")
    held.portico.wait_for("reload failed, the workers of before go on serving")
    held.go_on()
    held.portico.wait_for("is ready after")
    assert ask_at(held.tcp).startswith("good")
    assert ask_at(held.path).startswith("good")
    held.portico.stop()
    assert not os.path.exists(held.path)


def test_an_upgrade_closes_what_neither_its_plan_nor_the_confirmed_one_has(held: Held) -> None:
    held.start(has_others=False)
    held.reload_with_held_worker()
    held.begin(signal.SIGUSR2)
    held.toggle()
    held.go_on()
    held.portico.wait_for("upgraded from")
    held.portico.wait_for("is ready after")
    wait_until(lambda: held.are_others_closed, what="the end of the others")
    assert not os.path.exists(held.path)
    held.portico.stop()


def test_a_worker_that_is_forked_meanwhile_has_nothing_of_what_the_dry_run_has_opened(held: Held) -> None:
    held.start(has_others=False)
    held.upgrade_with_held_trial()
    pid = held.portico.worker_pids[0]
    held.portico.signal_worker(pid, signal.SIGKILL)
    held.portico.wait_for("is ready after")
    held.let_gated_go("1 / 0")
    held.portico.wait_for("the upgrade was not made")
    assert held.are_others_closed
    held.portico.stop()
