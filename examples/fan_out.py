"""A page made of what several slow services say, all asked at one time: Flask, and greenlets of gevent.

In this folder, after `pip install flask gevent`:

    python fan_out.py &                         # three services that take a second each
    portico run fan_out --worker gevent         # the page: it takes one second, not three

It does so for a hundred readers at one time as for one. Without `--worker gevent` the page says the same, but
asks one service after the other.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import gevent
from flask import Flask

SERVICES = os.environ.get("SERVICES", " ".join(f"http://127.0.0.1:{port}/" for port in (9001, 9002, 9003)))
PATIENCE_S = 10

app = Flask(__name__)


@app.get("/")
def page() -> dict[str, Any]:
    """Ask all services, and show what each has said, or that it has said nothing."""
    asked = {url: gevent.spawn(ask, url) for url in SERVICES.split()}
    try:
        gevent.joinall(asked.values(), timeout=PATIENCE_S)
        return {url: greenlet.value for url, greenlet in asked.items()}
    finally:
        # Whoever has not responded, and all of them where this call itself is ended (portico.RequestTimeout).
        gevent.killall(asked.values())


def ask(url: str) -> Any:
    """Return what a service says, None if that is nothing of use."""
    try:
        # It waits as any code does: with --worker gevent, sockets let the other greenlets run meanwhile.
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            return json.load(response)
    except (OSError, http.client.HTTPException, ValueError) as error:
        app.logger.warning("%s: %s", url, error)
        return None


class SlowService(BaseHTTPRequestHandler):
    """One of those that are asked."""

    def do_GET(self) -> None:
        """Take a second."""
        time.sleep(1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"pairs": self.server.server_port % 100}).encode())


if __name__ == "__main__":
    for service in map(urlsplit, SERVICES.split()):
        server = ThreadingHTTPServer((service.hostname or "", service.port or 80), SlowService)
        Thread(target=server.serve_forever).start()
