"""Percentiles of the histogram against those of sorted values."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portico.report.histogram import ERROR, LARGEST_NS, Histogram

PERCENTS = (0.1, 50, 90, 99, 99.9, 100)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def exact(values: list[int], percent: float) -> int:
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


@given(st.lists(st.integers(0, LARGEST_NS), min_size=1))
def test_percentiles_are_those_of_sorted_values(values: list[int]) -> None:
    histogram = histogram_of(values)
    for percent in PERCENTS:
        right = exact(values, percent)
        assert abs(histogram.percentile(percent) - right) <= ERROR * right
    assert histogram.largest_ns == max(values)


@pytest.mark.parametrize("count", [1, 100, 100_000])
def test_percentiles_of_durations_as_they_are(count: int) -> None:
    numbers = random.Random(1)
    values = [int(numbers.lognormvariate(15, 2)) for _ in range(count)]
    histogram = histogram_of(values)
    for percent in PERCENTS:
        assert histogram.percentile(percent) == pytest.approx(exact(values, percent), rel=ERROR)


def test_error_is_less_than_two_per_cent() -> None:
    assert ERROR < 0.02


def test_small_durations_are_exact() -> None:
    assert [histogram_of([value]).percentile(50) for value in range(300)][:128] == list(range(128))


def test_none_has_no_percentile() -> None:
    assert (Histogram().percentile(50), Histogram().interval(50)) == (0, None)


def test_longer_than_the_longest_is_the_longest() -> None:
    assert histogram_of([1 << 80]).largest_ns == LARGEST_NS


@given(st.lists(st.integers(0, 1 << 40)), st.lists(st.integers(0, 1 << 40)))
def test_merged_is_as_if_counted_together(one: list[int], two: list[int]) -> None:
    merged, together = histogram_of(one), histogram_of(one + two)
    merged.merge(histogram_of(two))
    assert [merged.percentile(percent) for percent in PERCENTS] == [
        together.percentile(percent) for percent in PERCENTS
    ]
    assert (merged.count, merged.largest_ns) == (together.count, together.largest_ns)


def test_interval_has_the_true_percentile_in_99_of_100_cases() -> None:
    numbers = random.Random(2)
    true = math.exp(15)
    intervals = [
        histogram_of([int(numbers.lognormvariate(15, 1)) for _ in range(200)]).interval(50)
        for _ in range(500)
    ]
    inside = sum(low <= true <= high for low, high in filter(None, intervals))
    assert inside >= 0.97 * len(intervals)


@pytest.mark.parametrize(("percent", "count"), [(50, 6), (99, 600), (99.9, 6000)])
def test_too_few_have_no_interval(percent: float, count: int) -> None:
    assert histogram_of(list(range(count))).interval(percent) is None
    assert histogram_of(list(range(2 * count))).interval(percent) is not None
