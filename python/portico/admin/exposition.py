"""Metrics as text, in the two formats that Prometheus and others read, and which of them is asked for.

text        the text format of Prometheus, version 0.0.4
OpenMetrics version 1.0.0: counters without `_total` in their name, units, an end that says it is whole
"""

from __future__ import annotations

from math import isfinite, isnan

from portico.admin.families import COUNTER, FAMILIES, INFO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from portico.admin import Samples
    from portico.admin.families import Family

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The formats, by their media types."""

END = "# EOF\n"
"""What a text of OpenMetrics ends in."""

_SUFFIXES = {COUNTER: "_total", INFO: "_info"}
"""What OpenMetrics has behind the name of a metric in its samples alone."""
_PLAIN_VERSIONS = ("", "0.0.4")
_OPENMETRICS_VERSIONS = ("", "1.0.0")


def exposed(samples: Samples, media_type: str, families: Iterable[Family] = ()) -> str:
    """Return the text of all metrics that `samples` has, in the format of that media type.

    `families` are metrics beside portico's own.
    """
    is_openmetrics = media_type == OPENMETRICS
    lines: list[str] = []
    for family in (*FAMILIES, *families):
        if family.name in samples:
            lines += _head_of_openmetrics(family) if is_openmetrics else _head_of_text(family)
            for values, value in samples[family.name]:
                if isinstance(value, int | float):
                    labels = _labels(family.names_for(values), values)
                    lines.append(f"{family.name}{labels} {_number(value)}")
                else:
                    lines += _histogram(family, values, value)
    if is_openmetrics:
        lines.append(END.rstrip())
    return "\n".join(lines) + "\n"


def with_more(text: str, more: str) -> str:
    """Return what `exposed` has returned, and `more` lines of the same format."""
    whole = text.removesuffix(END)
    return whole + more + text[len(whole) :]


def base_name(family: Family) -> str:
    """Return the name of a metric without what OpenMetrics has in its samples alone."""
    return family.name.removesuffix(_SUFFIXES.get(family.kind, ""))


def preferred(accept: str) -> str:
    """Return the media type to respond with to an Accept header: text, unless OpenMetrics is liked as much.

    Who accepts neither gets text: a response that was not asked for says more than none (RFC 9110 12.5.1).
    """
    openmetrics = plain = 0.0
    for media_type, version, quality in _accepted(accept):
        if media_type == "application/openmetrics-text" and version in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif media_type in ("text/plain", "text/*", "*/*") and version in _PLAIN_VERSIONS:
            plain = max(plain, quality)
    return OPENMETRICS if openmetrics and openmetrics >= plain else TEXT


def _accepted(accept: str) -> Iterator[tuple[str, str, float]]:
    """Yield each media type of an Accept header, with its version and its quality (RFC 9110 12.5.1)."""
    for part in accept.lower().split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        values = {
            name.strip(): value.strip(' "')
            for name, _, value in (parameter.partition("=") for parameter in parameters)
        }
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            continue
        yield media_type, values.get("version", ""), quality


def _head_of_text(family: Family) -> list[str]:
    kind = "gauge" if family.kind == INFO else family.kind
    return [f"# HELP {family.name} {_escaped(family.documentation)}", f"# TYPE {family.name} {kind}"]


def _head_of_openmetrics(family: Family) -> list[str]:
    name = base_name(family)
    unit = [f"# UNIT {name} {family.unit}"] if family.unit else []
    return [f"# TYPE {name} {family.kind}", *unit, f"# HELP {name} {_quotable(family.documentation)}"]


def _histogram(family: Family, values: Sequence[str], figures: Sequence[float]) -> Iterator[str]:
    """Yield the lines of one series: its buckets, each with all that are below, the sum and the count.

    A label without a value is none.
    """
    *counts, sum_of_all = figures
    known = [(name, value) for name, value in zip(family.names_for(values), values, strict=True) if value]
    names, shown = [name for name, _ in known], [value for _, value in known]
    count = 0
    for upper, more in zip((*family.bounds, float("inf")), counts, strict=True):
        count += int(more)
        bound = "+Inf" if upper == float("inf") else _number(upper)
        yield f"{family.name}_bucket{_labels([*names, 'le'], [*shown, bound])} {count}"
    yield f"{family.name}_sum{_labels(names, shown)} {_number(sum_of_all / family.per_sum)}"
    yield f"{family.name}_count{_labels(names, shown)} {count}"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_quotable(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quotable(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(number: float) -> str:
    if isfinite(number):
        return repr(number)
    return "NaN" if isnan(number) else "+Inf" if number > 0 else "-Inf"
