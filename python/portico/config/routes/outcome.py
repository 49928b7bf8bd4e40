"""What becomes of a request that a row takes: the file, the place of a redirect, what an application is told.

Receives what `Routes.find` has found, hands on names and values. Runs in the process of the command line
only.
"""

from __future__ import annotations

import os
from typing import Any

from portico.config.routes.kinds import SCHEMES_WITH_VARIABLES
from portico.config.routes.request import Request
from portico.config.routes.table import Found


def outcome(found: Found, request: Request) -> dict[str, Any]:
    """Return what `found` means for its `request`."""
    if found.route is None:
        return {"status": found.status}
    action = found.route.action
    values = action.values
    if action.table == "app":
        return {"SCRIPT_NAME": found.script_name, "PATH_INFO": found.path_info}
    if action.table == "static":
        return {"file": _files(values["root"], found.path_info, values["index"])}
    if action.table == "upstream":
        path = found.path_info or "/"
        shown: dict[str, Any] = {"to": list(values["to"])}
        with_variables = [address.startswith(SCHEMES_WITH_VARIABLES) for address in values["to"]]
        if not all(with_variables):
            shown["target"] = (request.below(found.script_name) or "/") + request.query
        if any(with_variables):
            shown |= {"SCRIPT_NAME": found.script_name, "PATH_INFO": path}
        return shown
    if action.table == "redirect":
        rest = request.below(found.script_name) + request.query if values["append"] else ""
        return {"status": values["status"], "location": location(values["to"], rest)}
    return {"status": values["status"]}


def location(to: str, rest: str) -> str:
    """Return where a redirect to `to` leads; `rest` is what is appended: a path or nothing, and a query.

    What is appended never makes another host of it (`//host`, and to browsers `/\\host`).
    """
    if not rest.startswith("/"):
        return to + rest
    path = to.rstrip("/") + rest
    return path if to.rstrip("/") else "/" + path.lstrip("/\\")


def _files(root: str, path: str, index: tuple[str, ...]) -> list[str]:
    """Return the files that are looked for, the first first."""
    file = os.path.join(root, path.lstrip("/"))
    return [os.path.join(file, name) for name in index] if file.endswith("/") or not path else [file]
