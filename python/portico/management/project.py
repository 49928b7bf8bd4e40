"""The Django project that a command of `manage.py` is about: its name, and where it is imported from."""

from __future__ import annotations

import os
import sys

from django.conf import settings as project


def name() -> str:
    """Return the name of the module of settings."""
    return str(project.SETTINGS_MODULE)


def folders() -> list[str]:
    """Return the folder of `manage.py`, which Python has put on its import path by itself, if it has one."""
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    # One that was started with -m has no folder of its own.
    if not script or getattr(main, "__spec__", None) is not None:
        return []
    return [os.path.dirname(os.path.realpath(script))]
