"""What a report says in words, alike on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portico.report.comparison import ENOUGH, Change, Comparison, cost_ns
from portico.report.figures import Durations, Figures, RouteFigures
from portico.report.histogram import ERROR
from portico.report.tally import OTHERS
from portico.report.units import date, duration, printable, rate, seconds, share, size

PART_WORDS = {
    "queue": "queue, until a thread had it",
    "lock": "until the thread had the interpreter",
    "computing": "application, computing",
    "waiting": "application, waiting",
    "application": "application",
    "client": "waiting for the client",
    "other": "the rest",
}
CLASS_WORDS = {
    "000": "000, whose worker was killed",
    "499": "499, whose client left",
}
ROUTE_COLUMNS = ("share", "total", "requests", "p50", "p90", "p99", "longest", "bytes", "errors", "route")
CHANGE_COLUMNS = ("route", "what", "requests", "p50", "p99", "total", "errors", "cost")


def headline(figures: Figures) -> str:
    """Return the period and the number of requests in one sentence."""
    requests = f"{figures.all.requests:,} request{'' if figures.all.requests == 1 else 's'}"
    if figures.first_s is None or figures.last_s is None:
        return f"{requests}; the log has no dates"
    # uWSGI says no time zone.
    zone = "" if any(source.format == "uwsgi" for source in figures.sources) else " UTC"
    period = f"{date(figures.first_s)} to {date(figures.last_s)}{zone}"
    if figures.per_second is None:
        return f"{requests}: {period}"
    return f"{requests} in {seconds(figures.last_s - figures.first_s)}, {rate(figures.per_second)}: {period}"


def sources(figures: Figures) -> str:
    """Return which logs were read, and in which format."""
    return ", ".join(f"{printable(source.name)} ({source.format})" for source in figures.sources)


def remarks(figures: Figures) -> Iterator[str]:
    """Yield what one has to know to read the figures."""
    for source in figures.sources:
        name = printable(source.name)
        if source.unreadable_lines:
            yield (
                f"{source.unreadable_lines:,} of {source.lines:,} lines of {name} could not be read; the "
                f"first is {printable(source.first_unreadable or '', 600)}"
            )
        if source.is_truncated:
            yield f"{name} is compressed and ends in the middle; what is before that was read"
        if source.format == "uwsgi":
            yield f"{name} has dates without a time zone, of when a request came, not of when it ended"
    if not figures.all.durations.timed:
        yield "the log has no durations, so routes are in the order of their requests"
    elif figures.resolution_ns >= 1_000_000:
        yield f"the log has durations to {duration(figures.resolution_ns)}; shorter ones are not told apart"
    kinds = {each.route.is_framework for each in figures.routes if each.route != OTHERS}
    if figures.by_path:
        yield "a route is a path, in which numbers, UUIDs and long hexadecimals are put together"
    elif kinds == {False}:
        yield (
            "the log has no routes of a framework, so a route is a path, in which numbers, UUIDs and long "
            "hexadecimals are put together"
        )
    elif True in kinds:
        others = "; one with (path) is a path, where the line has none" if False in kinds else ""
        yield f"a route is what the framework has found{others}"
    if figures.folded_requests:
        yield (
            f"{figures.folded_requests:,} requests are in {OTHERS.text}, since there are too many; of one "
            "that  came back later some requests may be among them"
        )
    if figures.all.durations.timed:
        yield f"a percentile is right to {100 * ERROR:.1f} %"


def route_name(each: RouteFigures, *, has_framework: bool) -> str:
    """Return how a route is called."""
    route = each.route
    name = f"{route.method} {route.text}" if route.method else route.text
    is_path = has_framework and route.method and not route.is_framework
    return printable(name) + (" (path)" if is_path else "")


def has_framework(figures: Figures) -> bool:
    """Whether some routes are those of a framework."""
    return any(each.route.is_framework for each in figures.routes)


def shown_routes(figures: Figures, top: int) -> tuple[list[RouteFigures], int]:
    """Return the first `top` routes, with all others if some were put together; and how many are left out."""
    shown = list(figures.routes[:top])
    left = figures.routes[top:]
    if left and left[-1].route == OTHERS:
        return [*shown, left[-1]], len(left) - 1
    return shown, len(left)


def route_cells(each: RouteFigures, name: str) -> tuple[str, ...]:
    """Return a row of ROUTE_COLUMNS."""
    durations = each.durations
    times = (durations.p50.ns, durations.p90.ns, durations.p99.ns, durations.max_ns)
    return (
        share(each.share) if durations.timed else "-",
        _timed(each, each.total_ns),
        f"{each.requests:,}",
        *(_timed(each, ns) for ns in times),
        size(each.body_bytes),
        f"{each.errors:,}" if each.errors else "",
        name,
    )


def percentiles(durations: Durations) -> list[tuple[str, str]]:
    """Return names and values of the percentiles."""
    return [
        ("p50", duration(durations.p50.ns)),
        ("p90", duration(durations.p90.ns)),
        ("p99", duration(durations.p99.ns)),
        ("p99.9", duration(durations.p99_9.ns)),
        ("longest", duration(durations.max_ns)),
    ]


def change_cells(change: Change, name: str) -> tuple[str, ...]:
    """Return a row of CHANGE_COLUMNS."""
    cost = cost_ns(change)
    is_timed = all(each.durations.timed for each in (change.before, change.after) if each)
    return (
        name,
        ", ".join(change.kinds),
        _both(change, lambda each: f"{each.requests:,}"),
        _both(change, lambda each: _timed(each, each.durations.p50.ns)),
        _both(change, lambda each: _timed(each, each.durations.p99.ns)),
        _both(change, lambda each: _timed(each, each.total_ns)),
        _both(change, lambda each: f"{each.errors:,}"),
        ("+" if cost > 0 else "-" if cost < 0 else "") + duration(abs(cost)) if is_timed else "-",
    )


def whole_change(comparison: Comparison) -> Change:
    """Return both logs as if each were one route."""
    return Change(comparison.overall or ("no change",), comparison.before.all, comparison.after.all)


def comparison_remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what one has to know of a comparison."""
    yield f"before: {sources(comparison.before)}: {headline(comparison.before)}"
    if not comparison.changes:
        yield "no route has changed by more than chance would"
    for cause in comparison.new_causes:
        yield f"new cause of requests that ended early: {printable(cause)}"
    yield (
        "only what is more than chance (in 999 of 1,000 cases), and times by more than a tenth; routes that "
        f"are new or gone from {ENOUGH} requests on. The cost is how much longer the requests took, in all, "
        "than they would have by the mean of before"
    )
    if not all(figures.all.durations.timed for figures in (comparison.before, comparison.after)):
        yield "one of the logs has no durations, so times are not compared"
    known = set(remarks(comparison.after))
    yield from (sentence for sentence in remarks(comparison.before) if sentence not in known)


def _timed(each: RouteFigures, ns: float) -> str:
    """Return a duration of a route, if its log has any."""
    return duration(ns) if each.durations.timed else "-"


def _both(change: Change, show: Callable[[RouteFigures], str]) -> str:
    texts = dict.fromkeys(show(each) for each in (change.before, change.after) if each)
    return " → ".join(texts)
