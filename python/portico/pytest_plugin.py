"""A pytest plugin with one fixture: `portico_server` serves an application for as long as a test runs.

Loaded by pytest wherever portico is installed (entry point `pytest11`), so it imports nothing until it is
used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.embedding.server import RunningServer
    from portico.types import WSGIApplication


class ServerFactory:
    """Starts servers, which `stack` stops."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, app: WSGIApplication, **settings: object) -> RunningServer:
        """Serve `app` on a free port until the end of the test; arguments are those of `portico.running`."""
        from portico.embedding.server import running

        return self._stack.enter_context(running(app, **settings))  # type: ignore[arg-type]


@pytest.fixture
def portico_server() -> Iterator[ServerFactory]:
    """Serve WSGI applications over real sockets: `server = portico_server(app)`, then ask `server.url`.

    May be called several times in a test. Arguments beside the application are those of `portico.running`;
    all servers are stopped at the end of the test.
    """
    with ExitStack() as stack:
        yield ServerFactory(stack)
