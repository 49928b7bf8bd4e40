"""How text is put together: templates with named fields, comments, words that a configuration can hold.

Text in, text out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import dedent, wrap

from portico.errors import OperatorError, quoted

_FIELD = re.compile(r"<([a-z][a-z0-9_]*)>")
_FIELD_ALONE = re.compile(r"( *)<([a-z][a-z0-9_]*)>")
_WIDTH = 100
_UNFIT = frozenset("\"'\\$%{};|`")
"""What one or the other of nginx, Apache and HAProxy reads as more than itself, even between quotes."""


def fill(template: str, **fields: str) -> str:
    """Return `template`, without the indentation of its place in a source file, with its fields filled in.

    A field is written `<name>`. One that has a line of its own may have any number of lines; they are
    indented like it, and if there are none the line goes. Raises KeyError for a field that is missing or not
    in use.
    """
    unused = set(fields)
    lines: list[str] = []

    def value_of(name: str) -> str:
        unused.discard(name)
        return fields[name]

    for line in dedent(template).strip("\n").splitlines():
        if alone := _FIELD_ALONE.fullmatch(line):
            lines += [f"{alone[1]}{part}".rstrip() for part in value_of(alone[2]).splitlines()]
        else:
            lines.append(_FIELD.sub(lambda match: value_of(match[1]), line))
    if unused:
        raise KeyError(f"the template has no field {', '.join(sorted(unused))}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n"


def comment(text: str) -> str:
    """Return `text` as lines that begin with `#`. Its lines are paragraphs, indented ones are kept."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        if paragraph.startswith(" "):
            lines.append(f"# {paragraph}")
        else:
            lines += [f"# {line}" for line in wrap(paragraph, _WIDTH - 2, break_on_hyphens=False)] or ["#"]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Derived:
    """A value in a generated file, and the settings that it was made of."""

    name: str
    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} {self.value}"


def listing(values: Iterable[Derived]) -> str:
    """Return lines that name each of `values` with its source, for `comment`."""
    rows = [(f"{value.name} {value.value}", value.source) for value in values]
    width = max((len(left) for left, _ in rows), default=0)
    return "\n".join(f"  {left:<{width}}  {source}" for left, source in rows)


def yaml_string(text: str) -> str:
    """Return `text` as YAML reads it back as a string: plain, `on`, `1e3` or `2026-01-01` would be others."""
    # JSON's strings are YAML's, but that YAML wants what cannot be seen escaped (YAML 1.2.2, 5.1 and 7.3.1).
    return "".join(
        character if character.isprintable() else escaped(character)
        for character in json.dumps(text, ensure_ascii=False)
    )


def escaped(character: str) -> str:
    """Return a character that cannot be seen by its number, as YAML and systemd read it between quotes.

    A byte that is no UTF-8 (PEP 383) stays what it is: no file here can hold it.
    """
    number = ord(character)
    if 0xD800 <= number < 0xE000:
        return character
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def fit_word(text: str, *, origin: str) -> str:
    """Return `text`, such as a path, between quotes where it has a space.

    Raises OperatorError, naming the `origin` of the text, where a reverse proxy would read more into it.
    """
    for character in text:
        if character in _UNFIT or not character.isprintable():
            raise OperatorError(
                f"{origin}: {quoted(text)} has the character {quoted(character)}, which the configuration of "
                "a reverse proxy cannot hold reliably; choose another name"
            )
    return f'"{text}"' if " " in text or "#" in text else text
