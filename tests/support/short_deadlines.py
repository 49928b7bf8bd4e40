"""Short deadlines for tests of slow peers, and how such a peer ended."""

from __future__ import annotations

from dataclasses import dataclass

LATE_S = 0.5
REQUEST_S = 2.0
STEP_S = 0.1
"""Between two bytes of a slow peer: it is never silent for long."""
SOON_S = 6.0
"""Much sooner than a slow peer would be done, and late enough for a loaded machine."""

SHORT_DEADLINES = [
    *("--handshake-timeout", "500ms", "--head-timeout", "500ms", "--body-timeout", "500ms"),
    *("--request-timeout", "2s", "--keep-alive", "500ms", "--write-timeout", "500ms"),
    *("--linger-timeout", "500ms", "--min-body-rate", "1000", "--min-response-rate", "1000"),
]


@dataclass(frozen=True)
class Ended:
    """How a peer ended: the statuses that it got, and when the server had done with it."""

    statuses: list[int]
    after_s: float

    def is_late(self, deadline_s: float = LATE_S) -> bool:
        """Whether the end came when it was due: not before the deadline, and soon after it."""
        return deadline_s * 0.9 <= self.after_s < deadline_s + SOON_S
