"""Django's application as its settings name it.

    portico run 'portico.django_wsgi:application("shop.settings")'

Called in a worker, which imports what `portico run` in a project of Django has only seen the name of
(config/finding.py). Imports nothing else of portico.
"""

from __future__ import annotations

import os
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIABLE = "DJANGO_SETTINGS_MODULE"


def application(settings_module: str = "") -> Any:
    """Return what WSGI_APPLICATION of the settings names, or where it is None what Django makes of itself.

    `settings_module` is for where DJANGO_SETTINGS_MODULE is not set, as in manage.py. Whatever Django, the
    settings or the named module raise passes through. Source: "WSGI_APPLICATION" in Django's reference of
    settings.
    """
    if settings_module and not os.environ.get(_VARIABLE):
        os.environ[_VARIABLE] = settings_module
    name = import_module("django.conf").settings.WSGI_APPLICATION
    if name is None:
        return import_module("django.core.wsgi").get_wsgi_application()
    return import_module("django.utils.module_loading").import_string(name)
