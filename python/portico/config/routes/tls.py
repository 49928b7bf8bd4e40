"""How TLS is spoken with other servers, and whether the files of that can be used: before the start, when it
can be said where.

Read by workers, and in the processes that look before them (`config/check.py`, `process/privilege_trial.py`).
"""

from __future__ import annotations

import os

from portico.config.routes.table import Routes
from portico.errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from portico.config.settings import Settings

_FILES = ("ca", "client_certificate", "client_key")


class UpstreamTls:
    """The terms (`portico.types.EngineTls`); relative paths start from `directory`."""

    def __init__(self, values: Mapping[str, Any], directory: str) -> None:
        self.server_name: str = values["server_name"]
        self.ca, self.client_certificate, self.client_key = (
            values[key] and os.path.join(directory, values[key]) for key in _FILES
        )
        self.verify: bool = values["verify"]


def in_tls(settings: Settings, directory: str, reader: str = "") -> Iterator[str]:
    """Yield a sentence for each upstream over TLS whose files cannot be used.

    `reader` is who this process is, where that is not who reads the configuration.
    """
    for values, origin in _over_tls(settings):
        # Here, because few have any, and what parses options has no need of the engine otherwise.
        from portico import _core

        tls = UpstreamTls(values, directory)
        unreadable = [*_unreadable(tls, reader)]
        if not unreadable:
            try:
                _core.check_tls(tls)
            except ValueError as error:
                unreadable = [str(error)]
        yield from (f"{origin}: {sentence}" for sentence in unreadable)


def unverified(settings: Settings) -> Iterator[str]:
    """Yield a warning for each upstream of which anybody is trusted."""
    for values, origin in _over_tls(settings):
        if not values["verify"]:
            yield (
                f"{origin}: verify is false: whoever is between portico and {values['to'][0]} can read and "
                "change what passes; name with ca whose certificates are trusted"
            )


def _over_tls(settings: Settings) -> Iterator[tuple[Mapping[str, Any], str]]:
    for action in Routes.load(settings.routes).actions if settings.routes else ():
        if any(place.startswith(("https:", "srv+https:")) for place in action.values.get("to", ())):
            yield action.values, action.origin


def _unreadable(tls: UpstreamTls, reader: str) -> Iterator[str]:
    for key in _FILES:
        path = getattr(tls, key)
        try:
            if path:
                open(path, "rb").close()
        except OSError as error:
            wanted = f"a file that {reader} can read" if reader else "a file"
            yield f"{key}: expected {wanted}, got {quoted(path)}: {error.strerror}"
