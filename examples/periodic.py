"""A Tornado application with a periodic callback, and a WSGI application that leaves work to the same loop.

In this folder, after `pip install tornado`:

    portico run periodic --worker tornado              # `app`: / waits for the next tick, /ticks streams them
    portico run periodic:reminders --worker tornado    # WSGI: POST a text, and it is sent five seconds later
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.locks import Condition
from tornado.web import Application, RequestHandler

TICK_MS = float(os.environ.get("TICK_MS", "1000"))
DELAY_S = float(os.environ.get("DELAY_S", "5"))

ticks = 0
has_ticked = Condition()


def tick() -> None:
    """What is to be done again and again: here, counting."""
    global ticks
    ticks += 1
    has_ticked.notify_all()


# On the loop of the worker, which runs before the first request.
PeriodicCallback(tick, TICK_MS).start()


class Next(RequestHandler):
    """Waits for something, while the loop serves others."""

    async def get(self) -> None:
        """Respond at the next tick."""
        await has_ticked.wait()
        self.write({"ticks": ticks, "readers": len(Ticks.readers)})


class Ticks(RequestHandler):
    """A response without an end."""

    readers: set[RequestHandler] = set()  # noqa: RUF012

    async def get(self) -> None:
        """Send a line at each tick, until the client leaves."""
        self.set_header("Content-Type", "text/plain")
        Ticks.readers.add(self)
        while self in Ticks.readers:
            self.write(f"{ticks}\n")
            await self.flush()
            await has_ticked.wait()

    def on_connection_close(self) -> None:
        """Forget a client that has left."""
        Ticks.readers.discard(self)


app = Application([("/", Next), ("/ticks", Ticks)])

sent: list[str] = []


def reminders(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Take a reminder and respond at once; the loop sends it when it is time. GET shows what was sent."""
    if environ["REQUEST_METHOD"] == "POST":
        text = environ["wsgi.input"].read(1000).decode()
        IOLoop.current().call_later(DELAY_S, sent.append, text)
        start_response("202 Accepted", [("Content-Type", "text/plain")])
        return [b"It will be sent.\n"]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(f"{text}\n" for text in sent).encode()]
