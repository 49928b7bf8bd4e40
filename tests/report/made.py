"""Lines of access logs that tests make up."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

START_S = 1_795_916_767
"""2026-11-29 01:46:07 UTC."""


def json_line(
    *,
    path: str = "/",
    status: int = 200,
    total_ns: int | None = 1_000_000,
    at_s: float = 0,
    route: str | None = None,
    **more: Any,
) -> str:
    """A line of JSON, as portico writes it; `more` by the names of JSON, with _ for a point in `portico_`."""
    date = datetime.fromtimestamp(START_S + at_s, timezone.utc).isoformat(timespec="milliseconds")
    values = {
        "@timestamp": date.replace("+00:00", "Z"),
        "http.request.method": "GET",
        "url.path": path,
        "http.route": route,
        "http.response.status_code": status,
        "http.response.body.bytes": 10,
        "event.duration": total_ns,
        **{name.replace("portico_", "portico."): value for name, value in more.items()},
    }
    return json.dumps({name: value for name, value in values.items() if value is not None})


def text(lines: list[str]) -> str:
    """A log of these lines."""
    return "".join(f"{line}\n" for line in lines)
