"""Starts those peers that have no command line of their own, or one that lacks an option we need.

`python bench/launch.py SERVER MODULE:ATTRIBUTE PORT THREADS WORKERS`, where SERVER is bjoern, fastwsgi,
fastpysgi, freastal, cheroot, pywsgi (that of gevent) or tornado (its own, for a Tornado application).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
from typing import Any

LISTEN_QUEUE = 2048


def main(server: str, target: str, port: int, threads: int, workers: int) -> None:
    """Load the application and hand the process to the server."""
    sys.path.insert(0, os.getcwd())
    if server == "pywsgi":
        # Before anything else is imported that keeps what is replaced.
        importlib.import_module("gevent.monkey").patch_all()
    module, _, attribute = target.partition(":")
    application = getattr(importlib.import_module(module), attribute)
    if server == "bjoern":
        importlib.import_module("bjoern").run(application, "127.0.0.1", port)
    elif server in ("fastwsgi", "fastpysgi"):
        importlib.import_module(server).run(application, "127.0.0.1", port, workers=workers)
    elif server == "freastal":
        importlib.import_module("freastal").serve(application, "127.0.0.1", port, workers)
    elif server == "cheroot":
        kind = importlib.import_module("cheroot.wsgi").Server
        # 10 by default: with 32 connections it would close most of them.
        kind.keep_alive_conn_limit = 10_000
        address = ("127.0.0.1", port)
        kind(address, application, numthreads=threads, request_queue_size=1024, timeout=120).start()
    elif server == "pywsgi":
        listener = socket.create_server(("127.0.0.1", port), backlog=LISTEN_QUEUE)
        # Left to itself each response waited for the client's delayed acknowledgement, 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        importlib.import_module("gevent.pywsgi").WSGIServer(listener, application, log=None).serve_forever()
    elif server == "tornado":
        asyncio.run(_tornado(application, port))
    else:
        raise SystemExit(f"launch.py does not know the server {server!r}")


async def _tornado(application: Any, port: int) -> None:
    importlib.import_module("tornado.httpserver").HTTPServer(application).listen(
        port, "127.0.0.1", backlog=LISTEN_QUEUE
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
