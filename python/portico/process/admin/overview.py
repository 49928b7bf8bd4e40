"""What the supervisor tells the dashboard beside figures: the reports of the control socket, bounded.

Runs in the supervisor, and is imported when somebody looks at the dashboard for the first time. The process
that asks has what workers have, no more: it can ask for what is told here, and change nothing. A verb that
takes its time is asked for again and again by that process, and given up once it is not.
"""

from __future__ import annotations

from portico.process.admin.question import BEGIN, OUTCOME
from portico.process.control import PROTOCOL
from portico.process.control.json_lines import read_line
from portico.process.control.verb_error import VerbError
from portico.process.control.verbs import VERBS, begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.control.subject import Subject
    from portico.process.control.verbs import Outcome

_REPORTS = ("status", "workers", "requests", "slow", "errors")
"""Verbs that tell, without parameters; one that this version does not have is left out."""
_PROFILE = "profile"
_PROFILE_PARAMETERS = ("seconds", "route", "worker")

_MOST_ROWS = {"requests": 50, "lines": 50, "recent": 20, "errors": 30}
"""Of lists in reports, the first so many are told: the longest, or the latest."""
_MOST_STACK_LINES = 60
# Nobody asks for the outcome of a profile any more.
_GIVEN_UP_AFTER_S = 10.0


class Overview:
    """What one admin process is told, with the profile that it has begun."""

    __slots__ = ("_asked_at_s", "_outcome", "_subject")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._outcome: Outcome | None = None
        self._asked_at_s = 0.0

    def tell(self, about: int, line: bytes, now_s: float) -> dict[str, Any]:
        """Return the reply to a question about that (`question.py`), in plain values."""
        if about == BEGIN:
            return self._begin(line, now_s)
        if about == OUTCOME:
            return self._come_to(now_s)
        return reports(self._subject, now_s)

    def _begin(self, line: bytes, now_s: float) -> dict[str, Any]:
        """Begin the profile that `line` asks for, unless another one is made."""
        if self._outcome is not None and now_s < self._asked_at_s + _GIVEN_UP_AFTER_S:
            return _failure("rejected", "another profile is being made")
        self._outcome = None
        if _PROFILE not in VERBS:
            return _failure("bad-request", "this version makes no profiles")
        try:
            request = read_line(line)
        except ValueError:
            return _failure("bad-request", "expected a flat object of JSON in a line")
        wanted = {name: request[name] for name in _PROFILE_PARAMETERS if name in request}
        try:
            begun = begin(self._subject, {"protocol": PROTOCOL, "verb": _PROFILE, **wanted}, now_s)
        except VerbError as error:
            return _failure(error.code, error.message)
        if not callable(begun):
            return {"result": begun}
        self._outcome = begun
        return self._come_to(now_s)

    def _come_to(self, now_s: float) -> dict[str, Any]:
        if self._outcome is None:
            return _failure("rejected", "no profile is being made")
        self._asked_at_s = now_s
        try:
            result = self._outcome()
        except VerbError as error:
            self._outcome = None
            return _failure(error.code, error.message)
        if result is None:
            return {}
        self._outcome = None
        return {"result": result}


def reports(subject: Subject, now_s: float) -> dict[str, Any]:
    """Return what a dashboard shows of one supervisor."""
    found: dict[str, Any] = {"has_profile": _PROFILE in VERBS}
    for name in _REPORTS:
        if name in VERBS:
            try:
                result = begin(subject, {"protocol": PROTOCOL, "verb": name}, now_s)
            except VerbError as error:
                found[name] = {"not_recorded": error.message}
            else:
                assert not callable(result), "these verbs tell at once"
                found[name] = _bounded(result)
    return found


def _bounded(report: dict[str, Any]) -> dict[str, Any]:
    bounded = {
        name: rows[: _MOST_ROWS.get(name)] if isinstance(rows, list) else rows
        for name, rows in report.items()
    }
    if "recent" in bounded:
        # Those in the report may be the verb's own.
        bounded["recent"] = [{**row, "stack": row["stack"][:_MOST_STACK_LINES]} for row in bounded["recent"]]
    return bounded


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"error": code, "message": message}
