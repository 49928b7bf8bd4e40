"""What a server has said at one moment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico.ctl.connection import ask
from portico.ctl.pools import with_pools

# The supervisor responds at once unless the machine is overloaded.
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The results of the verbs `status`, `workers` and `requests`; `at_s` is on this process's clock.

    With pools, theirs are among them (`portico.ctl.pools`).
    """

    at_s: float
    status: Mapping[str, Any]
    workers: Sequence[Mapping[str, Any]]
    requests: Sequence[Mapping[str, Any]]


def take_sample(path: str) -> Sample:
    """Ask the server whose control socket is at `path`. Raises OperatorError."""
    status = ask(path, "status", timeout_s=PATIENCE_S, durations=True)
    workers = ask(path, "workers", timeout_s=PATIENCE_S, durations=True)
    at_s = time.monotonic()
    requests = ask(path, "requests", timeout_s=PATIENCE_S)
    if status.get("pools"):
        with_pools(path, "status", status)
        with_pools(path, "workers", workers, durations=True)
        with_pools(path, "requests", requests)
    return Sample(at_s, status, workers["workers"], requests["requests"])
