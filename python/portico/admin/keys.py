"""How entries of the application's metrics are named in shared memory.

A key is a sequence of texts, each behind its length. Written by `portico.metrics` in workers, read where they
are told of (`of_application.py`).

    metric   METRIC, kind, name, what is special, a label for each further text
    help     HELP, the number of the metric's entry, the text
    series   SERIES, the number of the metric's entry, the values of its labels
"""

from __future__ import annotations

METRIC, HELP, SERIES = "metric", "help", "series"

OTHER = "_OTHER"
"""The value of each label of a series for what finds no room."""

_LENGTH_BYTES = 2


def packed(*texts: str) -> bytes:
    """Return the key of `texts`, each of which has at most 64 KiB."""
    parts = []
    for text in texts:
        data = text.encode("utf-8", "replace")
        parts += [len(data).to_bytes(_LENGTH_BYTES, "little"), data]
    return b"".join(parts)


def unpacked(key: bytes) -> list[str]:
    """Return the texts of a key."""
    texts = []
    while key:
        end = _LENGTH_BYTES + int.from_bytes(key[:_LENGTH_BYTES], "little")
        texts.append(key[_LENGTH_BYTES:end].decode("utf-8", "replace"))
        key = key[end:]
    return texts
