"""What is kept of a log, and that it has a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portico.report.formats import FORMATS
from portico.report.record import Record
from portico.report.routes import LONGEST, general
from portico.report.tally import MAX_CAUSES, MAX_INTERVALS, SLOWEST, Route, Tally, parts_of

from .made import json_line


def tally_of(*lines: str, by_path: bool = False, max_routes: int = 500) -> Tally:
    tally = Tally(by_path=by_path, max_routes=max_routes)
    tally.add_all(FORMATS["json"].read(line) for line in lines)
    return tally


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/order/4711", "/order/<n>"),
        ("/order/4711/item/-2.5/", "/order/<n>/item/<n>/"),
        ("/v1/users", "/v1/users"),
        ("/file/123e4567-e89b-12d3-a456-426614174000", "/file/<uuid>"),
        ("/blob/da39a3ee5e6b4b0d3255bfef95601890afd80709", "/blob/<hex>"),
        ("/doc/507f1f77bcf86cd799439011.pdf", "/doc/507f1f77bcf86cd799439011.pdf"),
        ("/defacedfacade", "/defacedfacade"),
        ("/search?q=4711", "/search"),
        ("https://shop.example/order/7?a=b", "/order/<n>"),
        ("*", "*"),
        ("-", "-"),
        ("/" + "a" * 9999, "/" + "a" * (LONGEST - 1) + "..."),
    ],
)
def test_path_is_made_general(path: str, route: str) -> None:
    assert general(path) == route


def test_route_is_the_frameworks_where_there_is_one() -> None:
    tally = tally_of(json_line(path="/order/1", route="/order/<int:n>"), json_line(path="/order/1"))
    assert set(tally.routes) == {Route("GET", "/order/<int:n>", True), Route("GET", "/order/<n>", False)}


def test_by_path_the_frameworks_routes_do_not_count() -> None:
    tally = tally_of(json_line(path="/order/1", route="/order/<int:n>"), by_path=True)
    assert set(tally.routes) == {Route("GET", "/order/<n>", False)}


def test_too_many_routes_are_put_together_and_none_is_lost() -> None:
    heavy = [json_line(path="/heavy", total_ns=10**9) for _ in range(50)]
    light = [json_line(path=f"/light{chr(97 + n % 26)}{n}x", total_ns=1000) for n in range(5000)]
    tally = tally_of(*[line for pair in zip(heavy * 100, light, strict=True) for line in pair], max_routes=10)
    tally.fold()
    assert len(tally.routes) == 10
    assert tally.routes[Route("GET", "/heavy", False)].requests == 5000
    assert sum(each.requests for each in tally.routes.values()) + tally.others.requests == 10_000
    assert tally.all.requests == 10_000


def test_kept_is_bounded() -> None:
    tally = tally_of(
        *(
            json_line(
                path=f"/x{n}y", at_s=n * n, status=n % 1000, total_ns=n, **{"portico_cause": f"cause {n}"}
            )
            for n in range(3000)
        ),
        max_routes=10,
    )
    assert len(tally.routes) <= 20
    assert len(tally.causes) == MAX_CAUSES + 1
    assert len(tally.intervals) <= MAX_INTERVALS
    assert [slow.total_ns for slow in tally.slowest] == [2999 - n for n in range(SLOWEST)]


@given(st.lists(st.integers(0, 10**7), min_size=1))
def test_intervals_have_all_requests_in_any_order(moments: list[int]) -> None:
    tally = tally_of(*(json_line(at_s=moment) for moment in moments))
    assert len(tally.intervals) <= MAX_INTERVALS
    assert sum(requests for requests, _ in tally.intervals.values()) == len(moments)
    assert tally.last_s is not None
    assert tally.first_s is not None
    assert tally.last_s - tally.first_s == max(moments) - min(moments)


@pytest.mark.parametrize(
    ("status", "is_error"), [(0, True), (200, False), (404, False), (499, False), (500, True), (504, True)]
)
def test_errors_are_those_that_the_server_is_to_blame_for(status: int, is_error: bool) -> None:
    assert tally_of(json_line(status=status)).all.errors == is_error


def record(**times_ns: int) -> Record:
    made = Record()
    for name, value in times_ns.items():
        setattr(made, f"{name}_ns", value)
    return made


@pytest.mark.parametrize(
    ("times_ns", "parts_ns"),
    [
        pytest.param(
            {"total": 100, "queue": 10, "lock": 5, "app": 60, "cpu": 30, "client": 20},
            [10, 5, 30, 30, 0, 20, 5],
            id="all",
        ),
        pytest.param(
            {"total": 100, "queue": 10, "lock": 5, "app": 60, "client": 20},
            [10, 5, 0, 0, 60, 20, 5],
            id="without CPU",
        ),
        pytest.param({"total": 100, "app": 500, "cpu": 900}, [0, 0, 100, 0, 0, 0, 0], id="more than all"),
        pytest.param({"total": 100}, [0, 0, 0, 0, 0, 0, 100], id="none"),
    ],
)
def test_parts_add_up(times_ns: dict[str, int], parts_ns: list[int]) -> None:
    assert parts_of(record(**times_ns)) == parts_ns
