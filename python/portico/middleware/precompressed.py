"""Files that are compressed already (`app.js.br` beside `app.js`), and which of them a client takes.

Receives the name of a file and the field Accept-Encoding; hands on the name of another file, and its coding.
"""

from __future__ import annotations

import os

from portico.middleware.fields import list_items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

# Content codings and the ends of their files' names, the smallest files first.
SUFFIXES = {"br": ".br", "gzip": ".gz"}


def compressed_siblings(path: str, modified_s: float) -> dict[str, str]:
    """Return the compressed files beside `path`, by their codings.

    One that is older than `modified_s` was made of other content, and does not count.
    """
    found = {}
    for coding, suffix in SUFFIXES.items():
        try:
            is_current = os.stat(path + suffix).st_mtime >= modified_s
        except OSError:
            continue
        if is_current and os.path.isfile(path + suffix):
            found[coding] = path + suffix
    return found


def preferred_coding(accept_encoding: str, available: Collection[str]) -> str | None:
    """Return which of the `available` codings a client likes best, None for no coding (RFC 9110 12.5.3).

    What it likes equally well is taken in the order of `SUFFIXES`; no coding at all only if it likes that
    better.
    """
    weights = _weights(accept_encoding)
    everything_else = weights.get("*", 0.0)
    best, most = None, weights.get("identity", 0.0)
    for coding in SUFFIXES:
        weight = weights.get(coding, everything_else)
        if coding in available and weight > 0 and (weight > most or (best is None and weight == most)):
            best, most = coding, weight
    return best


def _weights(accept_encoding: str) -> dict[str, float]:
    """Read the codings and their weights, from 0 to 1; those whose weight is none do not count."""
    weights = {}
    for item in list_items(accept_encoding.lower()):
        coding, _, parameter = item.partition(";")
        name, _, weight = parameter.partition("=")
        try:
            value = float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        # RFC 9110 8.4.1.3: x-gzip is another name of gzip.
        weights[coding.strip().removeprefix("x-")] = value
    return weights
