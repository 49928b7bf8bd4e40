"""Holds a soak's record against its bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from judgement import (
    LOST,
    Sample,
    Verdict,
    after_warm_up,
    at_age,
    blame,
    halves,
    slope_kib_per_minute,
)
from record import SoakRecord

WARM_UP_SHARE = 0.5
"""Of a process's life: until then its heap settles at the size that its worst moments need."""
JUDGED_S = 300
"""A slope is judged over no less than this after the warm-up: shorter ones are noise."""
SUPERVISOR_SLOPE_BAR = 8
WORKER_SLOPE_BAR = 128
"""KiB per minute. 128 are some four bytes per request: a leak of anything that belongs to a request or a
connection is far above it, the heap that settles below."""
GROWTH_BAR = 0.05
EQUAL_AGE_S = 20
RESPAWN_BAR_S = 1.0
STOP_BAR_S = 10.0


def verdicts(record: SoakRecord) -> list[Verdict]:
    """Every bar of a run."""
    honest = record.honest
    found = blames(record)
    missing_unexplained = honest.get("missing_count", 0) - sum(found.values()) + found[LOST]
    respawns = [kill.respawn_s for kill in record.kills]
    slowest = max((s for s in respawns if s is not None), default=0.0)
    wrong = honest.get("wrong_count", 0)
    judged = [
        Verdict(
            "honest requests", "more than none", f"{honest.get('requests', 0)}", bool(honest.get("requests"))
        ),
        Verdict("responses lost", "0", f"{missing_unexplained}", missing_unexplained == 0),
        Verdict("wrong responses", "0", f"{wrong}", wrong == 0),
        Verdict("panics of the engine", "0", f"{record.panics}", record.panics == 0),
        Verdict(
            "killed workers replaced",
            f"all, within {RESPAWN_BAR_S:g} s",
            f"{len(respawns) - respawns.count(None)} of {len(respawns)}, slowest {slowest:.2f} s",
            None not in respawns and slowest <= RESPAWN_BAR_S,
        ),
        _slope_verdict(
            "supervisor RSS slope", record.samples.get(record.supervisor, []), SUPERVISOR_SLOPE_BAR
        ),
        _slope_verdict(
            "RSS slope of the worker that was spared",
            record.samples.get(record.spared or 0, []),
            WORKER_SLOPE_BAR,
        ),
        _growth_verdict(record),
    ]
    for who, before in record.descriptors_before.items():
        after = record.descriptors_after.get(who)
        judged.append(
            Verdict(
                f"descriptors of the {who} afterwards",
                f"at most {before}, as before",
                f"{after}",
                after is not None and after <= before,
            )
        )
    stopped = record.stopped_in_s
    measured = "not with code 0" if stopped is None else f"after {stopped:.1f} s"
    held = stopped is not None and stopped <= STOP_BAR_S
    judged.append(Verdict("stops at TERM with code 0", f"within {STOP_BAR_S:g} s", measured, held))
    return judged


def blames(record: SoakRecord) -> Counter[str]:
    """How many of the recorded missing responses were whose fault."""
    return Counter(
        blame(began_s=one["began_s"], ended_s=one["ended_s"], worker=one["worker"], kills=record.kills)
        for one in record.honest.get("missing", [])
    )


def _slope_verdict(what: str, samples: Sequence[Sample], bar: float) -> Verdict:
    life_s = samples[-1].at_s - samples[0].at_s if samples else 0.0
    kept = after_warm_up(samples, life_s * WARM_UP_SHARE)
    span_s = kept[-1].at_s - kept[0].at_s if kept else 0.0
    slope = slope_kib_per_minute([(sample.at_s, sample.rss_bytes) for sample in kept])
    held = slope <= bar if span_s >= JUDGED_S else None
    return Verdict(what, f"at most {bar} KiB/min", f"{slope:+.1f} KiB/min over {span_s / 60:.1f} min", held)


def _growth_verdict(record: SoakRecord) -> Verdict:
    """Workers forked late must not weigh more than those forked early.

    Compared are those beside the worker that is spared. Before it, reloads put lighter ones among them, and
    each has a young neighbour, with which it shares more of the supervisor's pages.
    """
    spared = record.samples.get(record.spared or 0, [])
    found = [
        at_age(samples, EQUAL_AGE_S)
        for samples in record.samples.values()
        if spared and samples[0].at_s > spared[0].at_s
    ]
    weights = [sample.pss_bytes for sample in found if sample is not None]
    pair = halves(weights)
    what, bar = f"PSS of workers {EQUAL_AGE_S} s old, later ones : earlier ones", f"at most +{GROWTH_BAR:.0%}"
    if pair is None:
        return Verdict(what, bar, "too few workers", None)
    early, late = pair
    measured = f"{late / 1e6:.1f} MB : {early / 1e6:.1f} MB ({len(weights)} workers)"
    return Verdict(what, bar, measured, late <= early * (1 + GROWTH_BAR) if len(weights) >= 12 else None)
