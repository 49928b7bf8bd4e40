"""The route that Flask or Django has found for a request, in its access line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.log_file import LogFile
from support.waiting import wait_until

from .conftest import Start

FLASK = """
from flask import Flask
from portico.frameworks.flask import tell_route

application = Flask(__name__)
tell_route(application)

@application.get("/order/<int:number>")
def order(number):
    return "hello"
"""

DJANGO = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="x",
    MIDDLEWARE=["portico.frameworks.django.TellRoute"],
)

def order(request, number):
    return HttpResponse("hello")

urlpatterns = [path("order/", include([path("<int:number>", order)]))]
application = get_wsgi_application()
"""


@pytest.mark.parametrize("source", [pytest.param(FLASK, id="Flask"), pytest.param(DJANGO, id="Django")])
def test_a_line_has_the_route_and_not_only_the_path(start: Start, tmp_path: Path, source: str) -> None:
    access_log = LogFile(tmp_path / "access.log")
    portico = start(source, "--access-log", str(access_log.path), "--access-log-format", "json", "-w", "1")
    portico.wait_ready()
    portico.get("/order/4711")
    portico.get("/nowhere")
    wait_until(lambda: len(access_log.lines()) == 2, what="two lines")
    found, missing = (json.loads(line) for line in access_log.lines())
    assert (found["url.path"], found["http.route"]) == ("/order/4711", "/order/<int:number>")
    assert (missing["http.response.status_code"], "http.route" in missing) == (404, False)
