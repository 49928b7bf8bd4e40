"""All that a soak has seen: `run.py` fills it, `verdicts.py` judges it, `results_page.py` writes it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import processes
from judgement import Kill, Sample


@dataclass(slots=True)
class SoakRecord:
    """The settings of a run, and what happened."""

    seconds: float
    options: str
    began_s: float = 0.0
    ended_s: float = 0.0
    supervisor: int = 0
    kills: list[Kill] = field(default_factory=list)
    reloads_s: list[float] = field(default_factory=list)
    """Moments of the monotonic clock, as in `kills`."""
    samples: dict[int, list[Sample]] = field(default_factory=dict)
    spared: int | None = None
    descriptors_before: dict[str, int] = field(default_factory=dict)
    """Of the supervisor, and the most of a worker."""
    descriptors_after: dict[str, int] = field(default_factory=dict)
    honest: dict[str, Any] = field(default_factory=dict)
    hostile: dict[str, dict[str, int]] = field(default_factory=dict)
    panics: int = 0
    stopped_in_s: float | None = None
    """None: it did not stop with code 0."""
    problems: list[str] = field(default_factory=list)

    def sample(self, pids: list[int]) -> None:
        """Weigh every process once."""
        now_s = time.monotonic() - self.began_s
        for pid in pids:
            weight = processes.weigh(pid)
            if weight is not None:
                self.samples.setdefault(pid, []).append(
                    Sample(now_s, pid, weight.rss_bytes, weight.pss_bytes, weight.descriptors)
                )
