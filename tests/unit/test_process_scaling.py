"""The rule that adds workers and lets them leave, against loads that come and go."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest
from portico.process.scaling import REMEMBERED_S, Sample, Scaling

TICK_S = 0.5
REQUEST_S = 0.1
# A request that has waited so long is shed (the setting queue_timeout).
QUEUE_TIMEOUT_S = 30.0
Load = Callable[[float], float]


class Run:
    """What came of a load, in workers, over some time: how many workers there were at each moment."""

    def __init__(
        self,
        load: Load,
        duration_s: float,
        *,
        least: int = 1,
        most: int = 16,
        boot_s: float = 2.0,
        noise: float = 0.0,
        start: int = 1,
    ) -> None:
        self.load = load
        self.counts: list[tuple[float, int]] = []
        chance = random.Random(7)
        scaling, wanted = Scaling(), start
        ready_at = [0.0] * wanted
        # What no worker could do waits, and is done when there is room: in seconds of one worker.
        self.waiting_s = self.most_waiting_s = 0.0
        for tick in range(int(duration_s / TICK_S)):
            now_s = tick * TICK_S
            ready = sum(at <= now_s for at in ready_at)
            asked = max(0.0, load(now_s) * (1 + chance.uniform(-noise, noise)))
            waited = asked + self.waiting_s / TICK_S
            busy = min(ready, waited)
            self.waiting_s = min(max(0.0, (waited - busy) * TICK_S), ready * QUEUE_TIMEOUT_S)
            self.most_waiting_s = max(self.most_waiting_s, self.waiting_s)
            sample = Sample(now_s, ready=ready, busy=busy, waiting=int(self.waiting_s / REQUEST_S))
            wanted = scaling.want(sample, wanted, least=least, most=most)
            ready_at += [now_s + boot_s] * (wanted - len(ready_at))
            del ready_at[wanted:]
            self.counts.append((now_s, wanted))

    def at(self, time_s: float) -> int:
        return [count for at, count in self.counts if at <= time_s][-1]

    @property
    def most(self) -> int:
        return max(count for _, count in self.counts)

    @property
    def reversals(self) -> int:
        """How often the number went the other way than before."""
        counts = [count for _, count in self.counts]
        steps = [after > before for before, after in itertools.pairwise(counts) if after != before]
        return sum(before != after for before, after in itertools.pairwise(steps))


def reached(run: Run, count: int) -> float:
    """When there were so many workers wanted for the first time."""
    return next(at for at, found in run.counts if found >= count)


def test_a_constant_load_changes_nothing() -> None:
    run = Run(lambda _: 1.1, 600, start=2, least=2, noise=0.2)
    assert {count for _, count in run.counts} == {2}


@pytest.mark.parametrize("boot_s", [0.5, 2.0, 10.0])
def test_a_step_is_followed_within_a_few_boots_and_not_by_too_many(boot_s: float) -> None:
    run = Run(lambda now_s: 0.2 if now_s < 30 else 6.0, 300, boot_s=boot_s, most=64)
    assert run.at(30 - TICK_S) == 1
    # 1, 2, 4, 7: three times a boot and two looks.
    assert reached(run, 7) <= 30 + 3 * (boot_s + 2 * TICK_S) + TICK_S
    assert 7 <= run.at(299) <= run.most <= 2 * 6.0
    assert run.reversals <= 1
    assert run.waiting_s == 0


def test_a_ramp_is_followed_without_a_queue() -> None:
    run = Run(lambda now_s: 0.2 + now_s / 40, 400)
    assert run.most_waiting_s < 1.0
    assert all(count >= run.load(at) for at, count in run.counts)
    assert run.reversals == 0


def test_one_look_starts_nobody() -> None:
    run = Run(lambda now_s: 1.0 if now_s == 20 else 0.1, 60)
    assert run.most == 1


def test_a_spike_is_over_before_its_workers_have_left() -> None:
    run = Run(lambda now_s: 5.0 if 30 <= now_s < 40 else 0.3, 600)
    # What waits is work too.
    assert run.most <= 2.5 * 5.0
    assert run.at(40 + REMEMBERED_S - 10) == run.most
    assert run.at(599) == 1
    assert run.reversals == 1


@pytest.mark.parametrize("period_s", [4, 20, 50])
def test_a_sawtooth_keeps_its_workers(period_s: float) -> None:
    run = Run(lambda now_s: 4.0 * (now_s % period_s) / period_s, 900)
    assert run.reversals <= 1
    assert {count for at, count in run.counts if at > 600} == {run.at(899)}


def test_a_slow_wave_is_followed_once_each_way() -> None:
    run = Run(lambda now_s: 3 - 2.8 * math.cos(now_s * 2 * math.pi / 1800), 3600, noise=0.15)
    assert run.reversals == 3
    assert run.most_waiting_s < 2.0


def test_a_night_leaves_the_fewest_one_by_one() -> None:
    run = Run(lambda now_s: 6.0 if now_s < 100 else 0.0, 600, least=2, start=2)
    steps = [
        (at, before - after) for (_, before), (at, after) in itertools.pairwise(run.counts) if after < before
    ]
    assert {by for _, by in steps} == {1}
    assert min(second - first for (first, _), (second, _) in itertools.pairwise(steps)) >= 10
    assert run.at(599) == 2


def test_no_more_than_the_most() -> None:
    run = Run(lambda _: 50.0, 60, most=3)
    assert run.most == run.at(59) == 3


def test_workers_on_their_way_are_waited_for() -> None:
    scaling = Scaling()
    for tick in range(20):
        sample = Sample(tick * TICK_S, ready=1, busy=1.0, waiting=9)
        assert scaling.want(sample, 4, least=1, most=16) == 4


@pytest.mark.parametrize(("wanted", "expected"), [(1, 3), (5, 4), (3, 3)])
def test_bounds_that_have_changed_hold_at_once(wanted: int, expected: int) -> None:
    sample = Sample(0.0, ready=wanted, busy=0.0)
    assert Scaling().want(sample, wanted, least=3, most=4) == expected
