"""How long a call may take, by its path."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from portico.config.sources import resolve
from portico.process.limits import shortest_s, slow_after_s, timeout_s


def settings(**texts: list[str]) -> Any:
    return resolve({"app": ["shop"], **texts}, {})


@pytest.mark.parametrize(
    ("what", "limit_s"),
    [
        ("GET /", 20),
        ("GET /export", 600),
        ("POST /export/7", 600),
        ("GET /export/free", math.inf),
        ("GET /exports", 20),
        ("GET /api/", 5),
        ("GET /api", 5),
        ("GET /x/api", 20),
    ],
)
def test_the_longest_path_counts(what: str, limit_s: float) -> None:
    of_all = settings(
        timeout=["20s"],
        route_timeout=["/export=10m", "/export/free=0", "/api/=5s"],
        route_slow_after=["/=7s"],
    )
    call: Any = SimpleNamespace(what=what)
    assert timeout_s(of_all, call) == limit_s
    assert slow_after_s(of_all, call) == 7


def test_the_shortest_is_when_to_look_first() -> None:
    assert shortest_s(settings(route_timeout=["/a=3s", "/b=0"])) == 3
    assert shortest_s(settings(timeout=["0"], slow_after=["0"])) == math.inf
