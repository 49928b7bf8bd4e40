"""Why a verb is not done, or has failed."""

from __future__ import annotations


class VerbError(Exception):
    """`code` is for programs: bad-request, rejected, busy, failed or forbidden; `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
