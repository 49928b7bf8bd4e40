"""`python -m portico` alone: wsgiref's demonstration, which shows the environ of its request, until Ctrl-C.

Runs in the process that was started, with its standard streams; no setting is read.
"""

from __future__ import annotations

import contextlib
import sys

from portico import log
from portico.embedding.engine import Stop
from portico.embedding.server import BoundServer
from portico.errors import EXIT_BIND

OPEN = "--open"
"""What has a browser show it."""


def main() -> None:
    """Serve on 127.0.0.1:8000; with `--open` a browser is sent there."""
    from wsgiref.simple_server import demo_app

    try:
        server = BoundServer("python -m portico", demo_app, {"bind": "127.0.0.1:8000"})
    except OSError as error:
        log.say(error.strerror or str(error))
        sys.exit(EXIT_BIND)
    log.say(f"a demonstration on {server.url}, until Ctrl-C; `python -m portico --help` shows all else")
    if OPEN in sys.argv[1:]:
        import webbrowser

        # It may ask before there is anybody to respond: the socket listens already.
        webbrowser.open(f"{server.url}/")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(Stop())
