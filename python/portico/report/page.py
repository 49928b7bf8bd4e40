"""The report as a page: one file, without scripts and without anything from elsewhere.

Every text passes `_text`, which escapes it; what is not text is a number or from chart.py. A policy in the
page keeps the browser from loading or running anything even so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from portico.report import wording
from portico.report.chart import over_time, split, swatch
from portico.report.comparison import Comparison
from portico.report.figures import Figures, classes
from portico.report.page_style import STYLE
from portico.report.units import date, duration, printable, rate, seconds, share, size

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def as_page(figures: Figures, comparison: Comparison | None, *, top: int) -> str:
    """Return the page, with `top` routes and changes at most."""
    title = f"Report of {', '.join(source.name for source in figures.sources)}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{_text(title)}</h1><p>{_text(wording.headline(figures))}</p>",
        f"<p>{_text(wording.sources(figures))}</p></header><main>",
        *_key_figures(figures),
        *_over_time(figures),
        *_parts(figures),
        *(_changes(comparison, top) if comparison else ()),
        *_routes(figures, top),
        *_errors(figures, top),
        *_slowest(figures),
        "</main><footer><h2>How to read this</h2><ul>",
        *(f"<li>{_text(sentence)}</li>" for sentence in wording.remarks(figures)),
        "</ul></footer></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _key_figures(figures: Figures) -> Iterator[str]:
    whole = figures.all
    rows = [("requests", f"{whole.requests:,}")]
    if figures.per_second is not None:
        rows.append(("per second", rate(figures.per_second)))
    if whole.durations.timed:
        rows += wording.percentiles(whole.durations)
    rows.append(("bytes", size(whole.body_bytes)))
    yield _boxes(rows)
    yield "<h2>Responses</h2>"
    yield _boxes(
        [
            (wording.CLASS_WORDS.get(name, name), f"{number:,} ({share(number / whole.requests)})")
            for name, number in classes(figures.statuses).items()
        ]
    )


def _over_time(figures: Figures) -> Iterator[str]:
    if not figures.intervals:
        return
    most = max(interval.requests for interval in figures.intervals)
    yield f"<h2>Requests over time</h2>{over_time(figures.intervals)}"
    yield f'<div class="axis"><span>{date(figures.first_s)}</span><span>{date(figures.last_s)}</span></div>'
    yield (
        f'<p class="faint">A column is {seconds(figures.interval_s)}; the highest is {most:,} requests; '
        'errors are <span class="bad">at the foot</span>.</p>'
    )


def _parts(figures: Figures) -> Iterator[str]:
    parts = figures.all.parts_ns
    whole = sum(parts.values())
    if not whole:
        return
    yield f'<h2>Where the time went</h2>{split(parts)}<ul class="key">'
    for name, ns in parts.items():
        yield f"<li>{swatch(name)} {_text(wording.PART_WORDS[name])}: {share(ns / whole)}</li>"
    yield "</ul>"


def _routes(figures: Figures, top: int) -> Iterator[str]:
    timed = figures.all.durations.timed
    has_parts = bool(figures.all.parts_ns)
    has_framework = wording.has_framework(figures)
    yield f"<h2>Routes by {'total time' if timed else 'requests'}</h2>"
    rows = []
    shown, left = wording.shown_routes(figures, top)
    for each in shown:
        *numbers, name = wording.route_cells(each, wording.route_name(each, has_framework=has_framework))
        cells = [_cell(name, "text route"), *map(_cell, numbers[:-1]), _cell(numbers[-1], "bad")]
        rows.append([*cells, *([f"<td>{split(each.parts_ns)}</td>"] if has_parts else [])])
    *columns, last = wording.ROUTE_COLUMNS
    yield _table([last, *columns, *(["where the time went"] if has_parts else [])], rows)
    yield _more(left)


def _errors(figures: Figures, top: int) -> Iterator[str]:
    guilty = sorted((each for each in figures.routes if each.errors), key=lambda each: -each.errors)
    has_framework = wording.has_framework(figures)
    if guilty:
        yield "<h2>Errors by route</h2>"
        yield _table(
            ["route", "errors", "of its requests"],
            [
                [
                    _cell(wording.route_name(each, has_framework=has_framework), "text route"),
                    _cell(f"{each.errors:,}", "bad"),
                    _cell(share(each.errors / each.requests)),
                ]
                for each in guilty[:top]
            ],
        )
        yield _more(len(guilty) - top)
    if figures.causes:
        yield "<h2>Causes of requests that ended early</h2>"
        yield _table(
            ["cause", "requests"],
            [
                [_cell(printable(cause), "text route"), _cell(f"{number:,}")]
                for cause, number in figures.causes.items()
            ],
        )


def _slowest(figures: Figures) -> Iterator[str]:
    if not figures.slowest:
        return
    has_parts = any(slow.parts_ns for slow in figures.slowest)
    yield "<h2>Slowest requests</h2>"
    rows = []
    for slow in figures.slowest:
        cells = [
            _cell(f"{slow.method} {slow.path}", "text route"),
            _cell(duration(slow.total_ns)),
            _cell(date(slow.ended_s)),
            _cell(f"{slow.status:03}"),
            _cell(slow.cause or "", "text"),
        ]
        parts = dict(zip(wording.PART_WORDS, slow.parts_ns or (), strict=False))
        rows.append([*cells, *([f"<td>{split(parts)}</td>"] if has_parts else [])])
    columns = ["request", "duration", "ended", "status", "cause"]
    yield _table([*columns, *(["where the time went"] if has_parts else [])], rows)


def _changes(comparison: Comparison, top: int) -> Iterator[str]:
    yield "<h2>What changed</h2>"
    has_framework = wording.has_framework(comparison.after)
    rows = [wording.change_cells(wording.whole_change(comparison), "all requests")]
    rows += [
        wording.change_cells(change, wording.route_name(change.either, has_framework=has_framework))
        for change in comparison.changes[:top]
    ]
    yield _table(
        wording.CHANGE_COLUMNS,
        [[_cell(name, "text route"), _cell(what, "text"), *map(_cell, rest)] for name, what, *rest in rows],
    )
    yield _more(len(comparison.changes) - top)
    yield "<ul>"
    for sentence in wording.comparison_remarks(comparison):
        yield f"<li>{_text(sentence)}</li>"
    yield "</ul>"


def _boxes(rows: Sequence[tuple[str, str]]) -> str:
    boxes = (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in rows)
    return f"<dl>{''.join(boxes)}</dl>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, whose cells are ready."""
    # A heading stands where its column does.
    kinds = [
        ' class="text"' if cell.startswith('<td class="text') else "" for cell in (rows[0] if rows else [])
    ]
    head = "".join(f"<th{kind}>{_text(name)}</th>" for kind, name in zip(kinds, columns, strict=False))
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f'<div class="scrolls"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{_text(text)}</td>' if kind else f"<td>{_text(text)}</td>"


def _more(count: int) -> str:
    return f'<p class="faint">and {count:,} more</p>' if count > 0 else ""


def _text(text: str) -> str:
    return escape(printable(text, 1000))
