"""Where threads are, as `portico.deadlines` has it with the interpreter's lock and without one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest
from portico.deadlines import stack_of_frame, stack_of_thread, stacks_written
from portico.profile.finding import Finder
from support.waiting import wait_until


class Waiting:
    """A thread that waits in `wait_in_a_ß`, within a comprehension, until this is left."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.thread = threading.Thread(target=self._begin)

    def _begin(self) -> None:
        def wait_in_a_ß() -> bool:
            return self._event.wait()

        assert [wait_in_a_ß() for _ in range(1)] == [True]

    def __enter__(self) -> int:
        self.thread.start()
        ident = self.thread.ident
        assert ident is not None
        # As deep as it gets.
        wait_until(lambda: _names(ident)[:2] == ["wait", "wait"], what="the thread to wait")
        return ident

    def __exit__(self, *_: object) -> None:
        self._event.set()
        self.thread.join()


def _names(ident: int) -> list[str]:
    return [name for _, _, name in stacks_written().get(ident, [])]


@pytest.fixture
def waiting() -> Iterator[int]:
    with Waiting() as ident:
        yield ident


def test_what_is_written_is_what_the_frames_say(waiting: int) -> None:
    written = stacks_written()[waiting]
    # It waits: its frames may be read without a lock, too.
    assert written == stack_of_frame(sys._current_frames()[waiting])
    assert stack_of_thread(waiting) == written
    assert ("wait_in_a_ß", str(Path(__file__))) in [(name, file) for file, _, name in written]


def test_a_thread_that_has_ended_is_nowhere() -> None:
    with Waiting() as ident:
        pass
    assert stack_of_thread(ident) == []


def test_functions_are_found_by_their_places(waiting: int) -> None:
    finder = Finder()
    found, is_truncated = finder.codes(stacks_written()[waiting])
    expected = []
    frame = sys._current_frames().get(waiting)
    while frame is not None:
        expected.append(frame.f_code)
        frame = frame.f_back
    assert [_described(code) for code in found] == [_described(code) for code in expected]
    assert not is_truncated
    again, _ = finder.codes(stacks_written()[waiting])
    assert [id(code) for code in again] == [id(code) for code in found]


def test_a_place_of_no_file_is_a_name() -> None:
    finder = Finder()
    places = [("<string>", 3, "run"), ("<string>", 5, "run"), (__file__, 1_000_000, "run")]
    found, _ = finder.codes(places)
    assert found == ["run (<string>)", "run (<string>)", f"run ({__file__})"]
    assert found[0] is found[1]


def _described(code: CodeType | str) -> tuple[str, str, int]:
    assert isinstance(code, CodeType)
    return code.co_name, code.co_filename, code.co_firstlineno


RUNNING = """
import threading, sys, time
from portico.deadlines import stack_of_thread, stacks_written

def recurse(depth):
    return recurse(depth - 1) if depth else sum(number for number in range(3))

def run():
    while not is_over:
        recurse(30)

is_over = False
threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads:
    thread.start()
until = time.monotonic() + 2
looks = 0
while looks < 200 or time.monotonic() < until:
    for thread in threads:
        for file, line, name in stack_of_thread(thread.ident):
            assert line >= 0 and name and file, (file, line, name)
    looks += 1
is_over = True
for thread in threads:
    thread.join()
"""


def test_threads_that_run_are_looked_at_without_harm() -> None:
    """Without a lock to read their frames is a use after free, which ends the process within a second."""
    run = subprocess.run([sys.executable, "-c", RUNNING], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
