"""A JSON Schema of the configuration file, made from the table: editors complete and check with it (taplo).

Runs in the process of the command line only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from portico.config.document import SUBSTITUTION_PATTERN
from portico.config.kinds import Choice, Kind, LogConfig, Middleware, NumberOrAuto, WholeNumber
from portico.config.routes.keys import OF_A_POOL, ONCE
from portico.config.routes.keys import TABLES as ROUTE_TABLES
from portico.config.routes.kinds import Status, UnknownHost
from portico.config.routes.table import MISDIRECTED
from portico.config.setting import Setting, is_one_row
from portico.config.settings import Settings, by_group

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema() -> str:
    """Return the schema as JSON (https://json-schema.org, draft 7, which taplo reads)."""
    tables: dict[str, Any] = {}
    for group, rows in by_group().items():
        tables[group.table] = _setting(rows[0]) if is_one_row(group, rows) else _table(group.title, rows)
    for name, own in ROUTE_TABLES.items():
        tables[name] = _route_table(name, own)
    # A table of its own as well.
    logs = tables[Settings.logconfig.group.table]
    tables[Settings.logconfig.key] = logs["properties"][Settings.logconfig.key]
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "portico.toml",
        "description": "The configuration of portico, a WSGI application server.",
        "type": "object",
        "additionalProperties": False,
        "properties": tables,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _table(title: str, rows: Iterable[Setting[Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": title.capitalize(),
        "additionalProperties": False,
        "properties": {row.key: _setting(row) for row in rows},
    }


def _route_table(name: str, rows: Iterable[Setting[Any]]) -> dict[str, Any]:
    """Return a table that makes routes; what stands in a table of its own, too, is described there."""
    own = [row for row in rows if row not in (*OF_A_POOL, Settings.error_pages)]
    table = _table(own[-1].group.title, own)
    for row in OF_A_POOL if name == "app" else ():
        table["properties"][row.key] = {"$ref": f"#/properties/{row.group.table}/properties/{row.key}"}
    if name == "app":
        table["properties"][Settings.error_pages.key] = {"$ref": f"#/properties/{Settings.error_pages.key}"}
    return table if name == ONCE else {"type": "array", "items": table}


def _setting(row: Setting[Any]) -> dict[str, Any]:
    about = {"description": row.documentation.replace("`", "")}
    if row.kind.table_natives:
        types = [{"type": _TYPES[native]} for native in row.kind.table_natives]
        values = types[0] if len(types) == 1 else {"anyOf": types}
        listed = {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}}
        return about | {"anyOf": [{"type": "object", "additionalProperties": values}, listed]}
    one = _kind(row.kind)
    if row.many:
        return about | {"anyOf": [one, {"type": "array", "items": one}]}
    default = row.show_default()
    return about | one | ({"default": _default(row, default)} if default else {})


def _default(row: Setting[Any], shown: str) -> Any:
    if bool in row.kind.natives:
        return row.default
    return int(shown) if int in row.kind.natives and shown.isdigit() else shown


def _kind(kind: Kind[Any]) -> dict[str, Any]:
    """Return what a value of `kind` may be; any may come from the environment, by a substitution."""
    if isinstance(kind, WholeNumber):
        exact: list[dict[str, Any]] = [{"type": "integer", "minimum": kind.minimum, "maximum": kind.maximum}]
    elif isinstance(kind, NumberOrAuto):
        exact = [{"type": "integer", "minimum": kind.minimum, "maximum": kind.maximum}, {"const": "auto"}]
    elif isinstance(kind, Status):
        exact = [{"enum": list(kind.statuses)}]
    elif isinstance(kind, UnknownHost):
        exact = [{"enum": [MISDIRECTED, "default"]}]
    elif isinstance(kind, Middleware):
        exact = [
            {"type": "string"},
            {"type": "object", "properties": {"use": {"type": "string"}}, "required": ["use"]},
        ]
    elif isinstance(kind, LogConfig):
        exact = [{"type": "string"}, {"type": "object"}]
    elif isinstance(kind, Choice):
        exact = [{"enum": list(kind.choices)}]
    else:
        exact = [{"type": _TYPES[native]} for native in kind.natives]
    if str not in kind.natives or isinstance(kind, NumberOrAuto | Choice | UnknownHost):
        exact.append({"type": "string", "pattern": SUBSTITUTION_PATTERN})
    return exact[0] if len(exact) == 1 else {"anyOf": exact}
