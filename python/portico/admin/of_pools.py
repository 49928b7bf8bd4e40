"""Metrics of applications in pools: their families, as the supervisor tells them, for the exposition.

Receives plain values that another process has said, perhaps another user's: what does not fit is left out.
"""

from __future__ import annotations

from portico.admin.families import FAMILIES, POOL, Family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from portico.admin import Samples

POOL_FAMILIES = "families of pools"
"""Their name among the samples: each is its name, kind, help, labels, bounds, and what is one."""
POOL_DIRECTORIES = "directories of pools"
"""The same for the directories of prometheus_client: each a pair of the pool and the path."""

_TAKEN = f"exported_{POOL}"
"""What a label of theirs is called that is called as ours: as Prometheus does it."""


def families_of_pools(rows: Iterable[Any], own: Iterable[Family]) -> list[Family]:
    """Return the families of `rows` whose names are nobody else's."""
    taken = {family.name for family in (*FAMILIES, *own)}
    found = []
    for name, kind, documentation, labels, bounds, per_sum in rows:
        if name not in taken:
            labels = tuple(_TAKEN if label == POOL else label for label in labels)
            found.append(Family(name, kind, documentation, labels=labels, bounds=bounds, per_sum=per_sum))
    return found


def with_pools(families: list[Family], own: Samples, samples: Samples) -> tuple[list[Family], Samples]:
    """Return all families besides portico's, and all samples of them and of these, as far as they fit.

    `families` and `own` are what applications count here, `samples` what the supervisor has said.
    """
    # A name that two have is of whoever has it here.
    families = [*families, *families_of_pools(samples.get(POOL_FAMILIES, ()), families)]
    all_samples = joined(own, samples)
    fitting = {
        family.name: [(values, value) for values, value in rows if family.fits(values, value)]
        for family in (*FAMILIES, *families)
        if (rows := all_samples.get(family.name))
    }
    return families, fitting


def joined(one: Samples, other: Samples) -> Samples:
    """Return the samples of both."""
    return {**one, **{name: [*one.get(name, ()), *rows] for name, rows in other.items()}}
