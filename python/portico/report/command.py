"""What `portico report` does: logs in, a report out. Reads no settings and asks no server."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from portico.errors import OperatorError, quoted
from portico.report.comparison import Comparison, compare, cost_ns
from portico.report.figures import Figures, figures
from portico.report.formats import named
from portico.report.page import as_page
from portico.report.reading import STANDARD_STREAM, Log, open_logs, raise_if_none_was_read, same_file
from portico.report.tally import Tally
from portico.report.text import as_text


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. A file that is `-` is standard output."""

    logs: Sequence[str]
    before: Sequence[str]
    format: str | None
    before_format: str | None
    by: str
    top: int
    html: str | None
    json: str | None


def report(wishes: Wishes) -> None:
    """Make the report; raises OperatorError."""
    for output in filter(None, (wishes.html, wishes.json)):
        if any(same_file(output, log) for log in (*wishes.logs, *wishes.before)):
            raise OperatorError(
                f"{quoted(output)} is the log that is read; expected another file for the report"
            )
    if [*wishes.logs, *wishes.before].count(STANDARD_STREAM) > 1:
        raise OperatorError("standard input, -, can be read once; expected a file for the other log")
    wanted = named(wishes.format) if wishes.format else None
    before_wanted = named(wishes.before_format) if wishes.before_format else None
    with open_logs(wishes.logs, wanted) as logs, open_logs(wishes.before, before_wanted) as before_logs:
        both_have_routes = all(any(log.has_routes for log in each) for each in (logs, before_logs))
        # Routes of a framework are no paths: a log that has them is compared by path with one that has none.
        by_path = wishes.by == "path" or (bool(before_logs) and not both_have_routes)
        now = _read(logs, by_path=by_path)
        comparison = compare(_read(before_logs, by_path=by_path), now) if before_logs else None
    if wishes.html:
        _write(wishes.html, as_page(now, comparison, top=max(wishes.top, 100)))
    if wishes.json:
        _write(wishes.json, as_json(now, comparison))
    if STANDARD_STREAM not in (wishes.html, wishes.json):
        _write(STANDARD_STREAM, as_text(now, comparison, top=wishes.top))


def as_json(now: Figures, comparison: Comparison | None) -> str:
    """Return the figures as an object of JSON; names say whether times are in nanoseconds or seconds."""
    values = asdict(now)
    if comparison is not None:
        values["before"] = asdict(comparison.before)
        values["changes"] = [
            {**asdict(change), "cost_ns": round(cost_ns(change))} for change in comparison.changes
        ]
        values["new_causes"] = list(comparison.new_causes)
    return json.dumps(values, indent=2) + "\n"


def _read(logs: Sequence[Log], *, by_path: bool) -> Figures:
    tally = Tally(by_path=by_path)
    for log in logs:
        tally.add_all(log.records())
    raise_if_none_was_read(logs)
    return figures(tally, logs)


def _write(path: str, text: str) -> None:
    if path == STANDARD_STREAM:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()
        return
    try:
        # Beside it, so that a report that is looked at is a whole one.
        folder = os.path.dirname(os.path.abspath(path))
        if os.path.exists(path) and not os.path.isfile(path):
            # A pipe or a device.
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            return
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            whole = os.path.join(beside, "report")
            with open(whole, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(whole, path)
    except OSError as error:
        raise OperatorError(f"cannot write {quoted(path)}: {error.strerror}") from None
