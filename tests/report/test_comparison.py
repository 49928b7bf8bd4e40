"""What is said to have changed between two logs, and what is not."""

from __future__ import annotations

import random

import pytest
from portico.report.comparison import Comparison, compare, cost_ns
from portico.report.figures import figures
from portico.report.formats import FORMATS
from portico.report.tally import Tally

from .made import json_line


def log(
    *, seed: int = 0, count: int = 2000, factor: float = 1.0, errors: float = 0.0, path: str = "/a"
) -> list[str]:
    """Requests of one route within a hundred seconds."""
    numbers = random.Random(seed)
    return [
        json_line(
            path=path,
            at_s=100 * n / count,
            total_ns=int(factor * numbers.lognormvariate(15, 0.5)),
            status=500 if numbers.random() < errors else 200,
        )
        for n in range(count)
    ]


def compared(before: list[str], after: list[str]) -> Comparison:
    made = []
    for lines in (before, after):
        tally = Tally(by_path=True)
        tally.add_all(FORMATS["json"].read(line) for line in lines)
        made.append(figures(tally, []))
    return compare(*made)


def kinds(before: list[str], after: list[str]) -> dict[str, tuple[str, ...]]:
    return {change.either.route.text: change.kinds for change in compared(before, after).changes}


@pytest.mark.parametrize("seed", range(1, 20))
def test_chance_is_no_change(seed: int) -> None:
    assert kinds(log(seed=0, errors=0.01), log(seed=seed, errors=0.01)) == {}


@pytest.mark.parametrize("seed", range(1, 20))
def test_chance_among_few_requests_is_no_change(seed: int) -> None:
    assert kinds(log(seed=0, count=30), log(seed=seed, count=30)) == {}


def test_little_is_no_change_however_sure_it_is() -> None:
    before, after = log(count=20_000), log(count=20_000, factor=1.06)
    comparison = compared(before, after)
    one, two = comparison.before.all.durations.p50, comparison.after.all.durations.p50
    assert one.high_ns is not None
    assert two.low_ns is not None
    assert two.low_ns > one.high_ns
    assert comparison.changes == []


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.3, ("slower (p50)", "slower (p99)")),
        (0.7, ("faster (p50)", "faster (p99)")),
        (2, ("slower (p50)", "slower (p99)", "more time")),
        (0.4, ("faster (p50)", "faster (p99)", "less time")),
        (1.05, ()),
    ],
)
def test_slower_and_faster(factor: float, expected: tuple[str, ...]) -> None:
    found = kinds(log(), log(seed=1, factor=factor))
    assert found.get("/a", ()) == expected


def test_too_few_requests_say_nothing() -> None:
    assert kinds(log(count=4), log(count=4, factor=10)) == {}


def test_few_requests_say_something_of_the_median_only() -> None:
    assert kinds(log(count=40), log(count=40, factor=1.9)) == {"/a": ("slower (p50)", "more time")}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (0, 0.02, "new errors"),
        (0.01, 0.05, "more errors"),
        (0.05, 0.01, "fewer errors"),
        (0.02, 0, "no more errors"),
    ],
)
def test_errors(before: float, after: float, kind: str) -> None:
    assert kinds(log(errors=before), log(errors=after)) == {"/a": (kind,)}


def test_one_error_is_chance() -> None:
    assert kinds(log(), [*log(count=1999), json_line(path="/a", status=500, total_ns=3_000_000)]) == {}


def test_routes_that_are_gone_and_new() -> None:
    rare = [json_line(path="/rare")]
    found = kinds(log(path="/old") + rare, log(path="/new") + log(path="/a"))
    assert found == {"/old": ("gone",), "/new": ("new",), "/a": ("new",)}


def test_changes_are_in_the_order_of_their_cost() -> None:
    before = log(path="/little", count=200) + log(path="/much")
    after = log(path="/little", count=200, factor=3) + log(path="/much", factor=3)
    changes = compared(before, after).changes
    assert [change.either.route.text for change in changes] == ["/much", "/little"]
    assert cost_ns(changes[0]) > cost_ns(changes[1]) > 0


def test_new_causes_are_named() -> None:
    killed = json_line(status=0, **{"portico_cause": "killed:oom"})
    assert compared(log(), [*log(), killed]).new_causes == ["killed:oom"]


def test_less_than_both_logs_tell_apart_is_no_change() -> None:
    def coarse(total_ms: int) -> Tally:
        tally = Tally(by_path=True)
        line = f"01:46:07 GET / 200 5 {total_ms} ms"
        tally.add_all(FORMATS["short"].read(line) for _ in range(2000))
        return tally

    comparison = compare(figures(coarse(1), []), figures(coarse(2), []))
    assert comparison.changes == []
    assert compare(figures(coarse(1), []), figures(coarse(3), [])).changes != []
