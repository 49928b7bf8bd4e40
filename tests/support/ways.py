"""Ways to execute, for tests that serve something in several of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.server import WORKER, Server


def not_for(*ways: str, reason: str) -> pytest.MarkDecorator:
    """Mark what has no meaning where the tests are run for one of these ways (PORTICO_WORKER)."""
    return pytest.mark.skipif(WORKER in ways, reason=f"{WORKER}: {reason}")


BODIES_FIRST = ("asyncio", "tornado")
"""Where nothing is streamed to the application."""
WAYS = ("threads", "gevent", "asyncio", "tornado")
THREADS = 4
"""Of the way that has them."""
_NEEDED = {"gevent": "gevent", "tornado": "tornado"}


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
