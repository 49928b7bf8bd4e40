"""Notes in PostgreSQL: a Django site in one file, with psycopg 3 and a pool of connections.

In this folder, after `pip install django 'psycopg[binary,pool]' gevent`:

    createdb notes
    python psycopg_notes.py                     # makes the table
    portico run psycopg_notes --worker gevent

PGHOST, PGUSER and PGDATABASE say which database. Nothing here is about gevent:
psycopg looks whether the standard library is patched, which `--worker gevent` does before it imports this.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_http_methods

# Of each worker, however many calls it has at one time: the others wait for a connection. Without a pool each
# call would have one of its own, and PostgreSQL has 100 by default.
POOL = {"min_size": 1, "max_size": 20, "timeout": 10}

settings.configure(
    SECRET_KEY="only for this example",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("PGDATABASE", "notes"),
            "OPTIONS": {"pool": POOL},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
application = get_wsgi_application()


class Note(models.Model):
    """A line of text."""

    text = models.CharField(max_length=200)

    class Meta:
        app_label = "psycopg_notes"
        db_table = "note"


@require_http_methods(["GET", "POST"])
def notes(request: HttpRequest) -> HttpResponse:
    """Show the notes; POST adds one."""
    if request.method == "POST":
        Note.objects.create(text=request.POST["text"])
        return HttpResponseRedirect("/")
    items = format_html_join("\n", "<li>{}</li>", Note.objects.order_by("id").values_list("text"))
    return HttpResponse(format_html('<ul>{}</ul>\n<form method="post"><input name="text"></form>\n', items))


urlpatterns = [path("", notes)]

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(Note)
