"""Where values come from: default < environment < command line; each value remembers its origin.

Runs in the process of the command line only. Receives raw text, hands on `Settings`; touches nothing
outside its arguments (config/check.py looks at the world).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.config.addresses import AddressError, parse_port
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings
from portico.errors import OperatorError, quoted

DEFAULT_ORIGIN = "the default"


def resolve(arguments: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> Settings:
    """Return the settings that `arguments` (raw texts by setting name) and `environment` ask for.

    Raises OperatorError, naming the origin, when a value is not of its kind. An empty environment variable
    counts as absent: that is how containers unset one.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for row in TABLE:
        texts, origin = _find(row, arguments, environment)
        if origin == DEFAULT_ORIGIN:
            values[row.attribute] = row.default
        elif row.many:
            values[row.attribute] = tuple(_parse(row, text, origin) for text in texts)
        else:
            # Of a flag that was repeated the last one counts, as in every shell command.
            values[row.attribute] = _parse(row, texts[-1], origin)
        origins[row.attribute] = origin
    settings = Settings(values, origins)
    _apply_port(settings, environment)
    return settings


def _find(
    row: Setting[Any], arguments: Mapping[str, Sequence[str]], environment: Mapping[str, str]
) -> tuple[Sequence[str], str]:
    if texts := arguments.get(row.name):
        name = row.flags[-1] if row.flags else row.kind.metavar
        return texts, f"{name} on the command line"
    for variable in row.environment:
        if text := environment.get(variable, "").strip():
            texts = [part.strip() for part in text.split(row.separator)] if row.many else [text]
            return [text for text in texts if text], f"{variable} in the environment"
    return (), DEFAULT_ORIGIN


def _parse(row: Setting[Any], text: str, origin: str) -> Any:
    try:
        return row.kind.parse(text)
    except AddressError as error:
        where = "" if error.got == text.strip() else f" in {quoted(text)}"
        raise OperatorError(f"{origin}: expected {error.expected}, got {quoted(error.got)}{where}") from None
    except ValueError:
        raise OperatorError(f"{origin}: expected {row.kind.expected}, got {quoted(text)}") from None


def _apply_port(settings: Settings, environment: Mapping[str, str]) -> None:
    """Honour PORT, by which hosting platforms say where they will knock; any --bind is more definite."""
    text = environment.get("PORT", "").strip()
    attribute = Settings.bind.attribute
    if not text or settings.origins[attribute] != DEFAULT_ORIGIN:
        return
    try:
        port = parse_port(text)
    except ValueError:
        raise OperatorError(
            f"PORT in the environment: expected a port number from 0 to 65535, got {quoted(text)}"
        ) from None
    settings.values[attribute] = (f"0.0.0.0:{port}",)
    settings.origins[attribute] = "PORT in the environment"
