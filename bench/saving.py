"""How long after a save `portico dev` responds with the new code; and has loaded it where nobody asks."""

from __future__ import annotations

import http.client
import statistics
import time

from running import Running, ServerFailed
from saved import FIRST, save

SAVES = 10
RELOAD_S = 15
LOOK_S = 0.001
"""Between two looks whether it has reloaded."""
REST_S = 0.3
"""After a save, so that the next finds a server that has nothing to do."""
RELOADED = "reloaded in "


def measured(running: Running) -> dict[str, float]:
    """The medians of `SAVES` saves that are followed by a request, and of as many that are not."""
    _expect(running, FIRST)
    saved_ms, unasked_ms = [], []
    for number in range(FIRST + 1, FIRST + 1 + 2 * SAVES):
        is_asked = number % 2
        reloads = _reloads(running)
        time.sleep(REST_S)
        began_s = time.monotonic()
        save(running.folder, number)
        if is_asked:
            _expect(running, number)
        else:
            _wait_for_reload(running, reloads)
        took_ms = (time.monotonic() - began_s) * 1e3
        (saved_ms if is_asked else unasked_ms).append(took_ms)
        _expect(running, number)
    return {"saved_ms": statistics.median(saved_ms), "unasked_ms": statistics.median(unasked_ms)}


def _expect(running: Running, number: int) -> None:
    """Ask, and take no other response than that of the code with `number`."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=RELOAD_S)
    try:
        connection.request("GET", "/")
        received = connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"gave no valid response: {error!r}") from error
    finally:
        connection.close()
    if received != str(number).encode():
        raise ServerFailed(f"responded with {received[:40]!r} after the save of {number}")


def _wait_for_reload(running: Running, before: int) -> None:
    deadline_s = time.monotonic() + RELOAD_S
    while _reloads(running) == before:
        if time.monotonic() > deadline_s:
            raise ServerFailed(f"did not reload within {RELOAD_S} s")
        time.sleep(LOOK_S)


def _reloads(running: Running) -> int:
    return (running.folder / "errors").read_text(errors="replace").count(RELOADED)
