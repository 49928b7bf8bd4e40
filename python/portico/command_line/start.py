"""What `portico run` does once its command line is read: settings, their checks, the last step."""

from __future__ import annotations

import time

from portico import log
from portico.command_line.given import read_settings, remarks
from portico.config.check import check
from portico.process.launch import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STARTED_AT_S = time.monotonic()


def start(values: dict[str, Any]) -> None:
    """Serve as `values`, by parameter, ask for; does not return. Raises OperatorError."""
    settings = read_settings(values)
    for sentence in remarks(settings):
        log.say(sentence)
    check(settings)
    launch(settings, started_at_s=_STARTED_AT_S)
