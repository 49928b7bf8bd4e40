"""Where an application has its static files, for `static = "auto"`: Flask's folders, Django's STATIC_ROOT.

Receives settings and an application that was loaded, hands on settings that name the directories. Imported
where that is asked for only.
"""

from __future__ import annotations

import os
import sys

from portico import log
from portico.config.values import AUTO
from portico.process.plan import handed_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from portico.config.settings import Settings

_FILES = "/<path:filename>"
"""What stands behind the path of files in Flask."""


def with_static_files(settings: Settings, application: object, name: str, *, tells: bool) -> Settings:
    """Return `settings` with the directories of `application`, which is called `name`, in place of `auto`.

    A path that they name themselves is theirs. `tells`: the log says what was found.
    """
    named = [text for text in settings.static_directories if text != AUTO]
    prefixes = {text.partition("=")[0] for text in named}
    found, why_none = _find(application, settings.script_name)
    added = []
    for prefix, directory in found:
        if prefix not in prefixes and "=" not in prefix:
            prefixes.add(prefix)
            added.append(f"{prefix}={directory}")
    if tells and added:
        log.info(f"static: auto is {', '.join(added)}, of {name}")
    elif tells and not found:
        log.warning(f"static: auto has found no files of {name}: {why_none}")
    values = {**settings.values, "static_directories": (*named, *added)}
    return handed_settings(values, settings.origins, settings.routes)


def _find(application: object, mount: str) -> tuple[list[tuple[str, str]], str]:
    """Return paths of URLs and directories, or why there are none."""
    if hasattr(application, "url_map") and hasattr(application, "static_folder"):
        return _of_flask(application, mount)
    django = sys.modules.get("django.conf")
    if django is not None and django.settings.configured:
        return _of_django(django.settings, mount)
    return [], "it is neither of Flask nor of Django; expected --static PREFIX=DIR"


def _of_flask(application: Any, mount: str) -> tuple[list[tuple[str, str]], str]:
    found = [(f"{mount}{prefix}" or "/", folder) for prefix, folder in _rules_of_flask(application)]
    there = [(prefix, folder) for prefix, folder in found if os.path.isdir(folder)]
    if there or not found:
        return there, "Flask has no static_folder"
    return [], f"there is no directory {found[0][1]}, static_folder of Flask"


def _rules_of_flask(application: Any) -> Iterator[tuple[str, str]]:
    """Yield the paths that Flask and its blueprints serve files below, each with its folder."""
    for rule in application.url_map.iter_rules():
        owner, _, last = rule.endpoint.rpartition(".")
        prefix = rule.rule.removesuffix(_FILES)
        if last != "static" or prefix == rule.rule or "<" in prefix or rule.host or rule.subdomain:
            continue
        owned = application.blueprints.get(owner) if owner else application
        if owned is not None and owned.static_folder:
            yield prefix, os.path.abspath(owned.static_folder)


def _of_django(django: Any, mount: str) -> tuple[list[tuple[str, str]], str]:
    from django.urls import clear_script_prefix, set_script_prefix

    # A relative STATIC_URL is below where the application is mounted, as it is in each request.
    set_script_prefix(f"{mount}/")
    try:
        url = django.STATIC_URL
    finally:
        clear_script_prefix()
    root = django.STATIC_ROOT
    if not url or not root:
        return [], f"Django has no {'STATIC_ROOT' if url else 'STATIC_URL'}"
    if not url.startswith("/") or url.startswith("//"):
        return [], f"STATIC_URL of Django is {url}, which another server has"
    directory = os.path.abspath(root)
    if not os.path.isdir(directory):
        return (
            [],
            f"there is no directory {directory}, STATIC_ROOT of Django: run manage.py collectstatic",
        )
    return [(url.rstrip("/") or "/", directory)], ""
