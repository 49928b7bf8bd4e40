"""The configuration file: `portico.toml`, or `[tool.portico]` of `pyproject.toml`; its values by setting.

Receives a path, hands on `FileValues`. Reports everything that is wrong with a file at once: `document.py` is
one while it is read, `table_reader.py` reads the tables of it, `routes/reading.py` makes routes of those that
are none of settings. Runs in the process of the command line only, before the exec: what is supervised never
imports a TOML reader.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from portico.config.document import Document
from portico.config.setting import Group, Setting
from portico.config.settings import by_group
from portico.config.table_reader import TableReader, TableValues
from portico.config.toml_positions import PathInDocument, Place, places
from portico.errors import OperatorError, quoted

if TYPE_CHECKING:
    from portico.config.routes.table import Routes

OWN_NAME = "portico.toml"
SHARED_NAME = "pyproject.toml"
NONE = "none"
"""What is given in place of a path to have no file read."""
VARIABLE = "PORTICO_CONFIG"

_OWN_TABLE = ("tool", "portico")
"""What is ours in a file that is shared."""
ARRAYS = ("app",)
"""The tables of settings of which there may be several."""


class FileValues:
    """What a file says: values by attribute, and where each of them stands (`portico.toml:3:11`).

    `mistakes` has a sentence for each: its place, what was expected and what is there. `unread` are the
    attributes whose values are among them. `routes` are those that the file describes, none if it has no
    table that does; `unserved` says why a server cannot be started by it, although nothing is wrong, and
    `is_flat` that one application is all there is, so that none is needed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.routes: Routes | None = None
        self.unserved = ""
        self.is_flat = True
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.mistakes: list[str] = []
        self.unread: set[str] = set()


def find_file(chosen: str | None, environment: Mapping[str, str]) -> FileValues | None:
    """Return the values of the file `chosen`, else of the working directory's; None if there is none.

    Raises OperatorError if the chosen one is not there, or is not TOML.
    """
    origin = "-c on the command line"
    if chosen is None and (chosen := environment.get(VARIABLE, "").strip() or None):
        origin = f"{VARIABLE} in the environment"
    if chosen == NONE:
        return None
    if chosen is not None:
        return read_file(chosen, environment, origin=origin)
    if os.path.lexists(OWN_NAME):
        return read_file(OWN_NAME, environment)
    if os.path.lexists(SHARED_NAME) and "portico" in _text(SHARED_NAME, ""):
        return read_file(SHARED_NAME, environment)
    return None


def read_file(path: str, environment: Mapping[str, str], *, origin: str = "") -> FileValues:
    """Return the values of the file at `path`, of which `origin` says who has named it.

    Raises OperatorError if it cannot be read, or is not TOML; other mistakes are among what is returned.
    """
    # Here and not above: many a start has no file to read.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    text = _text(path, origin)
    try:
        document = tomllib.loads(text)
        opened = Document(path, places(text, tomllib.loads), environment)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(_syntax_error(path, text, str(error))) from None
    except ValueError:  # of int(), which the reader lets through
        raise OperatorError(_too_long_number(path, text)) from None
    except RecursionError:
        raise OperatorError(f"{path}: expected arrays and tables, got too many inside each other") from None
    return _Reader(opened).read(document, is_chosen=bool(origin))


def _text(path: str, origin: str) -> str:
    before = f"{origin}: " if origin else ""
    if path.endswith(".py") or path.startswith(("python:", "file:")):
        raise OperatorError(
            f"{before}expected a TOML file, got {quoted(path)}: settings that are made by Python go into the "
            "environment or to the command line, hooks into a module that --hooks names"
        )
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise OperatorError(f"{before}cannot read {quoted(path)}: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise OperatorError(
            f"{path}:{line}:{column}: expected UTF-8, got the byte {data[error.start]:#04x}"
        ) from None


def _too_long_number(path: str, text: str) -> str:
    found = re.search(r"[0-9](_?[0-9]){4300}", text)
    at = found.start() if found else 0
    place = Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return f"{path}:{place.line}:{place.column}: expected a number, got thousands of digits"


def _syntax_error(path: str, text: str, said: str) -> str:
    """Put the reader's words behind the place, as in every other sentence."""
    words, _, where = said.rpartition(" (at ")
    if names := re.search(r"\((?:'[^']*',? ?)+\)", words):
        # A path of keys is a tuple there.
        words = words.replace(names[0], ".".join(re.findall("'([^']*)'", names[0])))
    if found := re.match(r"line (\d+), column (\d+)", where):
        line, column = int(found[1]), int(found[2])
        key = re.match(r"\s*([^=\[\]{}#]+?)\s*=", text.split("\n")[line - 1])
        if key and words == "Cannot overwrite a value":
            words, column = f"{key[1]} has a value already", key.start(1) + 1
    else:
        line = text.count("\n") + 1
        column = len(text) - text.rfind("\n")
        words = f"{words} at the end of the file"
    return f"{path}:{line}:{column}: not TOML: {words[:1].lower()}{words[1:]}"


class _Reader:
    """Reads one document, noting every mistake and going on."""

    def __init__(self, document: Document) -> None:
        self._found = FileValues(document.path)
        self._document = document
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
        for key in _OWN_TABLE:
            path = (*path, key)
            if is_chosen and key not in table:
                sentence = f"expected a table [{'.'.join(_OWN_TABLE)}], got none"
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
            elif key not in self._groups:
                self._unknown_table(here, [*self._groups, *ROUTE_TABLES], elsewhere)
            elif isinstance(value, dict):
                header = self._document.header(key, is_array=False)
                self._take(reader.table(value, here, self._groups[key][1], header=header))
            else:
                self._document.wrong_type(
                    here, f"a table {self._document.header(key, is_array=False)}", value
                )
        self._found.routes = routes.routes()
        self._found.unserved = routes.unserved
        self._found.is_flat = routes.is_flat
        if not routes.unserved:
            self._take(routes.flat())

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
        if path[-1] == _OWN_TABLE[0] and not document.prefix:
            hint = f"; [{'.'.join(_OWN_TABLE)}] is for {SHARED_NAME}"
        what = f"a table of {'.'.join(map(str, path[:-1])) or document.path}"
        document.unknown(path, what, known, elsewhere=elsewhere, hint=hint)

    def _elsewhere(self) -> dict[str, str]:
        """Return in which table each setting stands, by its key and by its name."""
        return {
            name: f"{row.key} in {self._document.header(group.table, is_array=group.table in ARRAYS)}"
            for group, rows in self._groups.values()
            for row in rows
            for name in (row.name, row.key)
        }
