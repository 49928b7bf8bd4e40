"""A table for logging.config.dictConfig: what can be wrong with it that needs no logging to be seen.

Receives tables of TOML or objects of JSON; hands on plain values with the places of their parts, and
sentences. Runs in the process of the command line only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from portico.config.document import Document
from portico.config.toml_positions import PathInDocument
from portico.errors import quoted

_SECTIONS = ("formatters", "filters", "handlers", "loggers")
_KEYS = ("version", *_SECTIONS, "root", "incremental", "disable_existing_loggers")


def wrong_in(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and a sentence of each part of `config` that cannot stand there."""
    for key, value in config.items():
        if key not in _KEYS:
            yield (key,), f"{key}: expected one of {', '.join(_KEYS)}, got {quoted(key)}"
        elif key == "version" and (value != 1 or isinstance(value, bool)):
            yield (key,), f"version: expected 1, got {value!r}"
        elif key == "incremental" and value is not False:
            yield (key,), "incremental: expected false, since there is nothing to add to, got true"
        elif key == "root" and not isinstance(value, dict):
            yield (key,), f"root: expected a table, got {value!r}"
        elif key in _SECTIONS:
            yield from _wrong_in_section(key, value)


def _wrong_in_section(key: str, value: object) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(value, dict):
        yield (key,), f"{key}: expected a table of tables, got {value!r}"
        return
    for name, part in value.items():
        if not isinstance(part, dict):
            yield (key, name), f"{key}.{name}: expected a table, got {part!r}"
        elif key == "handlers" and not ("class" in part or "()" in part):
            yield (key, name), f'{key}.{name}: expected class = "MODULE.NAME", got none'


def read_tables(
    plain: Callable[[object, PathInDocument], Any],
    document: Document,
    tables: Mapping[str, Any],
    path: PathInDocument,
) -> dict[str, Any] | None:
    """Return what `tables`, at `path` of `document`, say of logging; notes mistakes there.

    `plain` makes values plain ones (TableReader.plain).
    """
    before = document.mistake_count
    config = plain(dict(tables), path)
    for where, sentence in wrong_in(tables):
        document.mistake(document.value_place((*path, *where)), ".".join((*_named(path), sentence)))
    if document.mistake_count > before:
        return None
    places = {}
    for key, value in tables.items():
        places[key] = document.shown(document.value_place((*path, key)))
        for name in value if isinstance(value, dict) else ():
            places[f"{key}.{name}"] = document.shown(document.value_place((*path, key, name)))
    return {"config": config, "places": places, "name": ".".join(_named(path))}


def _named(path: PathInDocument) -> Sequence[str]:
    return [str(path[-1])] if path else []
