"""The configuration file: `portico.toml`, or `[tool.portico]` of `pyproject.toml`; its values by setting.

Receives a path, hands on `FileValues`. Reports everything that is wrong with a file at once: `document.py` is
one while it is read, `table_reader.py` reads the tables of it, `routes/reading.py` makes routes of those that
are none of settings. Runs in the process of the command line only, before the exec: what is supervised never
imports a TOML reader.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from portico.config.document import Document
from portico.config.file_names import OWN_TABLE, SHARED_NAME
from portico.config.setting import Group, Setting, is_one_row
from portico.config.settings import Settings, by_group
from portico.config.table_reader import TableReader, TableValues
from portico.config.toml_file import open_document, text_of_file
from portico.config.toml_positions import PathInDocument, Place

if TYPE_CHECKING:
    from portico.config.routes.folder import Applications
    from portico.config.routes.table import Routes

ARRAYS = ("app",)
"""The tables of settings of which there may be several."""


class FileValues:
    """What a file says: values by attribute, and where each of them stands (`portico.toml:3:11`).

    `mistakes` has a sentence for each: its place, what was expected and what is there. `unread` are the
    attributes whose values are among them. `routes` are those that the file describes, none if it has no
    table that does; `is_flat` says that one application is all there is, so that none is needed. `folder` is
    that of further applications, if there is one, and `applications` is what was found there;
    `router_workers` is how many processes pass requests to pools, and `starts_at_once` how many of these may
    start at a time. `venv` is that of the only application.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.routes: Routes | None = None
        self.is_flat = True
        self.folder = ""
        self.applications: Applications | None = None
        self.router_workers: int | None = None
        self.starts_at_once: int | None = None
        self.venv = ""
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.mistakes: list[str] = []
        self.unread: set[str] = set()


def read_file(path: str, environment: Mapping[str, str], *, origin: str = "") -> FileValues:
    """Return the values of the file at `path`, of which `origin` says who has named it.

    Raises OperatorError if it cannot be read, or is not TOML; other mistakes are among what is returned.
    """
    tables, document = open_document(text_of_file(path, origin), path, environment)
    return _Reader(document, environment).read(tables, is_chosen=bool(origin))


class _Reader:
    """Reads one document, noting every mistake and going on."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self._found = FileValues(document.path)
        self._document = document
        self._environment = environment
        self._groups: dict[str, tuple[Group, list[Setting[Any]]]] = {
            group.table: (group, rows) for group, rows in by_group().items()
        }

    def read(self, document: Mapping[str, Any], *, is_chosen: bool) -> FileValues:
        """Return what `document` says; `is_chosen` says that somebody has named it as a configuration."""
        ours = self._ours(document, is_chosen=is_chosen)
        if ours is not None:
            self._tables(*ours)
        self._found.mistakes = self._document.mistakes
        return self._found

    def _ours(
        self, document: Mapping[str, Any], *, is_chosen: bool
    ) -> tuple[Mapping[str, Any], PathInDocument] | None:
        """Return what is ours of `document`, and where that stands; None, having noted why, if nothing is."""
        table: Any = document
        path: tuple[str, ...] = ()
        if os.path.basename(self._found.path) != SHARED_NAME:
            return table, path
        for key in OWN_TABLE:
            path = (*path, key)
            if is_chosen and key not in table:
                sentence = f"expected a table [{'.'.join(OWN_TABLE)}], got none"
                self._document.mistake(Place(1, 1), sentence)
                return None
            table = table.get(key, {})
            if not isinstance(table, dict):
                self._document.wrong_type(path, f"a table [{'.'.join(path)}]", table)
                return None
        self._document.prefix = path
        return table, path

    def _tables(self, tables: Mapping[str, Any], path: PathInDocument) -> None:
        # Here for the same reason as tomllib.
        from portico.config.routes.keys import TABLES as ROUTE_TABLES
        from portico.config.routes.reading import RouteReader

        elsewhere = self._elsewhere()
        reader = TableReader(self._document, elsewhere)
        routes = RouteReader(self._document, reader)
        for key, value in tables.items():
            here = (*path, key)
            if key in ROUTE_TABLES:
                routes.read(value, here)
            elif key == Settings.logconfig.key:
                self._take(reader.table({key: value}, path, [Settings.logconfig], header=""))
            elif key not in self._groups:
                known = [*self._groups, *ROUTE_TABLES, Settings.logconfig.key]
                self._unknown_table(here, known, elsewhere)
            elif isinstance(value, dict):
                header = self._document.header(key, is_array=False)
                group, rows = self._groups[key]
                if is_one_row(group, rows):
                    self._take(reader.table({key: value}, path, rows, header=header))
                else:
                    self._take(reader.table(value, here, rows, header=header))
            else:
                self._document.wrong_type(
                    here, f"a table {self._document.header(key, is_array=False)}", value
                )
        routes.read_folder(self._environment)
        self._found.routes = routes.routes()
        self._found.is_flat = routes.is_flat
        self._found.applications = routes.applications
        self._found.folder = routes.folder
        self._found.router_workers = routes.workers
        self._found.starts_at_once = routes.starts_at_once
        self._take(routes.flat())
        self._found.venv = routes.flat_venv

    def _take(self, table: TableValues) -> None:
        """Add the settings of `table`; the only [[app]] may have some that stand in other tables, too."""
        for attribute, value in table.values.items():
            if other := self._found.origins.get(attribute):
                path = table.paths[attribute]
                self._document.mistake(
                    self._document.value_place(path), f"{path[-1]} is given twice: at {other}, too"
                )
            self._found.values[attribute] = value
            self._found.origins[attribute] = table.origins[attribute]
        self._found.unread |= table.unread

    def _unknown_table(
        self, path: PathInDocument, known: Sequence[str], elsewhere: Mapping[str, str]
    ) -> None:
        document = self._document
        hint = ""
        if path[-1] == OWN_TABLE[0] and not document.prefix:
            hint = f"; [{'.'.join(OWN_TABLE)}] is for {SHARED_NAME}"
        what = f"a table of {'.'.join(map(str, path[:-1])) or document.path}"
        document.unknown(path, what, known, elsewhere=elsewhere, hint=hint)

    def _elsewhere(self) -> dict[str, str]:
        """Return in which table each setting stands, by its key and by its name."""
        places = {
            row: f"{row.key} in {self._document.header(group.table, is_array=group.table in ARRAYS)}"
            for group, rows in self._groups.values()
            for row in rows
        }
        # What is a key in several tables is most likely the setting of that name.
        by_key = {row.key: place for row, place in places.items()}
        return by_key | {row.name: place for row, place in places.items()}
