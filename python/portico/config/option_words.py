"""How an option is written as one word: `--name`, `--name=value`, `-n`, `-nvalue`, `-n=value`.

Used by all that read a command line, whoever knows its options. Runs in the process of the command line.
"""

from __future__ import annotations


def split_option(word: str) -> tuple[str, str | None]:
    """Return an option's name, and the value that is written in one word with it: `--a=b`, `-w4`, `-w=4`."""
    if word.startswith("--") or word[2:3] == "=":
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None
