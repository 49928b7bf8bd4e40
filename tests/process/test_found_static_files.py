"""`--static auto`: the directories of files that an application has itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Portico, Start

FLASK = """
import os
from flask import Blueprint, Flask, url_for
app = Flask(__name__, static_url_path="/files", static_folder="assets")
admin = Blueprint("admin", __name__, url_prefix="/admin", static_folder="of_admin")
shop = Blueprint("shop", __name__, static_folder="not_there", static_url_path="/none")
app.register_blueprint(admin)
app.register_blueprint(shop)
@app.get("/")
def index(): return " ".join([url_for("static", filename="a.css"), url_for("admin.static", filename="b.css")])
@app.after_request
def mark(response):
    response.headers["X-Flask"] = "yes"
    return response
def create(): return app
"""
DJANGO = """
import os, sys
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="only for tests", STATIC_URL="static/",
    STATIC_ROOT=os.environ["ROOT"] or None, INSTALLED_APPS=["django.contrib.staticfiles"],
)
def index(request): return HttpResponse(static("a.css"))
urlpatterns = [path("", index)]
application = get_wsgi_application()
"""


def head(portico: Portico, path: str) -> str:
    with portico.ask(path) as connection:
        received = b""
        while data := connection.recv(65536):
            received += data
    return received.partition(b"\r\n\r\n")[0].decode()


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)


def test_folders_of_flask_and_its_blueprints(start: Start, tmp_path: Path) -> None:
    make(tmp_path, "assets/a.css", "of_admin/b.css", "other/a.css")
    options = ("--static", "auto", "--static", "/other=other", "--script-name", "/shop", "-w", "2")
    portico = start(FLASK, *options, application="shop:create()")
    portico.wait_ready()
    both = [f"/shop/files={tmp_path}/assets", f"/shop/admin/of_admin={tmp_path}/of_admin"]
    for line in portico.log().splitlines():
        if "static: auto is " in line:
            assert set(line.partition("auto is ")[2].split(", ")) == {*both, "of shop:create()"}
    # Two workers have found it, and one says so.
    assert portico.log().count("static: auto is ") == 1
    paths = portico.get("/shop/").split()
    assert paths == ["/shop/files/a.css", "/shop/admin/of_admin/b.css"]
    for path, name in zip(paths, ["assets/a.css", "of_admin/b.css"], strict=True):
        assert portico.get(path) == name
        assert "X-Flask" not in head(portico, path)
        # What is not there is Flask's own matter.
        assert "X-Flask" in head(portico, f"{path}.none")
    assert portico.get("/other/a.css") == "other/a.css"
    portico.stop()


def test_static_root_of_django(start: Start, tmp_path: Path) -> None:
    make(tmp_path, "collected/a.css")
    options = ("--static", "auto", "--script-name", "/shop", "-e", "ROOT=collected", "--preload")
    portico = start(DJANGO, *options)
    portico.wait_ready()
    assert f"static: auto is /shop/static={tmp_path}/collected, of shop:application" in portico.log()
    assert "/shop/static/a.css" in portico.get("/shop/")
    assert portico.get("/shop/static/a.css") == "collected/a.css"
    portico.stop()


@pytest.mark.parametrize(
    ("root", "why"),
    [
        ("", "Django has no STATIC_ROOT"),
        ("none", "/none, STATIC_ROOT of Django: run "),
    ],
)
def test_what_is_not_found_is_told(start: Start, root: str, why: str) -> None:
    portico = start(DJANGO, "--static", "auto", "-w", "1", "-e", f"ROOT={root}")
    portico.wait_ready()
    assert "static: auto has found no files of shop:application: " in portico.log()
    assert why in portico.log()
    portico.stop()


def test_several_applications_say_where_their_files_are(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("")
    text = '[[app]]\napp = "shop"\nstatic = "auto"\n[[respond]]\npath = "/x"\n'
    (tmp_path / "portico.toml").write_text(text)
    portico = Portico(tmp_path, "", (), port=0, reads_file=True)
    assert portico.wait() != 0
    said = "expected PREFIX=DIR, or [[static]] in the file, where that makes routes, got auto"
    assert f"portico.toml:3:10: {said}" in portico.log()
