"""Where the keys and values of a TOML document stand: lines and columns, which its reader does not tell.

Receives text that the reader has accepted, so that only what can stand in a valid document has to be told
apart (TOML 1.0.0); hands on places by path. Runs in the process of the command line only.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import TypeAlias

PathInDocument: TypeAlias = "tuple[str | int, ...]"
"""Keys from the top down, and the index of an element of an array: `("app", 0, "mount")`."""

_BLANK = " \t"
_BETWEEN = " \t\r\n,"
_END_OF_SCALAR = ",]}#\r\n"


class Place:
    """Line and column of a character, both counted from one; a column is a character."""

    __slots__ = ("column", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


class Places:
    """The places of one document: `keys` and `values` by path. The value of a table is its header."""

    def __init__(self) -> None:
        self.keys: dict[PathInDocument, Place] = {}
        self.values: dict[PathInDocument, Place] = {}


def places(text: str, read: Callable[[str], dict[str, object]]) -> Places:
    """Return the places of `text`, a valid document; `read` is the reader (`tomllib.loads`)."""
    scanner = _Scanner(text, read)
    scanner.document()
    return scanner.places


class _Scanner:
    def __init__(self, text: str, read: Callable[[str], dict[str, object]]) -> None:
        self.text = text
        self.read = read
        self.at = 0
        self.places = Places()
        self._starts = [0, *(index + 1 for index, character in enumerate(text) if character == "\n")]
        self._last_of_array: dict[PathInDocument, int] = {}

    def document(self) -> None:
        table: PathInDocument = ()
        while self._skip(_BETWEEN):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> PathInDocument:
        """`[a.b]` or `[[a.b]]`: return the path of the table that begins here."""
        place = self._place()
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        keys = self._keys()
        self._skip_blank()
        self.at += 2 if is_array else 1
        path: PathInDocument = ()
        for key, _ in keys[:-1]:
            path = self._entered((*path, key), place)
        path = (*path, keys[-1][0])
        self.places.keys.setdefault(path, place)
        if is_array:
            index = self._last_of_array.get(path, -1) + 1
            self._last_of_array[path] = index
            self.places.values.setdefault(path, place)
            path = (*path, index)
            self.places.keys[path] = place
        self.places.values[path] = place
        return path

    def _entered(self, path: PathInDocument, place: Place) -> PathInDocument:
        """Return what `path` means in the middle of a header: the last table of an array, if it is one."""
        self.places.keys.setdefault(path, place)
        self.places.values.setdefault(path, place)
        return (*path, self._last_of_array[path]) if path in self._last_of_array else path

    def _pair(self, table: PathInDocument) -> None:
        path = table
        for key, place in self._keys():
            path = (*path, key)
            self.places.keys.setdefault(path, place)
            self.places.values.setdefault(path, place)
        self._skip_blank()
        self.at += 1  # =
        self._skip_blank()
        self._value(path)

    def _keys(self) -> list[tuple[str, Place]]:
        """A dotted key: its parts, and where each stands."""
        keys = []
        while True:
            self._skip_blank()
            keys.append(self._key())
            self._skip_blank()
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _key(self) -> tuple[str, Place]:
        place, begin = self._place(), self.at
        if self.text[begin] in "\"'":
            self._string()
            [key] = self.read(f"{self.text[begin : self.at]} = 0")
            return key, place
        while self.text[self.at] not in " \t.=]":
            self.at += 1
        return self.text[begin : self.at], place

    def _value(self, path: PathInDocument) -> None:
        self.places.values[path] = self._place()
        first = self.text[self.at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._within("]", lambda index: self._value((*path, index)))
        elif first == "{":
            self._within("}", lambda _: self._pair(path))
        else:
            while self.at < len(self.text) and self.text[self.at] not in _END_OF_SCALAR:
                self.at += 1

    def _within(self, end: str, element: Callable[[int], None]) -> None:
        self.at += 1
        index = 0
        while self._skip(_BETWEEN) and self.text[self.at] != end:
            element(index)
            index += 1
        self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        is_long = self.text.startswith(quote * 3, self.at)
        closing = quote * 3 if is_long else quote
        self.at += len(closing)
        while not self.text.startswith(closing, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(closing)
        # One or two quotes may stand just before the three that close.
        while is_long and self.text.startswith(quote, self.at):
            self.at += 1

    def _skip(self, characters: str) -> bool:
        """Skip `characters` and comments; false at the end of the document."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = self.text.find("\n", self.at)
                if self.at < 0:
                    self.at = len(self.text)
            elif self.text[self.at] in characters:
                self.at += 1
            else:
                return True
        return False

    def _skip_blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANK:
            self.at += 1

    def _place(self) -> Place:
        line = bisect.bisect_right(self._starts, self.at)
        return Place(line, self.at - self._starts[line - 1] + 1)
