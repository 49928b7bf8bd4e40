"""Starts those peers that have no command line of their own, or one that lacks an option we need.

`python bench/launch.py bjoern|fastwsgi|fastpysgi|freastal|cheroot MODULE:ATTRIBUTE PORT THREADS WORKERS`
"""

from __future__ import annotations

import importlib
import os
import sys


def main(server: str, target: str, port: int, threads: int, workers: int) -> None:
    """Load the application and hand the process to the server."""
    sys.path.insert(0, os.getcwd())
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
    else:
        raise SystemExit(f"launch.py does not know the server {server!r}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
