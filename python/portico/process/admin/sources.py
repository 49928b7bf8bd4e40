"""What the admin process reads without asking: the supervisor says where it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core


class Sources:
    """The workers' scoreboard, and the directory that prometheus_client writes to; empty if there is none."""

    __slots__ = ("metrics_directory", "scoreboard")

    def __init__(self, scoreboard: _core.Scoreboard, metrics_directory: str) -> None:
        self.scoreboard = scoreboard
        self.metrics_directory = metrics_directory
