"""Where the templates of an application are: a framework keeps what it has read of them.

Runs in a worker, once the application is loaded. Hands on pairs of a folder and a pattern, for the loop to
watch. Nothing is imported for it: what is not there is not asked.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_EVERYTHING = "**/*"
_USUAL_NAME = "templates"
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def template_globs(application: object, files: Iterable[str]) -> list[tuple[str, str]]:
    """Return the globs of `application`, whose modules are from `files`."""
    globs = {(folder, _EVERYTHING) for folder in (*_beside(files), *_of_flask(application))}
    globs.update(_of_django())
    return sorted(glob for glob in globs if not _is_installed(glob[0]))


def _beside(files: Iterable[str]) -> Iterator[str]:
    """Folders that are called `templates`, beside modules: the usual place in Flask and in Django's apps."""
    prefixes = tuple({os.path.join(prefix, "lib") + os.sep for prefix in (sys.base_prefix, sys.prefix)})
    for folder in {os.path.dirname(path) for path in files if not path.startswith(prefixes)}:
        found = os.path.join(folder, _USUAL_NAME)
        if not _is_installed(found) and os.path.isdir(found):
            yield found


def _of_flask(application: object) -> Iterator[str]:
    """Folders of a Flask application and of its blueprints, whatever they are called."""
    blueprints = getattr(application, "blueprints", None)
    for owner in (application, *(blueprints.values() if isinstance(blueprints, dict) else ())):
        root, folder = getattr(owner, "root_path", None), getattr(owner, "template_folder", None)
        if isinstance(root, str) and isinstance(folder, (str, os.PathLike)):
            found = os.path.join(root, folder)
            if isinstance(found, str):
                yield found


def _of_django() -> Iterator[tuple[str, str]]:
    """What Django's own reloader would watch: templates, translations, and what its apps ask for."""
    registry: Any = sys.modules.get("django.apps")
    if registry is None or not registry.apps.ready:
        return
    from django.utils.autoreload import BaseReloader, autoreload_started

    reloader = BaseReloader()
    autoreload_started.send(sender=reloader)
    for folder, patterns in reloader.directory_globs.items():
        for pattern in patterns:
            yield str(folder), pattern
    for path in reloader.extra_files:
        yield os.path.dirname(str(path)), os.path.basename(str(path))


def _is_installed(path: str) -> bool:
    return any(part in path for part in _INSTALLED)
