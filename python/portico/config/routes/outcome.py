"""What becomes of a request that a row takes: the file, the place of a redirect, what an application is told.

Receives what `Routes.find` has found, hands on names and values. Runs in the process of the command line
only.
"""

from __future__ import annotations

import os
import urllib.parse
from typing import Any

from portico.config.routes.kinds import SCHEMES_WITH_VARIABLES
from portico.config.routes.table import Found

# RFC 3986 3.3, without what a target cannot hold.
_SAFE_IN_PATH = "/:@!$&'()*+,;=-._~"


def outcome(found: Found, query: str) -> dict[str, Any]:
    """Return what `found` means for its request, of which `query` begins with its question mark."""
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
            shown["target"] = quoted_path(path) + query
        if any(with_variables):
            shown |= {"SCRIPT_NAME": found.script_name, "PATH_INFO": path}
        return shown
    if action.table == "redirect":
        rest = quoted_path(found.path_info) + query if values["append"] else ""
        return {"status": values["status"], "location": location(values["to"], rest)}
    return {"status": values["status"]}


def location(to: str, rest: str) -> str:
    """Return where a redirect to `to` leads; `rest` is what is appended: a path or nothing, and a query.

    What is appended never makes another host of it (`//host`).
    """
    if not rest.startswith("/"):
        return to + rest
    path = to.rstrip("/") + rest
    return path if to.rstrip("/") else "/" + path.lstrip("/")


def quoted_path(path: str) -> str:
    """Return a decoded path as it stands in a target."""
    return urllib.parse.quote(path, safe=_SAFE_IN_PATH, errors="surrogateescape")


def _files(root: str, path: str, index: tuple[str, ...]) -> list[str]:
    """Return the files that are looked for, the first first."""
    file = os.path.join(root, path.lstrip("/"))
    return [os.path.join(file, name) for name in index] if file.endswith("/") or not path else [file]
