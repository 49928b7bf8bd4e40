"""The values of one table of a configuration file, each read as its row says.

Receives a table of the document and the rows that may stand in it; hands on `TableValues`, and notes what is
wrong. The tables of settings and those of routes are read alike. Runs in the process of the command line
only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.config.document import Document
from portico.config.kinds import EnvironmentVariable, LogConfig, Middleware
from portico.config.reading import parse, text_of
from portico.config.setting import Setting
from portico.config.toml_positions import PathInDocument
from portico.errors import OperatorError, quoted


class TableValues:
    """What a table says: values by attribute, and where each of them stands (`portico.toml:3:11`).

    `unread` are the attributes whose values are mistakes, `has_unknown` says that there are other keys, too;
    `paths` are where the values stand in the document.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.unread: set[str] = set()
        self.has_unknown = False
        self.paths: dict[str, PathInDocument] = {}


class TableReader:
    """Reads tables of `document`; `elsewhere` says of settings in which table they stand."""

    def __init__(self, document: Document, elsewhere: Mapping[str, str]) -> None:
        self._document = document
        self._elsewhere = elsewhere

    def table(
        self, table: Mapping[str, Any], path: PathInDocument, rows: Sequence[Setting[Any]], *, header: str
    ) -> TableValues:
        """Return what `table`, at `path`, says of `rows`; `header` is how it is written."""
        found = TableValues()
        by_key = {row.key: row for row in rows}
        for key, value in table.items():
            if key in by_key:
                self._setting(found, by_key[key], value, (*path, key))
            else:
                found.has_unknown = True
                self._document.unknown(
                    (*path, key), f"a setting of {header}", by_key, elsewhere=self._elsewhere
                )
        return found

    def _setting(self, found: TableValues, row: Setting[Any], value: object, path: PathInDocument) -> None:
        before = self._document.mistake_count
        if not row.many:
            parsed: Any = self._one(row, value, path)
        elif isinstance(value, dict) and row.kind.table_natives:
            parsed = tuple(self._named(row, name, text, (*path, name)) for name, text in value.items())
        elif isinstance(value, list):
            parsed = tuple(
                each for index, one in enumerate(value) for each in self._parts(row, one, (*path, index))
            )
        else:
            parsed = tuple(self._parts(row, value, path))
        found.paths[row.attribute] = path
        if self._document.mistake_count == before:
            found.values[row.attribute] = parsed
            found.origins[row.attribute] = self._document.shown(self._document.value_place(path))
        else:
            found.unread.add(row.attribute)

    def _named(self, row: Setting[Any], name: str, value: object, path: PathInDocument) -> Any:
        document = self._document
        if isinstance(row.kind, EnvironmentVariable) and (not name.strip() or "=" in name):
            return document.mistake(
                document.key_place(path), f"{row.key}: expected the name of a variable, got {quoted(name)}"
            )
        if type(value) not in row.kind.table_natives:
            expected = "a string or a whole number" if int in row.kind.table_natives else "a string"
            return document.wrong_type(path, expected, value)
        text = document.substituted(text_of(value), document.value_place(path))
        return None if text is None else self._parsed(row, f"{name}={text}", path)

    def _parts(self, row: Setting[Any], value: object, path: PathInDocument) -> list[Any]:
        """Return what `value` says of a setting that can be repeated; commas are as on a command line."""
        if isinstance(value, str) and str in row.kind.natives:
            text = self._document.substituted(value, self._document.value_place(path))
            return [] if text is None else [self._parsed(row, part, path) for part in row.kind.split(text)]
        return [self._one(row, value, path)]

    def _one(self, row: Setting[Any], value: object, path: PathInDocument) -> Any:
        if isinstance(value, dict) and isinstance(row.kind, Middleware):
            return self._middleware(row, value, path)
        if isinstance(value, dict) and isinstance(row.kind, LogConfig):
            # Here, because few have one.
            from portico.config.logconfig_table import read_tables

            return read_tables(self.plain, self._document, value, path)
        if isinstance(value, str):
            text = self._document.substituted(value, self._document.value_place(path))
            if text is None:
                return None
            is_accepted = str in row.kind.natives or text != value
        else:
            is_accepted = type(value) in row.kind.natives
            text = text_of(value)
        if not is_accepted:
            return self._document.wrong_type(path, row.kind.expected, value)
        return self._parsed(row, text, path)

    def _parsed(self, row: Setting[Any], text: str, path: PathInDocument) -> Any:
        document = self._document
        place = document.value_place(path)
        try:
            value = parse(row, text, f"{document.shown(place)}: {document.name(path)}")
        except OperatorError as error:
            return document.mistake(place, error.message, is_whole=True)
        return row.kind.from_folder(value, document.folder)

    def _middleware(self, row: Setting[Any], table: Mapping[str, Any], path: PathInDocument) -> Any:
        """`use`, and the arguments of what it names."""
        document = self._document
        use = table.get("use")
        if use is None:
            expected = 'a table with use = "MODULE:NAME"'
            return document.mistake(
                document.value_place(path), f"{document.name(path)}: expected {expected}, got none"
            )
        if not isinstance(use, str):
            return document.wrong_type((*path, "use"), row.kind.expected, use)
        named = self._one(row, use, (*path, "use"))
        if named and named[1]:
            return document.wrong_type(
                (*path, "use"), "a module and a name in it, and arguments as keys beside it", use
            )
        arguments = tuple(
            (name, self.plain(value, (*path, name))) for name, value in table.items() if name != "use"
        )
        return (named[0], arguments) if named else None

    def plain(self, value: object, path: PathInDocument) -> Any:
        """Return an argument with the environment's values in it: it is of types that can cross an exec."""
        if isinstance(value, str):
            return self._document.substituted(value, self._document.value_place(path))
        if isinstance(value, list):
            return [self.plain(each, (*path, index)) for index, each in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.plain(each, (*path, key)) for key, each in value.items()}
        if not isinstance(value, bool | int | float):
            return self._document.wrong_type(
                path, "a string, a number, true, false, an array or a table", value
            )
        return value
