"""The configuration file: `portico.toml`, or `[tool.portico]` of `pyproject.toml`; its values by setting.

Receives a path, hands on `FileValues`. Reports everything that is wrong with a file at once. Runs in the
process of the command line only, before the exec: what is supervised never imports a TOML reader.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from portico.config.kinds import EnvironmentVariable, Middleware
from portico.config.reading import parse, text_of
from portico.config.setting import Group, Setting
from portico.config.settings import by_group
from portico.config.toml_positions import PathInDocument, Place, Places, places
from portico.errors import OperatorError, quoted

OWN_NAME = "portico.toml"
SHARED_NAME = "pyproject.toml"
NONE = "none"
"""What is given in place of a path to have no file read."""
VARIABLE = "PORTICO_CONFIG"

_OWN_TABLE = ("tool", "portico")
"""What is ours in a file that is shared."""
ARRAYS = ("app",)
"""The tables of which there may be several: each describes an application."""
SUBSTITUTION_PATTERN = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"
"""`${NAME}` or `${NAME:-default}`, as it may stand in any string (a pattern of ECMA 262, too)."""
_SUBSTITUTION = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|\$\{")
SURELY_MEANT = 0.8
"""From which similarity on a name is a slip of the pen (difflib's ratio)."""


class FileValues:
    """What a file says: values by attribute, and where each of them stands (`portico.toml:3:11`).

    `mistakes` has a sentence for each: its place, what was expected and what is there. `unread` are the
    attributes whose values are among them.
    """

    def __init__(self, path: str) -> None:
        self.path = path
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
        reader = _Reader(path, places(text, tomllib.loads), environment)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(_syntax_error(path, text, str(error))) from None
    except ValueError:  # of int(), which the reader lets through
        raise OperatorError(_too_long_number(path, text)) from None
    except RecursionError:
        raise OperatorError(f"{path}: expected arrays and tables, got too many inside each other") from None
    reader.document(document, is_chosen=bool(origin))
    reader.found.mistakes = [sentence for _, sentence in sorted(reader.mistakes)]
    return reader.found


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

    def __init__(self, path: str, places: Places, environment: Mapping[str, str]) -> None:
        self.found = FileValues(path)
        self.mistakes: list[tuple[tuple[int, int], str]] = []
        self._prefix: tuple[str, ...] = ()
        self._places = places
        self._environment = environment
        self._folder = os.path.dirname(os.path.abspath(path))
        self._groups: dict[str, tuple[Group, list[Setting[Any]]]] = {
            group.table: (group, rows) for group, rows in by_group().items()
        }

    def document(self, document: Mapping[str, Any], *, is_chosen: bool) -> None:
        """Read all of `document`; `is_chosen` says that somebody has named it as a configuration."""
        table: Any = document
        path: tuple[str, ...] = ()
        if os.path.basename(self.found.path) == SHARED_NAME:
            for key in _OWN_TABLE:
                path = (*path, key)
                if is_chosen and key not in table:
                    sentence = f"expected a table [{'.'.join(_OWN_TABLE)}], got none"
                    return self._mistake(Place(1, 1), sentence)
                table = table.get(key, {})
                if not isinstance(table, dict):
                    return self._wrong_type(path, f"a table [{'.'.join(path)}]", table)
            self._prefix = path
        for key, value in table.items():
            place = (*path, key)
            if key not in self._groups:
                what = f"a table of {'.'.join(path) or self.found.path}"
                self._unknown(place, what, self._groups)
            elif key in ARRAYS:
                self._applications(value, place)
            elif isinstance(value, dict):
                self._table(value, place, self._groups[key][1])
            else:
                self._wrong_type(place, f"a table {self._header(key)}", value)

    def _applications(self, value: object, path: PathInDocument) -> None:
        header = self._header(str(path[-1]))
        if not isinstance(value, list):
            return self._wrong_type(path, f"tables {header}", value)
        for index, element in enumerate(value):
            here = (*path, index)
            if not isinstance(element, dict):
                self._wrong_type(here, f"tables {header}", element)
                continue
            if index == 1:
                sentence = f"expected one {header}, got {len(value)}: one server serves one application"
                self._mistake(self._places.values[here], sentence)
            self._table(element, here, self._groups[str(path[-1])][1])

    def _table(self, table: Mapping[str, Any], path: PathInDocument, rows: Sequence[Setting[Any]]) -> None:
        by_key = {row.key: row for row in rows}
        for key, value in table.items():
            if key in by_key:
                self._setting(by_key[key], value, (*path, key))
            else:
                header = self._header(next(part for part in reversed(path) if isinstance(part, str)))
                self._unknown((*path, key), f"a setting of {header}", by_key)

    def _setting(self, row: Setting[Any], value: object, path: PathInDocument) -> None:
        before = len(self.mistakes)
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
        if len(self.mistakes) == before:
            self.found.values[row.attribute] = parsed
            self.found.origins[row.attribute] = self._shown(self._places.values[path])
        else:
            self.found.unread.add(row.attribute)

    def _named(self, row: Setting[Any], name: str, value: object, path: PathInDocument) -> Any:
        if isinstance(row.kind, EnvironmentVariable) and (not name.strip() or "=" in name):
            return self._mistake(
                self._places.keys[path], f"{row.key}: expected the name of a variable, got {quoted(name)}"
            )
        if type(value) not in row.kind.table_natives:
            expected = "a string or a whole number" if int in row.kind.table_natives else "a string"
            return self._wrong_type(path, expected, value)
        text = self._substituted(text_of(value), self._places.values[path])
        return None if text is None else self._parsed(row, f"{name}={text}", path)

    def _parts(self, row: Setting[Any], value: object, path: PathInDocument) -> list[Any]:
        """Return what `value` says of a setting that can be repeated; commas are as on a command line."""
        if isinstance(value, str) and str in row.kind.natives:
            text = self._substituted(value, self._places.values[path])
            return [] if text is None else [self._parsed(row, part, path) for part in row.kind.split(text)]
        return [self._one(row, value, path)]

    def _one(self, row: Setting[Any], value: object, path: PathInDocument) -> Any:
        if isinstance(value, dict) and isinstance(row.kind, Middleware):
            return self._middleware(row, value, path)
        if isinstance(value, str):
            text = self._substituted(value, self._places.values[path])
            if text is None:
                return None
            is_accepted = str in row.kind.natives or text != value
        else:
            is_accepted = type(value) in row.kind.natives
            text = text_of(value)
        if not is_accepted:
            return self._wrong_type(path, row.kind.expected, value)
        return self._parsed(row, text, path)

    def _parsed(self, row: Setting[Any], text: str, path: PathInDocument) -> Any:
        place = self._places.values[path]
        try:
            value = parse(row, text, f"{self._shown(place)}: {self._name(path)}")
        except OperatorError as error:
            return self._mistake(place, error.message, is_whole=True)
        return row.kind.from_folder(value, self._folder)

    def _middleware(self, row: Setting[Any], table: Mapping[str, Any], path: PathInDocument) -> Any:
        """`use`, and the arguments of what it names."""
        use = table.get("use")
        if use is None:
            expected = 'a table with use = "MODULE:NAME"'
            return self._mistake(
                self._places.values[path], f"{self._name(path)}: expected {expected}, got none"
            )
        if not isinstance(use, str):
            return self._wrong_type((*path, "use"), row.kind.expected, use)
        named = self._one(row, use, (*path, "use"))
        if named and named[1]:
            return self._wrong_type(
                (*path, "use"), "a module and a name in it, and arguments as keys beside it", use
            )
        arguments = tuple(
            (name, self._plain(value, (*path, name))) for name, value in table.items() if name != "use"
        )
        return (named[0], arguments) if named else None

    def _plain(self, value: object, path: PathInDocument) -> Any:
        """Return an argument with the environment's values in it: it is of types that can cross an exec."""
        if isinstance(value, str):
            return self._substituted(value, self._places.values[path])
        if isinstance(value, list):
            return [self._plain(each, (*path, index)) for index, each in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._plain(each, (*path, key)) for key, each in value.items()}
        if not isinstance(value, bool | int | float):
            return self._wrong_type(path, "a string, a number, true, false, an array or a table", value)
        return value

    def _substituted(self, text: str, place: Place) -> str | None:
        """Return `text` with the environment's values in it; None, having noted why, if that cannot be."""

        def value(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name, default = match["name"], match["default"]
            if name is None or "${" in (default or ""):
                wrong.append(match[0])
            elif given := self._environment.get(name, ""):
                return given
            elif default is not None:
                return str(default[2:])
            elif name not in self._environment:
                missing.append(
                    f"{name} is not set in the environment; ${{{name}:-default}} would do without it"
                )
            return ""

        missing: list[str] = []
        wrong: list[str] = []
        substituted = _SUBSTITUTION.sub(value, text)
        if wrong:
            missing.append(
                f"expected ${{NAME}} or ${{NAME:-default}}, got {quoted(text)}; $${{ is a plain ${{"
            )
        for sentence in missing:
            self._mistake(place, sentence)
        return None if missing else substituted

    def _unknown(self, path: PathInDocument, what: str, known: Mapping[str, object]) -> None:
        key = str(path[-1])
        elsewhere = {
            name: f"{row.key} in {self._header(group.table)}"
            for group, rows in self._groups.values()
            for row in rows
            for name in (row.name, row.key)
        }
        hint = ""
        if key in elsewhere:
            hint = f"; it is {elsewhere[key]}"
        elif near := difflib.get_close_matches(key, known, n=1, cutoff=SURELY_MEANT):
            hint = f"; did you mean {near[0]}?"
        elif near := difflib.get_close_matches(key, elsewhere, n=1, cutoff=SURELY_MEANT):
            hint = f"; did you mean {elsewhere[near[0]]}?"
        elif key == _OWN_TABLE[0] and not self._prefix:
            hint = f"; [{'.'.join(_OWN_TABLE)}] is for {SHARED_NAME}"
        self._mistake(self._places.keys[path], f"expected {what}, got {quoted(key)}, which is none{hint}")

    def _wrong_type(self, path: PathInDocument, expected: str, value: object) -> None:
        place = self._places.values[path]
        self._mistake(place, f"{self._name(path)}: expected {expected}, got {_described(value)}")

    def _mistake(self, place: Place, sentence: str, *, is_whole: bool = False) -> None:
        whole = sentence if is_whole else f"{self._shown(place)}: {sentence}"
        self.mistakes.append(((place.line, place.column), whole))

    def _shown(self, place: Place) -> str:
        return f"{self.found.path}:{place.line}:{place.column}"

    def _name(self, path: PathInDocument) -> str:
        """The last key of `path`: an element of an array is called as the array."""
        return next((key for key in reversed(path) if isinstance(key, str)), "")

    def _header(self, table: str) -> str:
        """Return how the header of `table` is written in this file."""
        written = ".".join((*self._prefix, table))
        return f"[[{written}]]" if table in ARRAYS else f"[{written}]"


def _described(value: object) -> str:
    """Return a TOML value as a sentence can name it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, int | float):
        return str(value)
    return f"the {type(value).__name__} {value}"
