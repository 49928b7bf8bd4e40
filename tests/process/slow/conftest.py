"""Long runs of what an operator does, under a load that counts every request; `make test-slow`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.lifecycle import APPLICATION, RATES

from ..conftest import Portico, Start

Serve = Callable[..., Portico]


@pytest.fixture
def serve(start: Start) -> Serve:
    """Start portico on the application of `lifecycle`, and wait until it is ready."""

    def serve_one(*options: str, **others: object) -> Portico:
        portico = start(APPLICATION, *options, **others)
        portico.wait_ready()
        return portico

    return serve_one


@pytest.fixture(params=RATES.values(), ids=RATES.keys())
def rate(request: pytest.FixtureRequest) -> int:
    """New connections a second."""
    number: int = request.param
    return number


def break_application(folder: Path) -> None:
    (folder / "shop.py").write_text("1 / 0\n")


def mend_application(folder: Path) -> None:
    (folder / "shop.py").write_text(APPLICATION)
