"""The manual page for man(1), made from the table: options, variables, files, signals, exit codes.

Receives the commands with a sentence for each, hands on a page in the macros of man(7). Runs in the process
of the command line, and for docs/portico.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.config.file_names import OWN_NAME, SHARED_NAME, VARIABLE
from portico.config.kinds import Flag
from portico.config.setting import Setting
from portico.config.settings import by_group
from portico.errors import EXIT_APPLICATION, EXIT_BIND, EXIT_FINE, EXIT_UNEXPECTED, EXIT_USAGE

_SIGNALS = {
    "TERM": "Stop, after drain_delay and the requests in flight, at most graceful_timeout later.",
    "INT, QUIT": "Stop without waiting for calls of the application; once more: kill.",
    "HUP": "Reload: replace each worker once its successor is ready.",
    "USR1": "Open the files of the logs anew.",
    "TTIN, TTOU": "One worker more, one less.",
    "WINCH": "Let the workers finish and leave; HUP brings them back.",
}
_EXIT_CODES = {
    EXIT_FINE: "It was told to stop, and did.",
    EXIT_UNEXPECTED: "Something unexpected.",
    EXIT_USAGE: "A setting is wrong.",
    EXIT_APPLICATION: "The application could not be loaded.",
    EXIT_BIND: "An address could not be listened on.",
}


def manual(commands: Mapping[str, str]) -> str:
    """Return the page; `commands` has a sentence for each command."""
    parts = [
        ".TH PORTICO 1",
        _section("NAME", r"portico \- WSGI application server"),
        _section("SYNOPSIS", ".B portico\n[COMMAND] [APP] [OPTIONS]"),
        _section(
            "DESCRIPTION",
            _text("Serves the WSGI application APP, such as shop.wsgi:application or shop:create_app()."),
            _text("Sizes are written like 64K, 10M or 1G; durations like 500ms, 30s or 2m."),
        ),
        _section("COMMANDS", *(_item(_bold(name), text) for name, text in commands.items())),
        ".SH OPTIONS",
        *(
            f".SS {_escaped(group.title.capitalize())}\n" + "\n".join(_setting(row) for row in rows)
            for group, rows in by_group().items()
        ),
        _section(
            "FILES",
            _item(_bold(OWN_NAME), "The configuration file, in the working directory."),
            _item(_bold(SHARED_NAME), "The table tool.portico of it, where there is no such file."),
        ),
        _section(
            "ENVIRONMENT",
            _text(
                "The variable of each option stands with it. The command line wins over the environment, and "
                "that over the configuration file."
            ),
            _item(_bold(VARIABLE), "The configuration file, or none."),
            _item(_bold("PORT"), "A short form of 0.0.0.0:PORT, where no address is given."),
            _item(_bold("GUNICORN_CMD_ARGS"), "Options of gunicorn, as far as they are needed."),
        ),
        _section("SIGNALS", *(_item(_bold(name), text) for name, text in _SIGNALS.items())),
        _section("EXIT STATUS", *(_item(_bold(str(code)), text) for code, text in _EXIT_CODES.items())),
    ]
    return "\n".join(parts) + "\n"


def _setting(row: Setting[Any]) -> str:
    default = row.show_default()
    notes = [f"Default: {default}."] if default else []
    notes.append(f"Variable: {', '.join(row.environment)}.")
    flags = [*row.flags, *(map(row.kind.opposite, row.flags) if isinstance(row.kind, Flag) else ())]
    metavar = "" if isinstance(row.kind, Flag) else rf" \fI{_escaped(row.kind.metavar)}\fR"
    words = ", ".join(map(_bold, flags)) + metavar if flags else _bold(row.kind.metavar)
    return _item(words, " ".join([row.documentation.replace("`", ""), *notes]))


def _section(title: str, *parts: str) -> str:
    return "\n".join([f".SH {title}", *parts])


def _item(words: str, text: str) -> str:
    return f".TP\n{words}\n{_text(text)}"


def _bold(text: str) -> str:
    return rf"\fB{_escaped(text)}\fR"


def _text(text: str) -> str:
    # A control line begins with a point or an apostrophe (groff(7)).
    return (r"\&" if text.startswith((".", "'")) else "") + _escaped(text)


def _escaped(text: str) -> str:
    """Return `text` as it is to be read: a hyphen that is typed is a minus sign there."""
    return text.replace("\\", r"\e").replace("-", r"\-")
