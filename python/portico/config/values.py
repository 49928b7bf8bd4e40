"""The values of one server's settings, with the table of settings or without it.

The table, its kinds and its documentation are for the command line. A supervisor and its workers have values
that were read and checked there, and need nothing of it: 0.4 MB of each.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

AUTO = "auto"
"""What stands among the directories of static files for those that the application names."""

THREADS = "threads"
"""The way to have many calls at a time that is no event loop."""


class Values:
    """The values of one server, each with where it came from.

    `values` and `origins` are keyed by attribute; an origin reads like `--threads on the command line`.
    `routes` is the table of a server of several applications in plain values (config/routes/table.py), or
    empty. `pools` describes those of a server that has several, in plain values (config/pools.py); of a pool,
    `pool` is what the server of all pools has told it. `virtual_environment` is the one whose Python is to
    run it, or empty.
    """

    __slots__ = ("origins", "pool", "pools", "routes", "values", "virtual_environment")

    def __init__(self, values: dict[str, Any], origins: dict[str, str], routes: Sequence[Any] = ()) -> None:
        self.values = values
        self.origins = origins
        self.routes = list(routes)
        self.pools: dict[str, Any] | None = None
        self.pool: dict[str, Any] | None = None
        self.virtual_environment = ""

    @property
    def most_calls(self) -> int:
        """How many calls of the application a worker has at the same time."""
        count: int = self.values[THREADS if self.values["worker"] == THREADS else "greenlets"]
        return count


class HandedValues(Values):
    """As `Settings`, without the table: each value is an attribute all the same."""

    __slots__ = ()

    def __getattr__(self, attribute: str) -> Any:
        try:
            return self.values[attribute]
        except KeyError:
            raise AttributeError(attribute) from None
