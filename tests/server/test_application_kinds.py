"""What the command line can name as an application."""

from __future__ import annotations

import pytest
from support.server import Server


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize(
    ("application", "body"),
    [
        ("apps.kinds:function", b"function"),
        ("apps.kinds:IterableClass", b"iterable class"),
        ("apps.kinds:IteratorClass", b"iterator class"),
        ("apps.kinds:instance", b"instance"),
        ("apps.kinds:bound_method", b"bound method"),
        ("apps.kinds:generator", b"generator"),
        ("apps.kinds:partial_function", b"partial"),
        ("apps.kinds:factory()", b"made by a factory"),
    ],
)
def test_served_alone(application: str, body: bytes, threads: int) -> None:
    with Server(application, threads=threads) as server, server.connect() as connection:
        for _ in range(2):
            assert connection.request("/any/path").body == body
