"""What the kernel says of a thread, in words."""

from __future__ import annotations

import os
import re
import threading

from portico.process.kernel_word import describe_thread


def test_a_thread_that_waits_is_described() -> None:
    ids: list[int] = []
    go_on, is_there = threading.Event(), threading.Event()

    def wait() -> None:
        ids.append(threading.get_native_id())
        is_there.set()
        go_on.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        is_there.wait()
        said = describe_thread(os.getpid(), ids[0])
        assert re.fullmatch(
            rf", its thread {ids[0]} is (sleeping|running)( in \w+)?(, system call \d+)?", said
        )
    finally:
        go_on.set()
        thread.join()


def test_nothing_is_said_of_a_thread_that_is_none() -> None:
    assert describe_thread(os.getpid(), 0) == ""
