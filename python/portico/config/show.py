"""The effective settings as text: a configuration file that gives the same ones, or JSON, with each origin.

Runs in the process of the command line only.
"""

from __future__ import annotations

import json
from typing import Any

from portico.config.file import ARRAYS
from portico.config.kinds import Kind, LogConfig, Middleware
from portico.config.setting import Setting, is_one_row
from portico.config.settings import Settings, by_group
from portico.config.sources import DEFAULT_ORIGIN


def as_toml(settings: Settings, *, only_changed: bool) -> str:
    """Return `settings` as a configuration file; what that cannot hold, as no application, is a comment."""
    parts = []
    for table, rows in _chosen(settings, only_changed=only_changed).items():
        lines = [_line(row, settings.values[row.attribute]) for row in rows]
        if is_one_row(rows[0].group, rows):
            parts.append(_table_of_one(rows[0], settings))
            continue
        width = min(max(map(len, lines)), 60)
        header = f"[[{table}]]" if table in ARRAYS else f"[{table}]"
        origins = [settings.origins[row.attribute] for row in rows]
        body = [f"{line:{width}}  # {origin}" for line, origin in zip(lines, origins, strict=True)]
        parts.append("\n".join([header, *body]) + "\n")
    return "\n".join(parts)


def as_json(settings: Settings, *, only_changed: bool) -> str:
    """Return an object of tables, each of settings, each with `value` and `origin`."""
    tables = {
        table: {
            key: {"value": value, "origin": settings.origins[row.attribute]}
            for row in rows
            for key, value in _pairs(row, rows, settings)
        }
        for table, rows in _chosen(settings, only_changed=only_changed).items()
    }
    return json.dumps(tables, indent=2, ensure_ascii=False) + "\n"


def _chosen(settings: Settings, *, only_changed: bool) -> dict[str, list[Setting[Any]]]:
    chosen = {
        group.table: [
            row for row in rows if not only_changed or settings.origins[row.attribute] != DEFAULT_ORIGIN
        ]
        for group, rows in by_group().items()
    }
    return {table: rows for table, rows in chosen.items() if rows}


def _pairs(row: Setting[Any], rows: list[Setting[Any]], settings: Settings) -> list[tuple[str, Any]]:
    value = native(row, settings.values[row.attribute])
    return list(value.items()) if is_one_row(row.group, rows) else [(row.key, value)]


def _table_of_one(row: Setting[Any], settings: Settings) -> str:
    pairs = native(row, settings.values[row.attribute])
    lines = [f"{_written(name)} = {_toml(value)}" for name, value in pairs.items()]
    return "\n".join([f"[{row.group.table}]  # {settings.origins[row.attribute]}", *lines]) + "\n"


def _line(row: Setting[Any], value: Any) -> str:
    plain = native(row, value)
    line = f"{row.key} = {_toml(plain)}"
    return line if plain != "" or _holds_nothing(row.kind) else f"# {line}"


def _holds_nothing(kind: Kind[Any]) -> bool:
    """Say whether a file may give an empty text of this kind."""
    try:
        kind.parse(kind.show(""))
    except ValueError:
        return False
    return True


def native(row: Setting[Any], value: Any) -> Any:
    """Return `value` of JSON's types, as the file would have it."""
    if row.kind.table_natives:
        return dict(_named(row.kind, each) for each in value)
    if row.many:
        return [_native_one(row.kind, each) for each in value]
    return _native_one(row.kind, value)


def _named(kind: Kind[Any], value: Any) -> tuple[str, Any]:
    name, _, shown = kind.show(value).partition("=")
    return name, int(shown) if int in kind.table_natives and shown.isdigit() else shown


def _native_one(kind: Kind[Any], value: Any) -> Any:
    if isinstance(kind, Middleware):
        use, arguments = value
        return {"use": use, **dict(arguments)} if arguments else use
    if isinstance(kind, LogConfig) and isinstance(value, dict):
        return value["config"]
    shown = kind.show(value)
    if bool in kind.natives:
        return value
    return int(shown) if int in kind.natives and shown.isdigit() else shown


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_written(name)} = {_toml(each)}" for name, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    # What looks like a substitution is none any more (config/file.py); in a key it never is one.
    return _written(value).replace("${", "$${")


def _written(value: str | int) -> str:
    # Strings, whole numbers and booleans are written alike in TOML and JSON.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
