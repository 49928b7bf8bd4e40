"""One table of a file that makes routes, as it was read: `[[app]]`, `[[static]]` and so on.

Receives its values, hands on the action and the rows that come of them. Runs in the process of the command
line only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portico.config.document import Document
from portico.config.routes.keys import TABLES, AppKeys
from portico.config.routes.table import ANY_HOST, Action, Route
from portico.config.setting import Setting
from portico.config.table_reader import TableValues
from portico.config.toml_positions import PathInDocument, Place

MOUNTS, PATHS, HOSTS = "mounts", "paths", "hosts"
"""The attributes that say where; all others say what."""

_TOP = Place(1, 1)
_NOTHING_SAID: list[tuple[str, Place | None]] = [(ANY_HOST, None)]


class Row:
    """A route, the table that it is of, and where its path stands, or else the table."""

    __slots__ = ("entry", "place", "route")

    def __init__(self, route: Route, entry: Entry, place: Place) -> None:
        self.route = route
        self.entry = entry
        self.place = place


class Entry:
    """A table with its values; `header` is how it is written, `place` where.

    Where that is a file of its own (`folder.py`), `source` is its path and when it was changed.
    """

    def __init__(
        self,
        document: Document,
        path: PathInDocument,
        header: str,
        found: TableValues,
        *,
        source: tuple[str, int] = ("", 0),
    ) -> None:
        self.table = document.name(path) or "app"
        self.header = header
        self.found = found
        self.source = source
        self.place = document.value_place(path) if path else _TOP
        self.origin = document.shown(self.place)
        self._document = document

    def get(self, row: Setting[Any]) -> Any:
        """Return what it says of `row`, or the default."""
        return self.found.values.get(row.attribute, row.default)

    @property
    def is_whole(self) -> bool:
        """Whether all of it was understood; if not, what seems to be missing may be there."""
        return not (self.found.unread or self.found.has_unknown)

    def has(self, row: Setting[Any]) -> bool:
        """Say whether the key of `row` stands in it, perhaps with a mistake."""
        return row.attribute in self.found.paths

    def place_of(self, row: Setting[Any]) -> Place:
        """Return where the value of `row` stands, if it is there, else where the table does."""
        path = self.found.paths.get(row.attribute)
        return self.place if path is None else self._document.value_place(path)

    def action(self) -> Action:
        """Return what takes the requests. Settings are there if they were given, other keys always."""
        of_table = {row.attribute: row.default for row in TABLES[self.table] if row.group.table == self.table}
        if self.table == "app":
            of_table = {AppKeys.strip.attribute: AppKeys.strip.default}
        values = {**of_table, **self.found.values}
        for attribute in (MOUNTS, PATHS, HOSTS):
            values.pop(attribute, None)
        return Action(self.table, values, self.origin, origins=self.found.origins, source=self.source)

    def rows(self) -> Iterator[Row]:
        """Yield a row for each of its hosts and paths."""
        action = self.action()
        paths = [
            *((path, True, place) for path, place in self._elements(PATHS)),
            *((path, False, place) for path, place in self._elements(MOUNTS)),
        ]
        for host, host_place in self._elements(HOSTS) or _NOTHING_SAID:
            for path, is_exact, place in paths or [("", False, None)]:
                route = Route(
                    host,
                    path,
                    action,
                    is_exact=is_exact,
                    host_origin=self._document.shown(host_place) if host_place else "",
                    path_origin=self._document.shown(place) if place else "",
                )
                yield Row(route, self, place or self.place)

    def _elements(self, attribute: str) -> list[tuple[str, Place | None]]:
        values = self.found.values.get(attribute, ())
        if not values:
            return []
        places = self._document.element_places(self.found.paths[attribute], len(values))
        return list(zip(values, places, strict=True))
