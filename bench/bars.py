"""The bars, and whether they hold: `judge` turns one outcome into lines of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import apps
from cases import LOG_OFF, OBSERVED
from results import Line, Outcome
from servers import POLLING, PORTICO_ON_NEWER, WATCHFILES, WEFT, dev_label, way_label

Judge = Callable[[Outcome], Iterable[tuple[str, bool]]]
PORTICO = "portico"
LIMIT = "C epoll limit"
SENDS_EACH_BLOCK_MS = 2.0
"""A peer whose blocks arrive later than this coalesces them; the pauses of a paced response sum up to 22
ms."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A case, the bar in words, and how it is judged."""

    case: str
    text: str
    judge: Judge


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar beside what was measured; None: it could not be judged."""

    case: str
    text: str
    measured: str
    held: bool | None


def verdicts(outcomes: dict[str, Outcome], *, measured_only: bool = False) -> list[Verdict]:
    """Every bar judged; `measured_only` leaves out the cases without an outcome."""
    lines = []
    for bar in BARS:
        outcome = outcomes.get(bar.case)
        if outcome is None and measured_only:
            continue
        judged = list(bar.judge(outcome)) if outcome else []
        if not judged:
            lines.append(Verdict(bar.case, bar.text, "not measured", None))
        lines += [Verdict(bar.case, bar.text, measured, held) for measured, held in judged]
    return lines


def _ratio_to_best(metric: str, most: float, among: Callable[[Line], bool] = lambda line: True) -> Judge:
    def judge(outcome: Outcome) -> Iterator[tuple[str, bool]]:
        ours = outcome.line(PORTICO)
        peers = [line for line in outcome.peers() if metric in line.metrics and among(line)]
        if ours and peers:
            best = min(peers, key=lambda line: line.metrics[metric])
            yield _compared(ours, best, metric, most)

    return judge


def _ratio_to(label: str, metric: str, most: float, ours: str = PORTICO) -> Judge:
    def judge(outcome: Outcome) -> Iterator[tuple[str, bool]]:
        line, other = outcome.line(ours), outcome.line(label)
        if line and other:
            yield _compared(line, other, metric, most)

    return judge


def _compared(ours: Line, other: Line, metric: str, most: float) -> tuple[str, bool]:
    ratio = ours.metrics[metric] / other.metrics[metric]
    figures = f"{ours.metrics[metric]:.2f} / {other.metrics[metric]:.2f} us, {other.label}"
    return f"{ratio:.2f} ({figures})", ratio <= most


def _at_most(metric: str, most: float, unit: str, label: str = PORTICO) -> Judge:
    def judge(outcome: Outcome) -> Iterator[tuple[str, bool]]:
        ours = outcome.line(label)
        if ours and metric in ours.metrics:
            yield f"{ours.metrics[metric]:.3g} {unit}", ours.metrics[metric] <= most

    return judge


def _at_least(metric: str, least: float, unit: str, label: str = PORTICO) -> Judge:
    def judge(outcome: Outcome) -> Iterator[tuple[str, bool]]:
        ours = outcome.line(label)
        if ours and metric in ours.metrics:
            yield f"{ours.metrics[metric]:.0f} {unit}", ours.metrics[metric] >= least

    return judge


def _requests_of_best(metric: str, least: float) -> Judge:
    def judge(outcome: Outcome) -> Iterator[tuple[str, bool]]:
        ours, peers = outcome.line(PORTICO), outcome.peers()
        if ours and peers:
            best = max(peers, key=lambda line: line.metrics[metric])
            ratio = ours.metrics[metric] / best.metrics[metric]
            figures = f"{ours.metrics[metric]:.0f} / {best.metrics[metric]:.0f} requests/s, {best.label}"
            yield f"{ratio:.2f} ({figures})", ratio >= least

    return judge


def _difference(label: str, other: str, most_us: float) -> Judge:
    def judge(outcome: Outcome) -> Iterator[tuple[str, bool]]:
        more, less = outcome.line(label), outcome.line(other)
        if more and less:
            cost = more.metrics["cpu_us"] - less.metrics["cpu_us"]
            yield (
                f"{cost:+.2f} us ({more.metrics['cpu_us']:.2f} - {less.metrics['cpu_us']:.2f})",
                cost <= most_us,
            )

    return judge


def _keeps_alive(line: Line) -> bool:
    return bool(line.metrics["keeps_alive"])


def _sends_each_block(line: Line) -> bool:
    return line.metrics.get("late_ms", float("inf")) < SENDS_EACH_BLOCK_MS


BARS = (
    Bar("hello", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("hello", "CPU <= 1.30 x the C limit", _ratio_to(LIMIT, "cpu_us", 1.30)),
    Bar("browser", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("10k", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("post", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("1m", "CPU <= 1.00 x the best keep-alive peer", _ratio_to_best("cpu_us", 1.00, _keeps_alive)),
    Bar("close", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar(
        "stream",
        "CPU <= 0.60 x the best peer that sends each block",
        _ratio_to_best("cpu_us", 0.60, _sends_each_block),
    ),
    Bar("stream", "no block later than 1 ms", _at_most("late_ms", 1.0, "ms")),
    Bar(
        "ways-hello",
        "CPU of gevent <= 2.00 x portico with threads",
        _ratio_to(PORTICO, "cpu_us", 2.00, way_label("gevent")),
    ),
    Bar(
        "ways-hello",
        "CPU of asyncio <= 1.70 x portico with threads",
        _ratio_to(PORTICO, "cpu_us", 1.70, way_label("asyncio")),
    ),
    Bar(
        "ways-sleep",
        "gevent >= 9,000 requests/s",
        _at_least("rps", 9000, "requests/s", way_label("gevent")),
    ),
    Bar("ways-sleep", "CPU of gevent <= 40 us", _at_most("cpu_us", 40, "us", way_label("gevent"))),
    Bar("ways-sleep", "PSS of gevent <= 70 MB", _at_most("pss_mb", 70, "MB", way_label("gevent"))),
    Bar(
        "threads",
        "CPU with 32 threads <= 1.03 x with 1",
        _ratio_to("portico, threads = 1", "cpu_us", 1.03, "portico, threads = 32"),
    ),
    Bar(
        "routes",
        "with 1,000 applications <= 0.1 us more than with 1",
        _difference("portico, applications = 1000", "portico, applications = 1", 0.1),
    ),
    Bar("sleep", "requests/s >= 0.98 x the best peer", _requests_of_best("rps", 0.98)),
    Bar("sleep", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("mix", "fast requests/s > any peer", _requests_of_best("fast_rps", 1.00)),
    Bar("mix", "slow p99 <= 1.5 x the sleep", _at_most("slow_p99_ms", 1.5 * apps.SLOW_S * 1e3, "ms")),
    Bar("log", "the access log costs <= 0.5 us per request", _difference(PORTICO, f"portico{LOG_OFF}", 0.5)),
    Bar(
        "log",
        "JSON log and metrics cost <= 0.8 us per request",
        _difference(OBSERVED, f"portico{LOG_OFF}", 0.8),
    ),
    Bar("pipelined", "CPU <= 2 us", _at_most("cpu_us", 2.0, "us")),
    Bar("flask", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("django", "CPU <= 1.00 x the best peer", _ratio_to_best("cpu_us", 1.00)),
    Bar("uwsgi-nginx", "CPU <= 0.80 x uWSGI", _ratio_to_best("cpu_us", 0.80)),
    Bar("uwsgi-nginx-browser", "CPU <= 0.80 x uWSGI", _ratio_to_best("cpu_us", 0.80)),
    Bar("http-nginx", "CPU <= 0.80 x the best peer", _ratio_to_best("cpu_us", 0.80)),
    Bar("http-nginx-browser", "CPU <= 0.80 x the best peer", _ratio_to_best("cpu_us", 0.80)),
    Bar("file-10k", "CPU <= 1.30 x nginx", _ratio_to("nginx", "cpu_us", 1.30)),
    Bar("file-10m", "CPU <= 1.10 x nginx", _ratio_to("nginx", "cpu_us", 1.10)),
    Bar("pass-on", "CPU <= 1.50 x nginx", _ratio_to("nginx", "cpu_us", 1.50)),
    Bar("pass-on", "CPU <= 12 us", _at_most("cpu_us", 12.0, "us")),
    Bar("start", "first response <= 150 ms", _at_most("first_ms", 150, "ms")),
    Bar("start", "import <= 5 ms more than none", _at_most("import_ms", 5, "ms")),
    *(
        Bar(
            "save",
            f"response of the new code <= 300 ms, {watcher}",
            _at_most("saved_ms", 300, "ms", dev_label(watcher)),
        )
        for watcher in (WATCHFILES, POLLING)
    ),
    *(
        Bar(
            "save",
            f"reload that nobody asks for <= 300 ms, {watcher}",
            _at_most("unasked_ms", 300, "ms", dev_label(watcher)),
        )
        for watcher in (WATCHFILES, POLLING)
    ),
    Bar("memory-1", "1 worker <= 12.5 MB", _at_most("pss_mb", 12.5, "MB")),
    Bar("memory-4", "4 workers <= 24 MB", _at_most("pss_mb", 24, "MB")),
    Bar("idle", "an idle connection <= 2 KB", _at_most("kb_per_connection", 2, "KB")),
    *(
        Bar(case, "CPU <= 1.00 x weft, on Python 3.13", _ratio_to(WEFT, "cpu_us", 1.00, PORTICO_ON_NEWER))
        for case in ("hello", "browser", "10k", "post", "1m", "close", "stream", "flask", "django")
    ),
)
