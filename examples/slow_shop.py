"""A shop that is slow in four ways, one for each of its pages: `portico run slow_shop --threads 8`.

docs/observability.md finds out why, with every view that portico has, as if nobody had read this file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from portico.types import Environ, StartResponse

_WAREHOUSE_S = 0.15
_SAVING_S = 0.05
_PICTURE = [b"picture of a shoe " * 4000] * 128
_basket_lock = threading.Lock()


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    page = _PAGES.get(environ["PATH_INFO"], start_page)
    environ["portico.route"] = environ["PATH_INFO"]
    blocks = page()
    length = sum(len(block) for block in blocks)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(length))])
    return blocks


def start_page() -> list[bytes]:
    return [b"Shoes. /prices /stock /basket /picture\n"]


def prices() -> list[bytes]:
    """Computes: all prices, each time."""
    return [f"{sum(price_with_discounts(shoe) for shoe in range(200))}\n".encode()]


def price_with_discounts(shoe: int) -> float:
    price = 100.0 + shoe
    for day in range(2000):
        price -= price * 0.0001 * (day % 7)
    return price


def stock() -> list[bytes]:
    """Waits: for another service."""
    return [ask_the_warehouse()]


def ask_the_warehouse() -> bytes:
    time.sleep(_WAREHOUSE_S)
    return b"12 pairs\n"


def basket() -> list[bytes]:
    """Waits: for whoever else is in the lock."""
    with _basket_lock:
        save_the_basket()
    return [b"saved\n"]


def save_the_basket() -> None:
    time.sleep(_SAVING_S)


def picture() -> list[bytes]:
    """Is large: a slow client takes long, and the call with it, beyond what `response_spool` keeps."""
    return _PICTURE


_PAGES: dict[str, Callable[[], list[bytes]]] = {
    "/prices": prices,
    "/stock": stock,
    "/basket": basket,
    "/picture": picture,
}
