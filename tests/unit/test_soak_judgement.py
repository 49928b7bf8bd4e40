"""Whose fault a missing response is, slopes, and the verdicts of a soak's record."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "soak"))

import verdicts as soak_verdicts
from judgement import (
    BY_MOMENT,
    BY_WORKER,
    LOST,
    Kill,
    Sample,
    after_warm_up,
    at_age,
    blame,
    halves,
    slope_kib_per_minute,
)
from record import SoakRecord
from results_page import written

KILLS = [Kill(pid=10, sent_s=100.0, gone_s=100.01, ready_s=100.2)]
MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("began_s", "ended_s", "worker", "expected"),
    [
        pytest.param(99.9, 100.02, 10, BY_WORKER, id="in-the-killed-worker"),
        pytest.param(103.0, 103.1, 10, BY_WORKER, id="kept-connection-of-the-killed-worker"),
        pytest.param(98.0, 99.0, 10, LOST, id="before-its-worker-was-killed"),
        pytest.param(99.9, 100.02, 11, LOST, id="in-another-worker-at-the-moment-of-a-kill"),
        pytest.param(99.9, 100.02, None, BY_MOMENT, id="new-connection-under-way-at-a-kill"),
        pytest.param(100.005, 101.9, None, BY_MOMENT, id="new-connection-noticed-late"),
        pytest.param(100.5, 100.6, None, LOST, id="new-connection-after-a-kill"),
        pytest.param(99.0, 99.9, None, LOST, id="new-connection-before-a-kill"),
        pytest.param(99.9, 115.0, None, LOST, id="new-connection-that-waited-for-ever"),
    ],
)
def test_blames_a_missing_response(began_s: float, ended_s: float, worker: int | None, expected: str) -> None:
    assert blame(began_s=began_s, ended_s=ended_s, worker=worker, kills=KILLS) == expected


def test_slope_of_a_line_is_exact() -> None:
    points = [(second, 5e6 + second * 2048) for second in range(0, 600, 7)]
    assert slope_kib_per_minute(points) == pytest.approx(120.0)


@pytest.mark.parametrize(
    "points", [[], [(1.0, 5.0)], [(1.0, 5.0), (1.0, 9.0)]], ids=["none", "one", "one-time"]
)
def test_slope_of_too_little_is_none(points: list[tuple[float, float]]) -> None:
    assert slope_kib_per_minute(points) == 0.0


def test_ages_count_from_the_first_sample() -> None:
    samples = [Sample(50.0 + second, 1, second, 0, 0) for second in range(10)]
    assert after_warm_up(samples, 7) == samples[7:]
    assert at_age(samples, 4.5) == samples[5]
    assert at_age(samples, 20) is None


def test_halves_compare_early_with_late() -> None:
    assert halves([1, 2, 3, 10, 11, 12]) == (2, 11)
    assert halves([1, 2, 3]) is None


def fine_record() -> SoakRecord:
    """Fifteen minutes in which all went well; worker 2 was spared, 20 others came and went."""
    record = SoakRecord(seconds=900, options="", began_s=1000.0, ended_s=1900.0, supervisor=1, spared=2)
    for pid in (1, 2):
        record.samples[pid] = [Sample(float(s), pid, 20 * MEBIBYTE, 9 * MEBIBYTE, 8) for s in range(900)]
    for pid in range(3, 23):
        record.samples[pid] = [Sample(pid * 30.0 + s, pid, 20 * MEBIBYTE, 9 * MEBIBYTE, 8) for s in range(30)]
    record.kills = [
        Kill(pid, 1000 + pid * 30 + 30, 1000 + pid * 30 + 30.01, 1031.0 + pid * 30) for pid in (3, 4)
    ]
    record.descriptors_before = record.descriptors_after = {"supervisor": 8, "worker": 11}
    record.stopped_in_s = 0.1
    record.honest = {"requests": 5000, "missing_count": 0, "missing": [], "wrong_count": 0}
    return record


def failed(record: SoakRecord) -> list[str]:
    return [verdict.what for verdict in soak_verdicts.verdicts(record) if verdict.held is False]


def test_a_run_in_which_all_went_well_holds_every_bar() -> None:
    assert [verdict.held for verdict in soak_verdicts.verdicts(fine_record())] == [True] * 11
    page, picture, is_fine = written(fine_record())
    assert is_fine
    assert "**Everything held.**" in page
    assert picture.count("<polyline") == 2 * 22


MISSING: dict[str, Any] = {
    "began_s": 1500.0,
    "ended_s": 1500.1,
    "route": "fast",
    "error": "Closed: closed",
    "worker": 2,
    "first_on_connection": False,
    "response_begun": False,
}


def test_a_lost_response_is_a_failure_and_is_shown() -> None:
    record = fine_record()
    record.honest |= {"missing_count": 1, "missing": [MISSING]}
    page, _, is_fine = written(record)
    assert (failed(record), is_fine) == (["responses lost"], False)
    assert "* lost: Closed: closed (fast): 1" in page


def test_missing_responses_that_were_not_recorded_count_as_lost() -> None:
    record = fine_record()
    in_flight = MISSING | {"worker": 3, "began_s": 1120.0, "ended_s": 1120.1}
    record.honest |= {"missing_count": 2, "missing": [in_flight]}
    assert failed(record) == ["responses lost"]


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        pytest.param("panics", 1, "panics of the engine", id="panic"),
        pytest.param("stopped_in_s", None, "stops at TERM with code 0", id="does-not-stop"),
        pytest.param(
            "descriptors_after",
            {"supervisor": 8, "worker": 12},
            "descriptors of the worker afterwards",
            id="descriptor",
        ),
        pytest.param(
            "kills", [replace(KILLS[0], ready_s=None)], "killed workers replaced", id="not-replaced"
        ),
        pytest.param("honest", {"requests": 0}, "honest requests", id="nothing-asked"),
    ],
)
def test_each_bar_can_be_missed(field: str, value: object, what: str) -> None:
    record = fine_record()
    setattr(record, field, value)
    assert failed(record) == [what]


def test_a_worker_that_grows_is_a_failure() -> None:
    record = fine_record()
    # 200 KiB per minute.
    record.samples[2] = [replace(s, rss_bytes=s.rss_bytes + int(s.at_s * 3413)) for s in record.samples[2]]
    assert failed(record) == ["RSS slope of the worker that was spared"]


def test_workers_that_are_born_heavier_are_a_failure() -> None:
    record = fine_record()
    for pid in range(12, 23):
        record.samples[pid] = [replace(sample, pss_bytes=10 * MEBIBYTE) for sample in record.samples[pid]]
    assert failed(record) == ["PSS of workers 20 s old, later ones : earlier ones"]


def test_lighter_workers_from_before_the_spared_one_are_not_compared() -> None:
    """Such as those of a reload, and those that share the supervisor's pages with a young neighbour."""
    record = fine_record()
    record.samples[2] = record.samples[2][300:]
    for pid in range(3, 10):
        record.samples[pid] = [replace(sample, pss_bytes=5 * MEBIBYTE) for sample in record.samples[pid]]
    assert failed(record) == []


def test_a_problem_of_the_run_itself_is_a_failure() -> None:
    record = fine_record()
    record.problems.append("the hostile clients ended early")
    page, _, is_fine = written(record)
    assert not is_fine
    assert "problem: the hostile clients ended early" in page
