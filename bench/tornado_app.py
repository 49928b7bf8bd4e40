"""What apps.py has, as Tornado applications (tornado.web): `hello`, and `long_sleep`, which awaits."""

from __future__ import annotations

import asyncio

from tornado.web import Application, RequestHandler

from bench.apps import HELLO, LONG_S


class Hello(RequestHandler):
    """13 bytes, one block."""

    def get(self) -> None:
        """Respond at once."""
        self.set_header("Content-Type", "text/plain")
        self.write(HELLO)

    def compute_etag(self) -> None:
        """Leave the hash of each body out: no other application of the comparison computes one."""


class LongSleep(Hello):
    """The same after 100 ms, in which the loop is free."""

    async def get(self) -> None:
        """Wait, and respond."""
        await asyncio.sleep(LONG_S)
        super().get()


hello = Application([("/", Hello)])
long_sleep = Application([("/", LongSleep)])
