"""The command line again: settings to the words that give the same settings, whatever they had come from.

A service or a container starts in an environment of its own, so what an environment variable said here is an
option there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence

from portico.config.settings import TABLE, Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.errors import OperatorError


def words(
    settings: Settings,
    *,
    without: Collection[str] = (),
    replaced: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return APP and the options of `settings` that are not left at their defaults.

    `without` names settings to leave out; `replaced` gives other texts for some, by name. Raises
    OperatorError for a value that only a configuration file can hold.
    """
    replaced = replaced or {}
    found = [settings.app] if settings.app else []
    for row in TABLE:
        if row.positional or row.name in without:
            continue
        if row.name in replaced:
            texts = list(replaced[row.name])
        elif settings.origins[row.attribute] == DEFAULT_ORIGIN:
            continue
        else:
            value = settings.values[row.attribute]
            try:
                texts = [row.kind.show(part) for part in (value if row.many else (value,))]
            except ValueError as error:
                instead = "logconfig = a file of its own"
                if row is not Settings.logconfig:
                    instead = "name a function of your own that needs none"
                raise OperatorError(
                    f"{settings.origins[row.attribute]}: {error}, and a command line is made here: {instead}"
                ) from None
        for text in texts:
            found += row.kind.option(row.flags[-1], text)
    return found


def program() -> list[str]:
    """Return how to call the portico that runs this, by absolute paths."""
    installed = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "portico")
    # A script of zc.buildout, or an archive of shiv or pex, may be all there is.
    for script in (installed, os.path.abspath(sys.argv[0])):
        if os.path.isfile(script) and os.access(script, os.X_OK):
            return [script]
    return [os.path.abspath(sys.executable), "-m", "portico"]
