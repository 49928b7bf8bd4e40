"""What one line of an access log says of one request, in whatever format it was."""

from __future__ import annotations


class UnreadableError(Exception):
    """A line is not what it has to be; `expected` says what that is."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


class Record:
    """One request. What the line does not say is None; texts are the client's, and not to be believed.

    `resolution_ns` is the unit of the last digit that `total_ns` was written with.
    """

    __slots__ = (
        "app_ns",
        "body_bytes",
        "cause",
        "client_ns",
        "cpu_ns",
        "ended_s",
        "lock_ns",
        "method",
        "path",
        "queue_ns",
        "resolution_ns",
        "route",
        "status",
        "total_ns",
    )

    def __init__(self) -> None:
        self.status = 0
        self.resolution_ns = 1
        self.ended_s: float | None = None
        self.method: str | None = None
        self.path: str | None = None
        self.route: str | None = None
        self.cause: str | None = None
        self.body_bytes: int | None = None
        self.total_ns: int | None = None
        self.queue_ns: int | None = None
        self.lock_ns: int | None = None
        self.app_ns: int | None = None
        self.cpu_ns: int | None = None
        self.client_ns: int | None = None
