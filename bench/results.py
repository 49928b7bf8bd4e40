"""The figures of a case: medians over its rounds, kept between runs so that one case can be repeated."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field

from drive import Round
from servers import CACHE, Role

STORE = CACHE / "results.json"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: medians, and what went wrong."""

    label: str
    role: str
    metrics: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One table, and when and how it was measured."""

    case: str
    date: str
    commit: str
    rounds: int
    seconds: int
    lines: list[Line]

    def line(self, label: str) -> Line | None:
        """The row with this label, if it was measured."""
        return next((line for line in self.lines if line.label == label and line.metrics), None)

    def peers(self) -> list[Line]:
        """The measured rows a bar can be compared with."""
        return [line for line in self.lines if line.role == Role.PEER.value and line.metrics]


def medians(label: str, role: Role, rounds: list[Round]) -> Line:
    """Merge the rounds of one row."""
    names = {name for one in rounds for name in one.metrics}
    metrics = {
        name: statistics.median(one.metrics[name] for one in rounds if name in one.metrics)
        for name in sorted(names)
    }
    words = Counter(problem for one in rounds for problem in one.problems)
    problems = [f"{problem} ({count} rounds)" if count > 1 else problem for problem, count in words.items()]
    errors = sum((Counter(one.errors) for one in rounds), Counter[str]())
    problems += [f"{count} {error} in all" for error, count in errors.items()]
    return Line(label, role.value, metrics, problems)


def load() -> dict[str, Outcome]:
    """The outcomes of earlier runs on this checkout, by case."""
    try:
        stored = json.loads(STORE.read_text())
    except (OSError, ValueError):
        return {}
    return {
        case: Outcome(**{**outcome, "lines": [Line(**line) for line in outcome["lines"]]})
        for case, outcome in stored.items()
    }


def save(outcomes: dict[str, Outcome]) -> None:
    """Keep outcomes for the next run."""
    CACHE.mkdir(exist_ok=True)
    STORE.write_text(json.dumps({case: asdict(outcome) for case, outcome in outcomes.items()}, indent=1))
