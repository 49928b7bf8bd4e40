"""Where values come from: default < file < environment < command line; each value remembers its origin.

Runs in the process of the command line only. Receives raw text and a file's values, hands on `Settings`;
touches nothing outside its arguments (config/file.py reads the file, config/check.py looks at the world).
"""

from __future__ import annotations

from portico.config.addresses import parse_port
from portico.config.clashes import clashes
from portico.config.kinds import Flag
from portico.config.reading import parse
from portico.config.settings import TABLE, Settings
from portico.errors import OperatorError, quoted, raise_mistakes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portico.config.file import FileValues
    from portico.config.setting import Setting

DEFAULT_ORIGIN = "the default"
FOUND = "found: "
"""How the origin of an application begins that nobody has named."""
GUNICORN_VARIABLE = "GUNICORN_CMD_ARGS"
"""Options of gunicorn in the environment; config/old_words understands them."""
PORT_ORIGIN = "PORT in the environment"


def resolve(
    arguments: Mapping[str, Sequence[str]],
    environment: Mapping[str, str],
    file: FileValues | None = None,
    *,
    written: Mapping[str, str] | None = None,
    inherited: Mapping[str, Sequence[str]] | None = None,
    pool: str = "",
) -> Settings:
    """Return the settings that `arguments` (raw texts by setting name), `environment` and `file` ask for.

    `written` says by which option an argument was given, if not by ours; `inherited` are the arguments in
    GUNICORN_CMD_ARGS. With `pool`, the settings are those of that pool (config/pools.py). Raises
    OperatorError with every mistake of the file and of the others, each with its origin, or because the file
    describes what cannot be served. An empty environment variable counts as absent: that is how containers
    unset one.
    """
    settings = Settings({row.attribute: row.default for row in TABLE}, {})
    settings.origins.update(dict.fromkeys(settings.values, DEFAULT_ORIGIN))
    mistakes: list[str] = []
    unread: set[str] = set()
    if file is not None:
        settings.values.update(file.values)
        settings.origins.update(file.origins)
        mistakes += file.mistakes
        unread |= file.unread
    for row in TABLE:
        texts, origin = _find(row, arguments, environment, written or {}, inherited or {})
        try:
            value = _value(row, texts, origin) if origin else None
            if row is Settings.bind and not origin and (value := _from_port(environment)):
                origin = PORT_ORIGIN
        except OperatorError as error:
            mistakes.append(error.message)
            unread.add(row.attribute)
            continue
        if origin:
            settings.values[row.attribute] = value
            settings.origins[row.attribute] = origin
            unread.discard(row.attribute)
    if mistakes:
        # What does not go together is told with the rest; the rest is what keeps it from being found later.
        mistakes += clashes(settings, settings.chdir, unread=unread)
        raise_mistakes(mistakes, file.path if file is not None and mistakes == file.mistakes else "")
    if file is not None:
        settings.virtual_environment = file.venv
    has_routes = file is not None and file.routes is not None and not file.is_flat
    if file is not None and has_routes:
        _take_routes(settings, file)
    if not has_routes and not pool:
        return settings
    # Here, because most servers have no need of it.
    from portico.config.pools import one_pool, take_pools

    if pool:
        return one_pool(pool, settings, file if has_routes else None)
    if file is not None:
        take_pools(settings, file)
    return settings


def raw_arguments(values: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return the texts of what was given, by setting name."""
    texts: dict[str, Sequence[str]] = {}
    for name, value in values.items():
        if isinstance(value, bool):
            texts[name] = (Flag().show(value),)
        elif value is not None:
            texts[name] = (value,) if isinstance(value, str) else tuple(value)
    return texts


def what_was_found(settings: Settings) -> list[str]:
    """Return a sentence about the application if it was found, for the operator to see; else none."""
    origin = settings.origins[Settings.app.attribute]
    if not origin.startswith(FOUND):
        return []
    return [f"no application was given: taking {settings.app}, because {origin.removeprefix(FOUND)}"]


def _take_routes(settings: Settings, file: FileValues) -> None:
    """Let `settings` have the routes of the file, and the first of several applications as its own."""
    routes = file.routes
    assert routes is not None
    if routes.applications:
        for row in (Settings.app, Settings.script_name):
            origin = settings.origins[row.attribute]
            if origin not in (DEFAULT_ORIGIN, file.origins.get(row.attribute)):
                raise OperatorError(
                    f"{origin}: expected none, since {routes.applications[0].origin} says what is served"
                )
        first = routes.applications[0]
        settings.values[Settings.app.attribute] = first.values[Settings.app.attribute]
        settings.origins[Settings.app.attribute] = first.origin
    settings.routes = routes.dump()


def _value(row: Setting[Any], texts: Sequence[str], origin: str) -> Any:
    # Of all origins this one alone does not say which setting it is.
    label = f"{row.flags[-1]} of {origin}" if origin.startswith(GUNICORN_VARIABLE) else origin
    # Of a flag that was repeated the last one counts, as in every shell command.
    return tuple(parse(row, text, label) for text in texts) if row.many else parse(row, texts[-1], label)


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
    texts = row.kind.split_variable(text, row.separator) if row.many else [text]
    return [part for part in map(str.strip, texts) if part]


def _from_port(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what PORT says: where a hosting platform will knock. Any --bind is more definite."""
    if not (text := environment.get("PORT", "").strip()):
        return ()
    try:
        return (f"0.0.0.0:{parse_port(text)}",)
    except ValueError:
        raise OperatorError(
            f"{PORT_ORIGIN}: expected a port number from 0 to 65535, got {quoted(text)}"
        ) from None
