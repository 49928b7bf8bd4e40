"""`flask portico`: `portico dev` for the application that Flask finds (an entry point of flask.commands)."""

from __future__ import annotations

import os
import time
from typing import Any

import click
from flask.cli import NoAppException, ScriptInfo, pass_script_info

from portico.config.find_file import find_file
from portico.config.settings import Settings
from portico.config.sources import resolve
from portico.dev.launch import develop
from portico.dev.options import Options
from portico.errors import OperatorError

_STARTED_AT_S = time.monotonic()
_MAIN = "__main__"
# By which applications find out whether they are in the process that serves (werkzeug/_reloader.py).
_RELOADED_VARIABLE = "WERKZEUG_RUN_MAIN"


@click.command("portico", short_help="Run portico's development server.")
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("-p", "--port", type=int, default=5000, show_default=True, help="The port to listen on.")
@click.option("--threads", type=int, help="The most requests at the same time.  [default: 1]")
@click.option("--reload/--no-reload", default=True, help="Reload when a file changes.  [default: reload]")
@click.option(
    "--watch", metavar="GLOB", multiple=True, help="Reload when such a file changes, too. May be repeated."
)
@click.option("--open", "opens_browser", is_flag=True, help="Open the browser.")
@click.option("--show-locals", "shows_locals", is_flag=True, help="Show variables on the pages of errors.")
@pass_script_info
def command(
    info: ScriptInfo,
    host: str,
    port: int,
    threads: int | None,
    reload: bool,
    watch: tuple[str, ...],
    opens_browser: bool,
    shows_locals: bool,
) -> None:
    """Serve the application to who develops it, by portico.

    It is replaced when a file that it has imported, a template or a file of --watch changes. An error is
    shown on the terminal and in the browser.
    """
    found: dict[str, Any] = {"name": info.app_import_path, "is_reloaded": reload}
    source = ("portico.flask_command", "application", found)
    if info.create_app is not None:
        source = ("portico.flask_command", "application_of_script", {"factory": _name_of(info.create_app)})
    arguments = {Settings.bind.name: [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]}
    if threads is not None:
        arguments[Settings.threads.name] = [str(threads)]
    try:
        settings = resolve(arguments, os.environ, find_file(None, os.environ))
        settings.values[Settings.app.attribute] = info.app_import_path or "the Flask application"
        options = Options(
            globs=watch, opens_browser=opens_browser, reloads=reload, shows_locals=shows_locals, source=source
        )
        develop(settings, options, started_at_s=_STARTED_AT_S)
    except OperatorError as error:
        raise click.ClickException(error.message) from None


def _name_of(factory: Any) -> tuple[str, str]:
    """Return module and name of the `create_app` of a script's own FlaskGroup."""
    module, name = getattr(factory, "__module__", _MAIN), getattr(factory, "__qualname__", "")
    if module == _MAIN or not name.isidentifier():
        raise click.ClickException(
            "the application is made in the script that was started, where a new process cannot find it: "
            "name it by --app, or move create_app to a module"
        )
    return module, name


def application(*, name: str | None, is_reloaded: bool) -> Any:
    """In a worker: return the application called `name` as by --app, or the one that Flask finds."""
    if is_reloaded:
        os.environ[_RELOADED_VARIABLE] = "true"
    try:
        return ScriptInfo(app_import_path=name).load_app()
    except NoAppException as error:
        raise OperatorError(error.format_message()) from error


def application_of_script(*, factory: tuple[str, str]) -> Any:
    """In a worker: return what `factory`, a module and a name, makes."""
    from importlib import import_module

    module, name = factory
    return getattr(import_module(module), name)()
