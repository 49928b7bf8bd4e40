"""The application of a folder where none is named: Django's, what FLASK_APP names, that of app.py or wsgi.py.

Runs in the process of the command line, after config/sources.py. Looks at the environment and at files, which
it parses and never imports: what an import does belongs into a worker. Hands on settings whose `app` has an
origin that says why it was taken.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass

from portico.app_loader.name import FACTORIES, names_file
from portico.config.python_source import (
    UnreadableError,
    is_function,
    needs_arguments,
    parse_file,
    top_level_names,
    values_of_variable,
)
from portico.config.settings import Settings
from portico.config.sources import FOUND
from portico.errors import quoted

_MANAGE = "manage.py"
_SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"
_FLASK_VARIABLE = "FLASK_APP"
_MODULES = ("app", "wsgi")
_ATTRIBUTES = ("app", "application")
"""What is taken of a file that nobody has named, the first that is there: in Flask's order."""


def find_application(settings: Settings, directory: str, environment: Mapping[str, str]) -> Settings:
    """Return `settings` with the application that is found in `directory`; as they are if there is none.

    With `factory` they stay so, too: it says something of an APP that was named.
    """
    found = [] if settings.factory else _Search(settings, directory, environment).found
    if not found:
        return settings
    first, *others = found
    why = first.why
    if others:
        why += f"; {' and '.join(other.why for other in others)}, too"
    app = Settings.app.attribute
    origins = {**settings.origins, app: FOUND + why}
    return Settings({**settings.values, app: first.app}, origins, settings.routes)


def why_none_was_found(settings: Settings, directory: str, environment: Mapping[str, str]) -> str:
    """Return a sentence for the operator: where an application was looked for, and what was in the way."""
    if settings.factory:
        origin = settings.origins[Settings.factory.attribute]
        return (
            f"no application was given, which factory ({origin}) would be said of: name its module and "
            "factory, as in `portico run --factory shop:create_app`"
        )
    unfit = _Search(settings, directory, environment).unfit
    what = f"where {' and '.join(unfit)}" if unfit else "which has no manage.py, app.py or wsgi.py"
    return (
        f"no application was given, and none was found in {directory}, {what}: name its module and "
        "attribute, as in `portico run shop.wsgi:application`, or set PORTICO_APP"
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An application that could be served: APP for it, the beginning of a sentence's reason, and its file."""

    app: str
    why: str
    file: str = ""


class _Search:
    """One look at a folder.

    `found` has what could be served, the most definite first; `unfit` says what could not, and why.
    """

    def __init__(self, settings: Settings, directory: str, environment: Mapping[str, str]) -> None:
        self.found: list[_Candidate] = []
        self.unfit: list[str] = []
        self._directory = directory
        self._folders = ("", *settings.pythonpath)
        self._environment = {**environment, **dict(settings.env)}
        self._look_for_django()
        self._look_at_flask_variable()
        for module in _MODULES:
            self._look_at_module(module)

    def _look_for_django(self) -> None:
        module = self._environment.get(_SETTINGS_VARIABLE, "").strip()
        why = f"{_SETTINGS_VARIABLE} is {module}"
        if not module and self._has(_MANAGE):
            module = self._settings_of_manage()
            why = f"{_MANAGE} is Django's and names {module}"
        if not module:
            return
        if all(part.isidentifier() for part in module.split(".")):
            self.found.append(_Candidate(f'portico.django_wsgi:application("{module}")', why))
        else:
            self.unfit.append(f"{_SETTINGS_VARIABLE} is {quoted(module)}, which is no name of a module")

    def _settings_of_manage(self) -> str:
        """Return the settings module that manage.py names, or an empty text, having noted why."""
        try:
            values = values_of_variable(parse_file(self._path(_MANAGE)), _SETTINGS_VARIABLE)
        except UnreadableError as error:
            self.unfit.append(f"{_MANAGE} {error}")
            return ""
        constants = [value for value in values if value]
        if len(values) == 1 and constants:
            return constants[0]
        if values:
            advice = "set it in the environment"
            self.unfit.append(f"{_MANAGE} chooses {_SETTINGS_VARIABLE} while it runs ({advice})")
        else:
            self.unfit.append(f"{_MANAGE} does not set {_SETTINGS_VARIABLE}")
        return ""

    def _look_at_flask_variable(self) -> None:
        text = self._environment.get(_FLASK_VARIABLE, "").strip()
        if not text:
            return
        if not text.isprintable():
            self.unfit.append(f"{_FLASK_VARIABLE} is {quoted(text)}, which is no name")
            return
        target, _, attribute = text.partition(":")
        file = self._file_of(target)
        # A file that cannot be read here is the worker's to complain about: it was asked for by its name.
        names = self._names_of(file) or {}
        why = f"{_FLASK_VARIABLE} is {text}"
        if not attribute and (attribute := self._attribute_of(file, names)):
            why += f" and {_has_one(file, attribute, names)}"
        elif attribute in names and is_function(names[attribute]) and not needs_arguments(names[attribute]):
            attribute += "()"  # as Flask calls it
        module = file if file and names_file(target) else target
        self.found.append(_Candidate(f"{module}:{attribute}".rstrip(":"), why, file))

    def _look_at_module(self, module: str) -> None:
        file = self._file_of(module)
        names = self._names_of(file)
        if names is None or file in [candidate.file for candidate in self.found]:
            return
        if attribute := self._attribute_of(file, names):
            self.found.append(_Candidate(f"{module}:{attribute}", _has_one(file, attribute, names), file))

    def _names_of(self, file: str) -> dict[str, ast.stmt] | None:
        """Return the top-level names of `file`; None, having noted why, if it cannot be read."""
        if not file:
            return None
        try:
            return top_level_names(parse_file(self._path(file)))
        except UnreadableError as error:
            self.unfit.append(f"{file} {error}")
            return None

    def _attribute_of(self, file: str, names: Mapping[str, ast.stmt]) -> str:
        """Return what to take of `file`, or an empty text, having noted why."""
        for name in _ATTRIBUTES:
            if name in names:
                return name
        factories = [name for name in FACTORIES if name in names]
        for name in factories:
            if not needs_arguments(names[name]):
                return f"{name}()"
        if factories:
            self.unfit.append(f"{factories[0]} of {file} needs arguments")
        elif file:
            *others, last = (*_ATTRIBUTES, *FACTORIES)
            self.unfit.append(f"{file} has no {', '.join(others)} or {last}")
        return ""

    def _file_of(self, target: str) -> str:
        """Return the path of the module or file `target`, from the working directory; else an empty text."""
        if names_file(target):
            candidates = [target, f"{target}.py", f"{target}/__init__.py"]
        else:
            path = target.replace(".", "/")
            ends = (f"{path}/__init__.py", f"{path}.py")  # as an import would find them
            candidates = [os.path.join(folder, end) for folder in self._folders for end in ends]
        return next((path for path in candidates if self._has(path)), "")

    def _has(self, path: str) -> bool:
        return os.path.isfile(self._path(path))

    def _path(self, path: str) -> str:
        return os.path.join(self._directory, path)


def _has_one(file: str, attribute: str, names: Container[str]) -> str:
    name = attribute.removesuffix("()")
    has = f"{file} has {'an' if name.startswith('a') else 'a'} {name}"
    first, second = _ATTRIBUTES
    # Both are often the same; but the second may be the first with something around it.
    return f"{has}, which goes before its {second}" if name == first and second in names else has
