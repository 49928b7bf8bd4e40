"""A worker's part of a profile, as it sends it to the supervisor: three lines of JSON.

The first is flat, and says of the whole; the second is of the routes, the third of the samples, both without
the brackets of an array, so that the supervisor joins the workers' without reading them. Runs in the worker,
on the thread of the profile, attached to the interpreter but for moments.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    # Route, kind, code objects from the outermost on, a note, whether there were more, how often. In place of
    # a code object there may be a name (`finding`).
    Line = tuple[str, str, list[CodeType | str], str | None, bool, int]

TRUNCATED = "(deeper)"
_MOST_CHARACTERS = 300


def written(
    lines: list[Line], routes: list[tuple[str, int]], figures: dict[str, Any], most_bytes: int
) -> bytes:
    """Return what is sent: of `lines`, the most frequent first, as many as `most_bytes` have room for."""
    pid = os.getpid()
    names: dict[int, str] = {}
    samples: list[str] = []
    left = most_bytes
    dropped = figures["dropped"]
    for route, kind, codes, note, is_truncated, count in lines:
        stack = [
            *([TRUNCATED] if is_truncated else []),
            *(_name(code, names) for code in codes),
            *([note] if note else []),
        ]
        # One by one: others have their turn between two.
        text = json.dumps({"stack": stack, "kind": kind, "route": route, "worker": pid, "count": count})
        left -= len(text) + 2
        if left < 0:
            dropped += count
        else:
            samples.append(text)
    seen = [json.dumps({"route": route, "worker": pid, "count": count}) for route, count in routes]
    head = {
        **{name: value for name, value in figures.items() if name != "seconds"},
        "dropped": dropped,
        "ms": int(figures["seconds"] * 1000),
        "pid": pid,
    }
    return "\n".join([json.dumps(head), ", ".join(seen), ", ".join(samples), ""]).encode("ascii")


def _name(code: CodeType | str, names: dict[int, str]) -> str:
    """Return `function (file:line)`, with the line that the function begins at."""
    if isinstance(code, str):
        return code[-2 * _MOST_CHARACTERS :]
    name = names.get(id(code))
    if name is None:
        function = getattr(code, "co_qualname", code.co_name)
        name = f"{function[:_MOST_CHARACTERS]} ({code.co_filename[-_MOST_CHARACTERS:]}:{code.co_firstlineno})"
        names[id(code)] = name
    return name
