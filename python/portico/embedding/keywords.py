"""Settings as keyword arguments: checked like those of the command line, with the same sentences.

Receives names and values as a program gives them, hands on `Settings`. The environment and configuration
files are not read: what a program does is up to the program.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any

from portico.config.check import check_together
from portico.config.reading import parse, text_of
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.errors import OperatorError

_UP_TO_THE_PROGRAM = "that is up to the program that serves"
_OF_SUPERVISOR = "that takes a supervisor, which only `portico run` has"
_OF_WORKERS = "that takes workers, which only `portico run` has"
NOT_HERE = {
    "app": "the application is an argument of its own",
    "factory": "pass on the application that it makes",
    "middleware": "put it around the application",
    "chdir": _UP_TO_THE_PROGRAM,
    "pythonpath": _UP_TO_THE_PROGRAM,
    "env": _UP_TO_THE_PROGRAM,
    "name": _UP_TO_THE_PROGRAM,
    "error_log": "the error log is the standard error of the program",
    "logconfig": "the program configures its own logging",
    "workers": _OF_WORKERS,
    "worker": "calls have threads here; `portico run` has other ways",
    "greenlets": "calls have threads here; `portico run` has other ways",
    "workers_min": _OF_WORKERS,
    "workers_max": _OF_WORKERS,
    "idle_timeout": _OF_WORKERS,
    "timeout": _OF_WORKERS,
    "timeout_grace": _OF_WORKERS,
    "slow_after": _OF_WORKERS,
    "route_timeout": _OF_WORKERS,
    "route_slow_after": _OF_WORKERS,
    "admin_bind": _OF_SUPERVISOR,
    "admin_token_file": _OF_SUPERVISOR,
    "statsd": _OF_SUPERVISOR,
    "statsd_prefix": _OF_SUPERVISOR,
    "statsd_tags": _OF_SUPERVISOR,
    "statsd_interval": _OF_SUPERVISOR,
    "otlp": _OF_SUPERVISOR,
    "otlp_headers": _OF_SUPERVISOR,
    "otlp_interval": _OF_SUPERVISOR,
    "otlp_service_name": _OF_SUPERVISOR,
    "trace_sample": _OF_SUPERVISOR,
    "traceparent_from": _OF_SUPERVISOR,
    "cluster_agent": _OF_SUPERVISOR,
    "cluster_haproxy": _OF_SUPERVISOR,
    "cluster_backend": _OF_SUPERVISOR,
    "cluster_server": _OF_SUPERVISOR,
    "cluster_address": _OF_SUPERVISOR,
    "cluster_options": _OF_SUPERVISOR,
}
"""Settings that have no meaning without a supervisor, each with the reason."""

_ROWS = {row.name: row for row in TABLE}


def settings_from(
    caller: str, given: Mapping[str, object], *, not_here: Mapping[str, str] = NOT_HERE
) -> Settings:
    """Return the settings of `given`, by the names of docs/settings.md; all others have their defaults.

    Durations are seconds, sizes bytes, or either as text with a unit; a setting that can be repeated takes a
    list or a tuple. Raises TypeError for a name that is no setting, or one of `not_here`, and for a value of
    a wrong type; ValueError for a value that may not be. Each names `caller`, the setting, what was expected
    and what it got.
    """
    values: dict[str, Any] = {row.attribute: row.default for row in TABLE}
    origins = dict.fromkeys(values, DEFAULT_ORIGIN)
    for name, value in given.items():
        label = f"{caller}(): {name}"
        row = _row(caller, name)
        if name in not_here:
            raise TypeError(f"{label}: {not_here[name]}")
        if row.many:
            elements = value if isinstance(value, list | tuple) else (value,)
            values[row.attribute] = tuple(_read(row, element, label) for element in elements)
        else:
            values[row.attribute] = _read(row, value, label)
        origins[row.attribute] = label
    settings = Settings(values, origins)
    try:
        check_together(settings, os.getcwd())
    except OperatorError as error:
        raise ValueError(error.message) from None
    return settings


def _row(caller: str, name: str) -> Setting[Any]:
    if name in _ROWS:
        return _ROWS[name]
    near = difflib.get_close_matches(name, _ROWS, n=1, cutoff=0.8)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise TypeError(f"{caller}(): {name} is not a setting{hint}")


def _read(row: Setting[Any], value: object, label: str) -> Any:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if type(value) not in row.kind.natives:
        raise TypeError(f"{label}: expected {row.kind.expected}, got {value!r}")
    try:
        return parse(row, text_of(value), label)
    except OperatorError as error:
        raise ValueError(error.message) from None
