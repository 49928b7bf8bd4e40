"""How long a server takes from its command to its first response, and what `import portico` costs."""

from __future__ import annotations

import http.client
import statistics
import subprocess
import time

from cases import Case
from running import Running, ServerFailed
from servers import PORTICO

FIRST_S = 15
IMPORTS = 20
"""Pairs of interpreters, with the import and without it."""


def measured(case: Case, running: Running) -> dict[str, float]:
    """Ask at once, and return the milliseconds since the server's command was run."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=FIRST_S)
    try:
        connection.request("GET", case.path)
        response = connection.getresponse()
        received = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"gave no valid response: {error!r}") from error
    finally:
        connection.close()
    first_ms = (time.monotonic() - running.started_at_s) * 1e3
    if (response.status, received) != (200, case.expected):
        raise ServerFailed(f"responded with {response.status} {received[:40]!r}")
    return {"first_ms": first_ms}


def import_ms() -> float:
    """Milliseconds that `import portico` takes beyond an interpreter that imports nothing; the median."""
    pairs = [(_interpreter_ms("import portico"), _interpreter_ms("pass")) for _ in range(IMPORTS)]
    return statistics.median(with_import - without for with_import, without in pairs)


def _interpreter_ms(program: str) -> float:
    before = time.monotonic()
    subprocess.run([str(PORTICO.with_name("python")), "-c", program], check=True)
    return (time.monotonic() - before) * 1e3
