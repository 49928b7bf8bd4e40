"""Whether the files of error pages are there and small enough: before the start, when it can be said where.

Runs in the process of the command line, and in the child of it that is what a worker will be
(`process/privilege_trial.py`): workers read the pages.
"""

from __future__ import annotations

import os

from portico.config.routes.table import Routes
from portico.config.settings import Settings
from portico.errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_BYTES = 64 << 10
"""As the engine has it (crates/engine/src/files/error_pages.rs)."""


def in_error_pages(settings: Settings, directory: str, reader: str = "") -> Iterator[str]:
    """Yield a sentence for each page of the server and of its routes that cannot be sent.

    `reader` is who this process is, where that is not who reads the configuration.
    """
    row = Settings.error_pages
    origin = settings.origins[row.attribute]
    for sentence in unusable(settings.error_pages, directory, reader):
        yield f"{origin}: {sentence}"
    for action in Routes.load(settings.routes).actions if settings.routes else ():
        for sentence in unusable(action.values.get(row.attribute, ()), directory, reader):
            yield f"{action.origin}: {sentence}"


def unusable(pages: Iterable[str], directory: str, reader: str = "") -> Iterator[str]:
    """Yield a sentence for each of `pages` that cannot be sent; relative paths start from `directory`."""
    for page in pages:
        status, _, name = page.partition("=")
        wanted = f"expected a file for {status}" + (f" that {reader} can read" if reader else "")
        path = os.path.join(directory, name)
        # Long paths are not shown to their end.
        name = os.path.relpath(path, directory) if path.startswith(f"{directory}/") else name
        try:
            if not os.path.isfile(path):
                os.stat(path)
                yield f"error_pages: expected a file for {status}, got {quoted(name)}, which is none"
                continue
            with open(path, "rb") as file:
                size = len(file.read(MOST_BYTES + 1))
        except OSError as error:
            yield f"error_pages: {wanted}, got {quoted(name)}: {error.strerror}"
            continue
        if size > MOST_BYTES:
            yield (
                f"error_pages: expected a file of at most {MOST_BYTES} bytes for {status}, "
                f"got {quoted(name)} with {os.path.getsize(path)}"
            )


def changed_ns(pages: Iterable[str], directory: str) -> list[int]:
    """Return when each of `pages` was changed, 0 where it is not there."""
    paths = [os.path.join(directory, page.partition("=")[2]) for page in pages]
    return [os.stat(path).st_mtime_ns if os.path.exists(path) else 0 for path in paths]
