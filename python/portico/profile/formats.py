"""The result of a profile in formats that other programs read: collapsed stacks, speedscope's, JSON.

`result` is what the control socket has told (docs/run/profile.md); nothing else is asked.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Result = dict[str, Any]

KINDS = ("cpu", "waiting", "lock")
SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_NAMED = re.compile(r"(.*) \((.*):(\d+)\)", re.DOTALL)


def collapsed(result: Result) -> str:
    """Return a line for each stack: route, kind, functions from the outermost on, `;` between, and how often.

    As flamegraph.pl, inferno and speedscope read it. Other workers' are joined.
    """
    counts: dict[str, int] = {}
    for sample in result["samples"]:
        frames = [sample["route"], f"[{sample['kind']}]", *sample["stack"]]
        line = ";".join(map(_frame, frames))
        counts[line] = counts.get(line, 0) + sample["count"]
    return "".join(f"{line} {count}\n" for line, count in sorted(counts.items(), key=lambda each: -each[1]))


def speedscope(result: Result) -> str:
    """Return a file of https://www.speedscope.app: a profile for each route and kind, the largest first.

    Weights are seconds: each sample stands for the time between two.
    """
    frames: dict[str, int] = {}
    profiles: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for sample in result["samples"]:
        of_route = profiles.setdefault((sample["route"], sample["kind"]), {"samples": [], "weights": []})
        of_route["samples"].append([frames.setdefault(name, len(frames)) for name in sample["stack"]])
        of_route["weights"].append(sample["count"] / result["hz"])
    written = [
        {
            "type": "sampled",
            "name": f"{route} [{kind}]",
            "unit": "seconds",
            "startValue": 0,
            "endValue": sum(each["weights"]),
            **each,
        }
        for (route, kind), each in profiles.items()
    ]
    if not written:
        # There has to be one.
        written.append(
            {
                "type": "sampled",
                "name": "no call ran",
                "unit": "seconds",
                "startValue": 0,
                "endValue": 0,
                "samples": [],
                "weights": [],
            }
        )
    return json.dumps(
        {
            "$schema": SCHEMA,
            "name": f"{result.get('name', '')} for {result['seconds']:g} s",
            "exporter": "portico profile",
            "activeProfileIndex": 0,
            "shared": {"frames": [_described(name) for name in frames]},
            "profiles": sorted(written, key=lambda each: -float(str(each["endValue"]))),
        }
    )


def as_json(result: Result) -> str:
    """Return the result as it came."""
    return json.dumps(result) + "\n"


def _described(name: str) -> dict[str, Any]:
    """Return what speedscope knows of a function; `function (file:line)`, or a note of ours."""
    if found := _NAMED.fullmatch(name):
        return {"name": found[1], "file": found[2], "line": int(found[3])}
    return {"name": name}


def _frame(name: str) -> str:
    """Return `name` without what has a meaning between frames."""
    return "".join(" " if character in "\r\n" else character for character in name.replace(";", ","))
