"""portico as an app of Django: `"portico"` in INSTALLED_APPS, for its commands (`management/commands`).

Imported by Django only.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import Warning as CheckWarning
from django.core.checks import register


class PorticoConfig(AppConfig):  # type: ignore[misc]
    """No models, two commands, one check."""

    name = "portico"
    verbose_name = "portico"

    def ready(self) -> None:
        """Have the order of INSTALLED_APPS checked."""
        register(check_order)


def check_order(**_: Any) -> list[Any]:
    """Warn where another `runserver` hides portico's: of commands with one name, the first app's counts."""
    names = [config.name for config in apps.get_app_configs()]
    other = "django.contrib.staticfiles"
    if other not in names or names.index("portico") < names.index(other):
        return []
    return [
        CheckWarning(
            f'"{other}" stands before "portico" in INSTALLED_APPS, so `manage.py runserver` is Django\'s.',
            hint='Move "portico" to the top of INSTALLED_APPS.',
            id="portico.W001",
        )
    ]
