"""Where values come from: default < file < environment < command line; each value remembers its origin.

Runs in the process of the command line only. Receives raw text and a file's values, hands on `Settings`;
touches nothing outside its arguments (config/file.py reads the file, config/check.py looks at the world).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.config.addresses import parse_port
from portico.config.file import FileValues
from portico.config.reading import parse
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings
from portico.errors import OperatorError, quoted

DEFAULT_ORIGIN = "the default"
GUNICORN_VARIABLE = "GUNICORN_CMD_ARGS"
"""Options of gunicorn in the environment; config/old_words understands them."""


def resolve(
    arguments: Mapping[str, Sequence[str]],
    environment: Mapping[str, str],
    file: FileValues | None = None,
    *,
    written: Mapping[str, str] | None = None,
    inherited: Mapping[str, Sequence[str]] | None = None,
) -> Settings:
    """Return the settings that `arguments` (raw texts by setting name), `environment` and `file` ask for.

    `written` says by which option an argument was given, if not by ours; `inherited` are the arguments in
    GUNICORN_CMD_ARGS. Raises OperatorError, naming the origin, when a value is not of its kind. An empty
    environment variable counts as absent: that is how containers unset one.
    """
    values: dict[str, Any] = {row.attribute: row.default for row in TABLE}
    origins = dict.fromkeys(values, DEFAULT_ORIGIN)
    if file is not None:
        values.update(file.values)
        origins.update(file.origins)
    for row in TABLE:
        texts, origin = _find(row, arguments, environment, written or {}, inherited or {})
        if not origin:
            if row is Settings.bind:
                _apply_port(values, origins, environment)
        elif row.many:
            values[row.attribute] = tuple(parse(row, text, origin) for text in texts)
            origins[row.attribute] = origin
        else:
            # Of a flag that was repeated the last one counts, as in every shell command.
            values[row.attribute] = parse(row, texts[-1], origin)
            origins[row.attribute] = origin
    return Settings(values, origins)


def _find(
    row: Setting[Any],
    arguments: Mapping[str, Sequence[str]],
    environment: Mapping[str, str],
    written: Mapping[str, str],
    inherited: Mapping[str, Sequence[str]],
) -> tuple[Sequence[str], str]:
    if texts := arguments.get(row.name):
        name = written.get(row.name) or (row.flags[-1] if row.flags else row.kind.metavar)
        return _parts(row, texts), f"{name} on the command line"
    own, *shared = row.environment
    if text := environment.get(own, "").strip():
        return _of_variable(row, text), f"{own} in the environment"
    if texts := inherited.get(row.name):
        return _parts(row, texts), f"{GUNICORN_VARIABLE} in the environment"
    for variable in shared:
        if text := environment.get(variable, "").strip():
            return _of_variable(row, text), f"{variable} in the environment"
    return (), ""


def _parts(row: Setting[Any], texts: Sequence[str]) -> Sequence[str]:
    """Return the values in `texts` of options, between which commas may stand, if no value can hold one."""
    return [part for text in texts for part in row.kind.split(text)] if row.many else texts


def _of_variable(row: Setting[Any], text: str) -> Sequence[str]:
    texts = text.split(row.separator) if row.many else [text]
    return [part for part in map(str.strip, texts) if part]


def _apply_port(values: dict[str, Any], origins: dict[str, str], environment: Mapping[str, str]) -> None:
    """Honour PORT, by which hosting platforms say where they will knock; any --bind is more definite."""
    if not (text := environment.get("PORT", "").strip()):
        return
    try:
        port = parse_port(text)
    except ValueError:
        raise OperatorError(
            f"PORT in the environment: expected a port number from 0 to 65535, got {quoted(text)}"
        ) from None
    values[Settings.bind.attribute] = (f"0.0.0.0:{port}",)
    origins[Settings.bind.attribute] = "PORT in the environment"
