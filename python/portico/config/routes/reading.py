"""From the tables of a file to the table of routes.

Receives each table that makes routes, hands on `Routes`, and the settings of the one application where there
is no other. Notes what is wrong, in each table and among them (`rules.py`). Runs in the process of
the command line only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from portico.config.document import Document
from portico.config.routes import rules
from portico.config.routes.entry import MOUNTS, Entry
from portico.config.routes.keys import ONCE, TABLES, AppKeys, RedirectKeys, RoutesKeys
from portico.config.routes.table import ANY_HOST, MISDIRECTED, Route, Routes
from portico.config.settings import Settings
from portico.config.table_reader import TableReader, TableValues
from portico.config.toml_positions import PathInDocument
from portico.errors import quoted

if TYPE_CHECKING:
    from portico.config.routes.folder import Applications


class RouteReader:
    """Reads the tables of one document that make routes."""

    def __init__(self, document: Document, reader: TableReader) -> None:
        self._document = document
        self._reader = reader
        self._entries: list[Entry] = []
        self._of_all: Entry | None = None
        # Of a folder of applications: the tables that are served, and all that was found.
        self._of_folder: list[Entry] = []
        self.applications: Applications | None = None

    def read(self, value: object, path: PathInDocument) -> None:
        """Read a table, or an array of them."""
        name = str(path[-1])
        header = self._document.header(name, is_array=name != ONCE)
        if name == ONCE:
            if not isinstance(value, dict):
                return self._document.wrong_type(path, f"a table {header}", value)
            self._of_all = self._entry(value, path, header)
        elif not isinstance(value, list):
            return self._document.wrong_type(path, f"tables {header}", value)
        else:
            for index, element in enumerate(value):
                if isinstance(element, dict):
                    self._entries.append(self._entry(element, (*path, index), header))
                else:
                    self._document.wrong_type((*path, index), f"tables {header}", element)
        return None

    def _entry(self, value: dict[str, Any], path: PathInDocument, header: str) -> Entry:
        rows = TABLES[self._document.name(path)]
        return Entry(self._document, path, header, self._reader.table(value, path, rows, header=header))

    def read_folder(self, environment: Mapping[str, str]) -> None:
        """Read the applications of the folder, if there is one; to be called once all tables were read."""
        if not self.folder:
            return
        # Here, because few files name one.
        from portico.config.routes.folder import read_applications

        assert self._of_all is not None, "it names the folder"
        rows = [row for entry in self._entries if entry.is_whole for row in entry.rows()]
        try:
            self.applications = read_applications(
                self.folder,
                environment,
                as_owner=self._of_all.get(RoutesKeys.apps_as_owner),
                beside=self._entries,
                rows=rows,
            )
        except OSError as error:
            self._document.mistake(
                self._of_all.place_of(RoutesKeys.apps),
                f"apps: expected a folder, got {quoted(self.folder)}: {error.strerror}",
            )
            return
        self._of_folder = self.applications.entries

    @property
    def folder(self) -> str:
        """The folder of applications; empty if there is none."""
        return "" if self._of_all is None else str(self._of_all.get(RoutesKeys.apps))

    @property
    def workers(self) -> int | None:
        """How many processes pass requests to pools, if that is said."""
        return None if self._of_all is None else self._of_all.get(RoutesKeys.workers)

    @property
    def starts_at_once(self) -> int | None:
        """How many pools may start at a time, if that is said."""
        return None if self._of_all is None else self._of_all.get(RoutesKeys.starts_at_once)

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing but one application, at one place: then it has no need of routes."""
        if self.folder:
            return False
        if len(self._entries) != 1 or self._entries[0].table != "app":
            return not self._entries
        [entry] = self._entries
        return bool(
            not entry.get(AppKeys.hosts) and entry.get(AppKeys.strip) and len(entry.get(AppKeys.mounts)) <= 1
        )

    def flat(self) -> TableValues:
        """Return the settings that the only application has, if there is one."""
        flat = TableValues()
        apps = [entry for entry in self._entries if entry.table == "app"]
        if len(apps) != 1 or self.folder:
            return flat
        found = apps[0].found
        own = {row.attribute for row in vars(AppKeys).values() if row in TABLES["app"]}
        if not self.is_flat:
            # Other rows have pages of their own, or those of all.
            own.add(Settings.error_pages.attribute)
        flat.paths = {key: path for key, path in found.paths.items() if key not in own}
        flat.values = {key: value for key, value in found.values.items() if key not in own}
        flat.origins = {key: origin for key, origin in found.origins.items() if key not in own}
        flat.unread = found.unread - own
        mount = Settings.script_name.attribute
        if self.is_flat and found.values.get(MOUNTS):
            flat.paths[mount] = found.paths[MOUNTS]
            [flat.values[mount]] = found.values[MOUNTS]
            flat.origins[mount] = found.origins[MOUNTS]
        return flat

    @property
    def flat_venv(self) -> str:
        """The virtual environment of the only application, if there is one."""
        apps = [entry for entry in self._entries if entry.table == "app"]
        return str(apps[0].get(AppKeys.venv)) if len(apps) == 1 and not self.folder else ""

    def routes(self) -> Routes | None:
        """Return the table of all that was read; None if the file makes no routes."""
        if not self._entries and self._of_all is None:
            return None
        is_flat = self.is_flat
        for entry in self._entries:
            self._note(rules.of_entry(entry, is_named_elsewhere=is_flat))
            self._settle(entry)
        self._note(rules.of_names(self._entries))
        self._note(rules.of_upstream_names(self._entries))
        rows = [row for entry in self._entries for row in entry.rows() if entry.is_whole]
        self._note(rules.of_rows(rows))
        of_folder = [row.route for entry in self._of_folder for row in entry.rows()]
        routes = self._routes([*(row.route for row in rows), *of_folder])
        if all(entry.is_whole for entry in self._entries):
            self._note(rules.of_order(routes, rows))
            if self._of_all is not None:
                self._note(rules.of_unknown_host(self._of_all, routes))
        return routes

    def _settle(self, entry: Entry) -> None:
        """Give a redirect that nothing can be appended to the value that this means."""
        append = RedirectKeys.append
        if (
            entry.table == "redirect"
            and not entry.has(append)
            and rules.has_query(entry.get(RedirectKeys.to))
        ):
            entry.found.values[append.attribute] = False

    def _routes(self, routes: list[Route]) -> Routes:
        row = RoutesKeys.unknown_host
        if self._of_all is not None and row.attribute in self._of_all.found.values:
            origin = self._of_all.found.origins[row.attribute]
            return Routes(routes, unknown_host=self._of_all.get(row), unknown_host_origin=origin)
        has_default = not routes or any(route.host == ANY_HOST for route in routes)
        return Routes(routes, unknown_host=0 if has_default else MISDIRECTED)

    def _note(self, mistakes: Iterable[rules.Mistake]) -> None:
        for place, sentence in mistakes:
            self._document.mistake(place, sentence)
