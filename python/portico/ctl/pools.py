"""What pools say, put behind what the server in front of them says: workers, requests, slow lines, errors.

Each pool is asked itself, over its own control socket, and waited for a moment at most; one that cannot be
asked is told of, with why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from portico.ctl.connection import EXIT_NOT_RUNNING, ask
from portico.errors import OperatorError, quoted

PATIENCE_S = 2.0
"""For the supervisor of a pool, which responds at once unless it is stopped, or the machine overloaded."""

_LISTS: dict[str, tuple[tuple[str, str], ...]] = {
    "workers": (("workers", ""),),
    "requests": (("requests", "seconds"),),
    "slow": (("lines", "seconds"), ("recent", "at")),
    "errors": (("errors", "at"),),
}
"""Of each verb its lists, and by what they are sorted, the greatest first."""

_WHY_NOT = {"asleep": "it sleeps until somebody asks for it", "waiting": "it waits for its turn to start"}


def control_of(pool: Mapping[str, Any]) -> str:
    """Return where a pool is asked, of which the server has said this. Raises OperatorError."""
    name = pool["name"]
    if not pool["control"]:
        why = pool["why"] or _WHY_NOT.get(pool["state"], "it starts, or control is off")
        raise OperatorError(f"the pool {name} cannot be asked: {why}", exit_code=EXIT_NOT_RUNNING)
    control = str(pool["control"])
    try:
        # A pool that is another user's says itself where that is.
        is_its_own = os.lstat(control).st_uid == os.stat(f"/proc/{pool['pid']}").st_uid
    except OSError:
        is_its_own = False
    if not is_its_own:
        raise OperatorError(f"the pool {name} cannot be asked: {quoted(control)} is not its own")
    return control


def with_pools(path: str, verb: str, result: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return `result`, of the server at `path`, with that of its pools: each row has the name of its `pool`.

    Those that could not be asked are in `not_asked`, by name, with why.
    """
    if verb != "status" and verb not in _LISTS:
        return result
    status = result if verb == "status" else ask(path, "status", timeout_s=PATIENCE_S)
    if not status.get("pools"):
        return result
    result["not_asked"] = {}
    for pool, said in _ask_each(status["pools"], verb, result["not_asked"], fields):
        if verb == "status":
            # What the first supervisor knows of it stays.
            names = ("requests", "errors", "running", "total", "threads", "saturation", "restarts")
            pool.update({name: said[name] for name in names if name in said})
        for rows, _ in _LISTS.get(verb, ()):
            its = (
                {"pool": pool["name"], "control": pool["control"]}
                if verb == "workers"
                else {"pool": pool["name"]}
            )
            result[rows] += [{**row, **its} for row in said.get(rows, ())]
    for rows, greatest in _LISTS.get(verb, ()):
        if greatest:
            result[rows].sort(key=lambda row, by=greatest: -row[by])
    return result


def _ask_each(
    pools: list[dict[str, Any]], verb: str, not_asked: dict[str, str], fields: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for pool in pools:
        if pool["state"] == "asleep":
            continue  # it has nothing, and is not to be woken
        try:
            control = control_of(pool)
        except OperatorError as error:
            not_asked[pool["name"]] = error.message
            continue
        try:
            said = ask(control, verb, timeout_s=PATIENCE_S, **fields)
        except OperatorError as error:
            not_asked[pool["name"]] = f"the pool {pool['name']}: {error.message}"
            continue
        yield pool, said
