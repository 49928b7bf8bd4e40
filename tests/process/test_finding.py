"""`portico run` without APP: what it takes of a folder, and what it says of it; and APP that is a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from portico.commands.all import commands
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Portico, Start

FLASK = """
import flask
{name} = flask.Flask(__name__)
@{name}.get("/")
def index():
    return "{body}"
"""
FACTORY = """
import flask
def create_app(body="made"):
    app = flask.Flask(__name__)
    app.add_url_rule("/", "index", lambda: body)
    return app
"""
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"{body}"]
"""
DJANGO_URLS = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse(request.environ.get("shop.by", "django itself")))]
"""
WRAPPED_WSGI = """
from django.core.wsgi import get_wsgi_application
inner = get_wsgi_application()
def application(environ, start_response):
    return inner({**environ, "shop.by": "wrapped"}, start_response)
"""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DJANGO_SETTINGS_MODULE", "FLASK_APP", "PORTICO_APP"):
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def start_in(start: Start, *options: str, **environment: str) -> Portico:
    portico = start("", "-w", "1", *options, application="", environment=environment)
    portico.wait_ready()
    return portico


@pytest.fixture
def django_project(tmp_path: Path) -> Path:
    """What `django-admin startproject shop` makes, with one page."""
    pytest.importorskip("django")
    command = [sys.executable, "-m", "django", "startproject", "shop", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "DJANGO_SETTINGS_MODULE": ""})
    with (tmp_path / "shop/settings.py").open("a") as settings:
        settings.write("\nALLOWED_HOSTS = ['*']\n")
    (tmp_path / "shop/urls.py").write_text(DJANGO_URLS)
    return tmp_path


def test_takes_the_application_of_a_django_project(start: Start, django_project: Path) -> None:
    portico = start_in(start)
    assert portico.log().startswith(
        'portico: no application was given: taking portico.django_wsgi:application("shop.settings"), because '
        "manage.py is Django's and names shop.settings\n"
    )
    assert portico.get() == "django itself"
    portico.stop()


def test_takes_what_the_settings_of_django_name(start: Start, django_project: Path) -> None:
    (django_project / "shop/wsgi.py").write_text(WRAPPED_WSGI)
    portico = start_in(start)
    assert portico.get() == "wrapped"
    portico.stop()


def test_takes_what_django_makes_where_its_settings_name_nothing(start: Start, django_project: Path) -> None:
    (django_project / "shop/wsgi.py").unlink()
    (django_project / "shop/production.py").write_text(
        "from shop.settings import *\nWSGI_APPLICATION = None\n"
    )
    portico = start_in(start, DJANGO_SETTINGS_MODULE="shop.production")
    assert "because DJANGO_SETTINGS_MODULE is shop.production\n" in portico.log()
    assert portico.get() == "django itself"
    portico.stop()


def test_says_that_there_is_no_django(start: Start, tmp_path: Path) -> None:
    write(tmp_path, {"manage.py": 'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"\n'})
    write(tmp_path, {"django.py": "raise ModuleNotFoundError(\"No module named 'django'\")\n"})
    portico = start("", application="")
    assert portico.wait() == 3
    assert "ModuleNotFoundError: No module named 'django'" in portico.log()


@pytest.mark.parametrize(
    ("files", "environment", "app", "why", "body"),
    [
        ({"app.py": FLASK.format(name="app", body="a")}, {}, "app:app", "app.py has an app", "a"),
        ({"wsgi.py": HELLO.format(body="w")}, {}, "wsgi:application", "wsgi.py has an application", "w"),
        ({"app.py": FACTORY}, {}, "app:create_app()", "app.py has a create_app", "made"),
        (
            {"app.py": HELLO.format(body="w") + FLASK.format(name="app", body="a")},
            {},
            "app:app",
            "app.py has an app, which goes before its application",
            "a",
        ),
        (
            {"hello.py": FLASK.format(name="app", body="h"), "app.py": FACTORY},
            {"FLASK_APP": "hello"},
            "hello:app",
            "FLASK_APP is hello and hello.py has an app; app.py has a create_app, too",
            "h",
        ),
        (
            {"src/hello/__init__.py": FACTORY},
            {"FLASK_APP": "src/hello:create_app('of flask')"},
            "src/hello/__init__.py:create_app('of flask')",
            "FLASK_APP is src/hello:create_app('of flask')",
            "of flask",
        ),
        (
            {"app.py": FLASK.format(name="app", body="a"), "wsgi.py": "from app import app as application\n"},
            {},
            "app:app",
            "app.py has an app; wsgi.py has an application, too",
            "a",
        ),
    ],
    ids=[
        "app.py",
        "wsgi.py",
        "a factory",
        "app and application",
        "FLASK_APP",
        "a package of FLASK_APP",
        "several",
    ],
)
def test_takes_what_is_there_and_says_why(
    start: Start,
    tmp_path: Path,
    files: Mapping[str, str],
    environment: Mapping[str, str],
    app: str,
    why: str,
    body: str,
) -> None:
    pytest.importorskip("flask")
    write(tmp_path, files)
    portico = start_in(start, **environment)
    log = portico.log()
    assert log.startswith(f"portico: no application was given: taking {app}, because {why}\n")
    assert f"serves {app}\n" in log
    assert portico.get() == body
    portico.stop()


def test_looks_where_the_application_will_work(start: Start, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "", "site/wsgi.py": HELLO.format(body="in site")})
    portico = start_in(start, "--chdir", "site")
    assert portico.get() == "in site"
    portico.stop()


@pytest.mark.parametrize("command", ["run", "check"])
def test_says_where_it_has_looked_in_vain(tmp_path: Path, command: str) -> None:
    (tmp_path / "app.py").write_text("site = None\n")
    ended = subprocess.run(
        [sys.executable, "-m", "portico", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"portico: no application was given, and none was found in {tmp_path}, where app.py has no "
        "app, application, create_app or make_app: name its module and attribute, as in `portico run "
        "shop.wsgi:application`, or set PORTICO_APP\n"
    )


def test_a_name_is_taken_before_anything_is_looked_for(start: Start, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": FACTORY, "portico.toml": '[[app]]\napp = "shop"\n'})
    portico = start(HELLO.format(body="of the file"), application="", environment={"FLASK_APP": "app"})
    portico.wait_ready()
    assert portico.get() == "of the file"
    assert "no application was given" not in portico.log()
    portico.stop()


@of_the_default
def test_what_was_found_is_an_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"app.py": FACTORY})
    shown = CliRunner().invoke(commands, ["config", "--changed"]).output
    assert shown == '[[app]]\napp = "app:create_app()"  # found: app.py has a create_app\n'
    unit = CliRunner().invoke(commands, ["generate", "systemd", "-b", "127.0.0.1:8000"])
    assert 'run "app:create_app()"' in unit.stdout
    assert unit.stderr == (
        "portico: no application was given: taking app:create_app(), because app.py has a create_app\n"
    )


def test_a_check_says_what_it_has_taken(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": HELLO.format(body="")})
    ended = subprocess.run(
        [sys.executable, "-m", "portico", "check", "-b", "127.0.0.1:0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (
        0,
        "portico: no application was given: taking app:application, because app.py has an application\n",
    )
    assert "app:application can be called\n" in ended.stdout


def test_the_finding_is_in_no_worker(start: Start, tmp_path: Path) -> None:
    source = """
import sys
before = sorted(sys.modules)
def application(environ, start_response):
    start_response("200 OK", [])
    return [" ".join(before).encode()]
"""
    write(tmp_path, {"wsgi.py": source})
    portico = start_in(start)
    loaded = portico.get().split()
    assert "portico.app_loader.modules" in loaded
    # A plain function needs no closer look than its number of arguments.
    for name in (
        "portico.app_loader.callables",
        "portico.config.finding",
        "portico.config.check",
        "ast",
        "inspect",
    ):
        assert name not in loaded
    portico.stop()


# --- APP is a file, or a factory


@pytest.mark.parametrize(
    ("application", "module"),
    [
        ("my-shop.wsgi", "my_shop_wsgi"),
        ("site.wsgi:application", "site_wsgi"),
        ("src/shop/wsgi.py", "shop.wsgi"),
        ("{folder}/src/shop/wsgi.py:application", "shop.wsgi"),
    ],
    ids=["no name", "of a module", "in a package", "absolute"],
)
def test_a_file_is_served_and_a_reload_imports_it_anew(
    start: Start, tmp_path: Path, application: str, module: str
) -> None:
    path = tmp_path / application.format(folder=tmp_path).partition(":")[0]
    write(tmp_path, {"src/shop/__init__.py": ""})
    path.write_text(HELLO.format(body="first").replace('b"first"', '(__name__ + " first").encode()'))
    portico = start("", "-w", "1", application=application.format(folder=tmp_path))
    portico.wait_ready()
    assert portico.get() == f"{module} first"
    path.write_text(path.read_text().replace("first", "after"))
    portico.signal(signal.SIGHUP)
    # The worker of before serves until the new one is ready.
    wait_until(lambda: portico.get() == f"{module} after", what="a response of the new file")
    portico.stop()


def test_a_file_of_the_configuration_starts_from_the_folder_of_that(start: Start, tmp_path: Path) -> None:
    write(tmp_path, {"etc/portico.toml": '[[app]]\napp = "web/main.wsgi:application"\n'})
    write(tmp_path, {"etc/web/main.wsgi": HELLO.format(body="of etc")})
    portico = start("", "-c", "etc/portico.toml", application="")
    portico.wait_ready()
    assert f"serves {tmp_path}/etc/web/main.wsgi:application\n" in portico.log()
    assert portico.get() == "of etc"
    portico.stop()


@pytest.mark.parametrize(
    ("options", "application", "body"),
    [
        ((), 'shop:create_app("argued")', "argued"),
        ((), 'shop:create_app(body="named")', "named"),
        (("--factory",), "shop:create_app", "made"),
        (("--factory",), "shop", "made"),
    ],
)
def test_a_factory_is_served(start: Start, options: tuple[str, ...], application: str, body: str) -> None:
    pytest.importorskip("flask")
    portico = start(FACTORY, "-w", "1", *options, application=application)
    portico.wait_ready()
    assert portico.get() == body
    portico.stop()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("def application(config=None): ...", "so it makes the application: write shop:application()"),
        ("async def application(scope, receive, send): ...", "shop:application is asynchronous (ASGI)"),
        (
            "class application:\n    def __init__(self, name): ...",
            "a class whose constructor takes one argument",
        ),
    ],
)
def test_what_is_no_application_is_told_at_start(start: Start, source: str, sentence: str) -> None:
    portico = start(source)
    assert portico.wait() == 3
    log = portico.log()
    assert "cannot load shop: " in log
    assert sentence in log
