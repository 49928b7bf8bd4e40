"""Ways to execute, for tests that serve something in several of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.server import WORKER, Server


def not_for(*ways: str, reason: str) -> pytest.MarkDecorator:
    """Mark what has no meaning where the tests are run for one of these ways (PORTICO_WORKER)."""
    return pytest.mark.skipif(WORKER in ways, reason=f"{WORKER}: {reason}")


LOOPS = ("asyncio", "tornado")
"""Those whose calls follow each other on the thread of a loop; so nothing is streamed to the application."""
CALLS_FOLLOW = WORKER in LOOPS
"""Whether the tests are run for one of these."""
KEYS_OF_LOOP = {"portico.loop"} if CALLS_FOLLOW else set()
"""What environ has besides there."""
beside_each_other = not_for(*LOOPS, reason="calls follow each other")
"""Marks what needs a call while another one waits in the application."""
bodies_in_calls = not_for(*LOOPS, reason="bodies have come before the call")
"""Marks what is about a body that a call waits for."""
own_cpu_time = not_for("gevent", *LOOPS, reason="the thread's CPU time is no call's own")
"""Marks what is about the CPU time of a call."""
cannot_be_ended = not_for("gevent", reason="what waits is ended by RequestTimeout, so that its worker stays")
"""Marks what needs a call that waits beyond its `timeout`."""
of_the_default = not_for("gevent", *LOOPS, reason="it is about what is so where no way is chosen")
"""Marks what is said, or done, where calls are on threads by default."""
in_bare_surroundings = not_for("gevent", *LOOPS, reason="what the way needs is not there")
"""Marks what runs with no package beside portico."""
without_loop = not_for("gevent", *LOOPS, reason="an event loop belongs to one process")
"""Marks what makes a template of a worker that has served."""
WAYS = ("threads", "gevent", "asyncio", "tornado")
THREADS = 4
"""Of the way that has them."""
_NEEDED = {"gevent": "gevent", "tornado": "tornado"}


def calls_at_a_time(threads: int) -> int:
    """How many calls of a worker that is given so many threads, or greenlets, are in the application."""
    return 1 if CALLS_FOLLOW else threads


def serving(application: str, way: str, folder: Path, environment: dict[str, str], *options: str) -> Server:
    """A server with one worker that executes an application of `folder` in this way."""
    if way in _NEEDED:
        pytest.importorskip(_NEEDED[way])
    # Nothing is said for the default, which this is.
    chosen = () if way == "threads" else ("--worker", way)
    return Server(
        application,
        threads=THREADS,
        options=["--pythonpath", str(folder), *chosen, *options],
        environment=environment,
    )
