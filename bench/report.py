"""Turns outcomes into Markdown: the tables of each case, and RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterator

import bars
from cases import CASES, LOG_OFF, Case
from results import Line, Outcome
from servers import BENCH, Role

RESULTS = BENCH / "RESULTS.md"
REMARKS = BENCH / "REMARKS.md"
"""Written by hand: what is left of a missed bar, and why. Copied under the bars."""

HEADINGS = {
    "cpu_us": "CPU us/request",
    "rps": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "pss_mb": "PSS MB",
    "late_ms": "latest block ms",
    "latest_ms": "worst ms",
    "fast_rps": "fast requests/s",
    "slow_rps": "slow requests/s",
    "fast_p99_ms": "fast p99 ms",
    "slow_p50_ms": "slow p50 ms",
    "slow_p99_ms": "slow p99 ms",
    "kb_per_connection": "PSS KB/connection",
    "kept": "connections kept",
    "first_ms": "first response ms",
    "saved_ms": "save to response ms",
    "unasked_ms": "save to reload ms",
    "import_ms": "import ms",
}
WITH_RATIO = {"cpu_us", "rps", "fast_rps", "pss_mb", "kb_per_connection", "first_ms"}
MORE_IS_BETTER = {"rps", "fast_rps", "slow_rps", "kept"}
WHOLE_NUMBERS = {"rps", "fast_rps", "slow_rps", "kept"}


def table(case: Case, outcome: Outcome) -> str:
    """One case's table; ratios in parentheses, the best peer = 1.00."""
    first = case.columns[0]
    best = {column: _best(outcome.peers(), column) for column in case.columns}
    good = [line for line in outcome.lines if first in line.metrics]
    good.sort(key=lambda line: line.metrics[first], reverse=first in MORE_IS_BETTER)
    good.sort(key=lambda line: line.role != Role.LIMIT.value)
    rows = [["server", *(HEADINGS[column] for column in case.columns), "remarks"]]
    for line in good:
        name = f"**{line.label}**" if line.role == Role.PORTICO.value else line.label
        cells = [_cell(line, column, best[column]) for column in case.columns]
        rows.append([name, *cells, "; ".join(_remarks(case, outcome, line))])
    for line in outcome.lines:
        if first not in line.metrics:
            rows.append([line.label, *("-" for _ in case.columns), "; ".join(line.problems)])
    return "\n".join(_aligned(rows))


def bars_table(verdicts: list[bars.Verdict]) -> str:
    """Each bar beside what was measured."""
    words = {True: "held", False: "**missed**", None: "-"}
    rows = [["case", "bar", "measured", ""]]
    rows += [[one.case, one.text, one.measured, words[one.held]] for one in verdicts]
    return "\n".join(_aligned(rows))


def document(outcomes: dict[str, Outcome], machine: dict[str, str]) -> str:
    """RESULTS.md."""
    parts = ["# Results", "Written by `bench/compare.py`; README.md beside this file says how to read it."]
    newest = max((outcome.date for outcome in outcomes.values()), default="never")
    parts.append("\n".join([f"* date: {newest}", *(f"* {name}: {value}" for name, value in machine.items())]))
    parts += ["## BARS", bars_table(bars.verdicts(outcomes))]
    if REMARKS.exists():
        parts.append(REMARKS.read_text().strip())
    for case in CASES:
        outcome = outcomes.get(case.name)
        if outcome is not None:
            parts += [f"## {case.name}", heading(case, outcome), table(case, outcome)]
    return "\n\n".join(parts) + "\n"


def heading(case: Case, outcome: Outcome) -> str:
    """What was measured, when and for how long."""
    is_timed = case.kind.value not in ("idle", "start", "save")
    length = f"{outcome.rounds} x {outcome.seconds} s" if is_timed else f"{outcome.rounds} x"
    return f"{case.title}. {length}, {outcome.date}, commit {outcome.commit}."


def _best(peers: list[Line], column: str) -> float | None:
    values = [line.metrics[column] for line in peers if column in line.metrics]
    if not values or column not in WITH_RATIO:
        return None
    return max(values) if column in MORE_IS_BETTER else min(values)


def _cell(line: Line, column: str, best: float | None) -> str:
    value = line.metrics.get(column)
    if value is None:
        return "-"
    text = f"{value:.0f}" if column in WHOLE_NUMBERS else f"{value:.2f}"
    return f"{text} ({value / best:.2f})" if best else text


def _remarks(case: Case, outcome: Outcome, line: Line) -> Iterator[str]:
    without = outcome.line(f"{line.label.partition(',')[0]}{LOG_OFF}")
    if without is not None and without is not line:
        yield f"{line.metrics['cpu_us'] - without.metrics['cpu_us']:+.2f} us for that"
    asked_to = "Connection: close" in case.headers
    if line.metrics.get("keeps_alive") == 0 and not asked_to and line.role == Role.PEER.value:
        yield "closes each connection"
    yield from line.problems


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
