"""What Python's logging is to be: a table of portico.toml, or a file of TOML, JSON or INI, as plain values.

Receives the setting `logconfig`, hands on `{"config": ...}` for logging.config.dictConfig, with the places of
its parts, or `{"ini": text, "path": path}` for fileConfig. Whether logging takes it, only logging knows
(process/python_logging/trial.py). Runs in the process of the command line only.
"""

from __future__ import annotations

import os
from typing import Any

from portico.config.logconfig_table import read_tables, wrong_in
from portico.config.settings import Settings
from portico.config.table_reader import TableReader
from portico.config.toml_file import data_of_file, decoded, open_document
from portico.errors import OperatorError, quoted, raise_mistakes


def load_logconfig(settings: Settings, directory: str) -> dict[str, Any]:
    """Return what `settings` say of logging, empty if nothing; relative paths start from `directory`.

    Raises OperatorError with each mistake that can be seen without logging.
    """
    chosen: Any = settings.logconfig
    if not chosen or isinstance(chosen, dict):
        return chosen or {}
    origin = settings.origins[Settings.logconfig.attribute]
    path = os.path.join(directory, chosen)
    # Long paths are not shown to their end.
    chosen = os.path.relpath(path, directory) if path.startswith(f"{directory}/") else chosen
    try:
        data = data_of_file(path)
    except OSError as error:
        raise OperatorError(f"{origin}: cannot read {quoted(chosen)}: {error.strerror}") from None
    text = decoded(data, chosen)
    if chosen.endswith(".toml"):
        return _from_toml(text, chosen)
    if chosen.endswith(".json"):
        return _from_json(text, chosen)
    return _from_ini(text, chosen, path)


def _from_toml(text: str, path: str) -> dict[str, Any]:
    tables, document = open_document(text, path, os.environ)
    read = read_tables(TableReader(document, {}).plain, document, tables, ())
    raise_mistakes(document.mistakes)
    return read or {}


def _from_json(text: str, path: str) -> dict[str, Any]:
    import json

    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise OperatorError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    if not isinstance(config, dict):
        raise OperatorError(f"{path}: expected an object, got {type(config).__name__}")
    raise_mistakes([f"{path}: {sentence}" for _, sentence in wrong_in(config)])
    return {"config": config, "places": {}, "name": path}


def _from_ini(text: str, name: str, path: str) -> dict[str, Any]:
    import configparser

    sections = ("loggers", "handlers", "formatters")
    try:
        found = configparser.RawConfigParser()
        found.read_string(text, name)
    except configparser.Error as error:
        said = " ".join(str(error).split())
        raise OperatorError(f"{name}: expected INI for logging.config.fileConfig, got: {said}") from None
    raise_mistakes(
        [
            f"{name}: expected a section [{each}] with keys, as logging.config.fileConfig does, got none"
            for each in sections
            if not found.has_option(each, "keys")
        ]
    )
    return {"ini": text, "name": name, "path": path, "places": {}}
