"""A page that computes, as a Flask and as a Django application: a template of many rows, nothing to wait for.

Imports its framework only when an application is made: whoever measures needs EXPECTED alone.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROWS = [(number, number * 7 % 1000) for number in range(100)]
EXPECTED = b"".join(b"<li>shoe %d: %d</li>" % row for row in ROWS)
TEMPLATE = "{% for number, price in rows %}<li>shoe {{ number }}: {{ price }}</li>{% endfor %}"


def lock() -> str:
    """`on` where the interpreter has its lock: an extension that needs it brings it back."""
    return "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off"


def flask_app() -> Callable[..., Any]:
    """Flask, with a template of Jinja."""
    from flask import Flask, render_template

    app = Flask(__name__)
    template = app.jinja_env.from_string(TEMPLATE)
    app.add_url_rule("/", "page", lambda: render_template(template, rows=ROWS))
    app.add_url_rule("/lock", "lock", lock)
    return app


def django_app() -> Callable[..., Any]:
    """Django, with a template of its own."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.template import engines
    from django.urls import path

    class Urls:
        urlpatterns = (
            path("", lambda request: HttpResponse(template.render({"rows": ROWS}))),
            path("lock", lambda request: HttpResponse(lock())),
        )

    settings.configure(
        SECRET_KEY="only for the benchmark",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=Urls,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    application = get_wsgi_application()
    template = engines["django"].from_string(TEMPLATE)
    return application
