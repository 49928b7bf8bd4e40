"""Calls of one process at one time, which share what applications share: none has anything of another.

With the interpreter's lock and, where Python has none, without it: all of this happens at the same moment
there.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from apps.at_once import SHARED
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.ways import not_for

pytestmark = not_for("gevent", "asyncio", "tornado", reason="all calls are on one thread")

CLIENTS = 8
REQUESTS = 150


@pytest.mark.parametrize("threads", [2, 8])
def test_each_call_has_its_own(threads: int) -> None:
    with Server("apps.at_once:application", threads=threads) as server:

        def client(number: int) -> None:
            with server.connect(timeout_s=30) as connection:
                for turn in range(REQUESTS):
                    _ask(connection, f"{number}-{turn}", is_post=turn % 2 == 1)

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(client, range(CLIENTS)))
        with server.connect() as connection:
            assert json.loads(connection.request("/wrong").body) == []


def _ask(connection: Connection, name: str, *, is_post: bool) -> None:
    body = f"body of {name}" if is_post else ""
    headers = [f"X-Own: own of {name}", *([f"Content-Length: {len(body)}"] if is_post else [])]
    method = "POST" if is_post else "GET"
    connection.send(request_bytes(f"/{name}?name={name}", method, headers=headers) + body.encode())
    response = connection.read_response()
    assert response.status == 200
    assert len([name for name, _ in response.headers if name.lower().startswith("x-shared")]) >= SHARED - 8
    said = json.loads(response.body)
    assert said.pop("REMOTE_PORT").isdigit()
    assert said == {
        "PATH_INFO": f"/{name}",
        "QUERY_STRING": f"name={name}",
        "HTTP_X_OWN": f"own of {name}",
        "body": body,
    }
