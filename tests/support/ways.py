"""Ways to execute, for tests that serve something in several of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.server import Server

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
