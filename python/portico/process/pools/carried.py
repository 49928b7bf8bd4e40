"""What goes on as it was although its file is wrong now: applications of the folder that a reload leaves out.

Receives the plan of the reload and the one before it, and gives the first the pools and routes of such files,
where nobody else has taken their places.
"""

from __future__ import annotations

from portico import log
from portico.config.routes.table import Routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan


def carry_over(plan: Plan, before: Plan) -> None:
    """Let `plan` have what `before` has of the files that were left out."""
    now, then = plan.settings.pools, before.settings.pools
    assert now is not None, "called where there are pools"
    assert then is not None, "called where there were pools"
    names = {record["name"] for record in now["pools"]}
    carried = [
        record
        for record in then["pools"]
        if record["source"] in now["left_out"] and record["name"] not in names
    ]
    if not carried:
        return
    files = {record["file"] for record in carried}
    routes = Routes.load(plan.settings.routes)
    taken = {(route.host, route.path, route.is_exact) for route in routes.routes}
    rows = [
        route
        for route in Routes.load(before.settings.routes).routes
        if route.action.values.get("pool_file") in files
        and (route.host, route.path, route.is_exact) not in taken
    ]
    plan.settings.routes = Routes(
        [*routes.routes, *rows],
        unknown_host=routes.unknown_host,
        unknown_host_origin=routes.unknown_host_origin,
    ).dump()
    now["pools"] += carried
    for record in carried:
        log.warning(f"pool {record['name']} goes on as it was, until {record['source']} can be read again")
