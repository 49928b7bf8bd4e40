"""A configuration file while it is read: where things stand in it, what it takes from the environment, and
what is wrong with it.

Receives paths within the document and values; hands on sentences, each with its place, and texts with the
environment's values in them. Goes on after a mistake, so that all of them are told at once. Runs in the
process of the command line only.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping

from portico.config.toml_positions import PathInDocument, Place, Places
from portico.errors import quoted

SUBSTITUTION_PATTERN = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"
"""`${NAME}` or `${NAME:-default}`, as it may stand in any string (a pattern of ECMA 262, too)."""
_SUBSTITUTION = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|\$\{")
SURELY_MEANT = 0.8
"""From which similarity on a name is a slip of the pen (difflib's ratio)."""


class Document:
    """One document: its places, and the mistakes that were found.

    `prefix` are the keys below which everything of ours stands; `folder` is what relative paths start from.
    """

    def __init__(self, path: str, places: Places, environment: Mapping[str, str]) -> None:
        self.path = path
        self.prefix: tuple[str, ...] = ()
        self.folder = os.path.dirname(os.path.abspath(path))
        self._places = places
        self._environment = environment
        self._mistakes: list[tuple[tuple[int, int], str]] = []

    @property
    def mistakes(self) -> list[str]:
        """A sentence for each mistake, from top to bottom."""
        return [sentence for _, sentence in sorted(self._mistakes)]

    @property
    def mistake_count(self) -> int:
        """How many mistakes there are by now."""
        return len(self._mistakes)

    def key_place(self, path: PathInDocument) -> Place:
        """Return where the key of `path` stands."""
        return self._places.keys[path]

    def value_place(self, path: PathInDocument) -> Place:
        """Return where the value of `path` stands; that of a table is its header."""
        return self._places.values[path]

    def element_places(self, path: PathInDocument, count: int) -> list[Place]:
        """Return where each of `count` values stands that come of `path`: one for each if it is an array."""
        found: list[Place] = []
        while place := self._places.values.get((*path, len(found))):
            found.append(place)
        return found if len(found) == count else [self.value_place(path)] * count

    def shown(self, place: Place) -> str:
        """Return `place` as an origin names it: `portico.toml:3:11`."""
        return f"{self.path}:{place.line}:{place.column}"

    def name(self, path: PathInDocument) -> str:
        """Return the last key of `path`: an element of an array is called as the array."""
        return next((key for key in reversed(path) if isinstance(key, str)), "")

    def header(self, table: str, *, is_array: bool) -> str:
        """Return how the header of `table` is written in this file."""
        written = ".".join((*self.prefix, table))
        return f"[[{written}]]" if is_array else f"[{written}]"

    def mistake(self, place: Place, sentence: str, *, is_whole: bool = False) -> None:
        """Note a mistake; `is_whole`: the sentence begins with its place already."""
        whole = sentence if is_whole else f"{self.shown(place)}: {sentence}"
        self._mistakes.append(((place.line, place.column), whole))

    def wrong_type(self, path: PathInDocument, expected: str, value: object) -> None:
        """Note that `value`, at `path`, is of a type that cannot stand there."""
        self.mistake(
            self.value_place(path), f"{self.name(path)}: expected {expected}, got {described(value)}"
        )

    def unknown(
        self,
        path: PathInDocument,
        what: str,
        known: Iterable[str],
        *,
        elsewhere: Mapping[str, str],
        hint: str = "",
    ) -> None:
        """Note that the key of `path` is no `what`.

        `known` are the keys that could stand there, `elsewhere` says of others where they do; `hint` is what
        to say if none is near.
        """
        key = str(path[-1])
        if key in elsewhere:
            hint = f"; it is {elsewhere[key]}"
        elif near := _nearest(key, known):
            hint = f"; did you mean {near}?"
        elif near := _nearest(key, elsewhere):
            hint = f"; did you mean {elsewhere[near]}?"
        self.mistake(self.key_place(path), f"expected {what}, got {quoted(key)}, which is none{hint}")

    def substituted(self, text: str, place: Place) -> str | None:
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
            self.mistake(place, sentence)
        return None if missing else substituted


def _nearest(key: str, known: Iterable[str]) -> str:
    """Return what was surely meant by `key`: a similar name, or one of the same letters (`hots`)."""
    names = [*known]
    near = difflib.get_close_matches(key, names, n=1, cutoff=SURELY_MEANT)
    near += [name for name in names if sorted(name) == sorted(key)]
    return near[0] if near else ""


def described(value: object) -> str:
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
