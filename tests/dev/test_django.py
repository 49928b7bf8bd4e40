"""`"portico"` in INSTALLED_APPS: `runserver` is for development, `runportico` for production."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.server import free_port
from support.waiting import wait_until

from .conftest import HTML, Development, Start, save

pytest.importorskip("django")

FILES = {
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "shop/__init__.py": "",
    "shop/settings.py": """
import os
from pathlib import Path
SECRET_KEY = "only for tests"
DEBUG = os.environ.get("SHOP_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["portico", "django.contrib.staticfiles", "shop.cart"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "DIRS": [Path(__file__).parent / "pages"]}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
STATIC_URL = "/static/"
USE_TZ = True
""",
    "shop/urls.py": """
from django.urls import path
from shop.cart import views
urlpatterns = [path("", views.home), path("about/", views.about), path("process/", views.process)]
""",
    "shop/pages/home.html": "old home",
    "shop/cart/__init__.py": "",
    "shop/cart/templates/about.html": "old about",
    "shop/cart/static/cart.css": "body {}",
    "shop/cart/views.py": """
import os
import threading
from django.http import JsonResponse
from django.shortcuts import render
def home(request):
    return render(request, "home.html")
def about(request):
    return render(request, "about.html")
def process(request):
    server = request.META["SERVER_SOFTWARE"].partition("/")[0]
    run_main, multithread = os.environ.get("RUN_MAIN"), request.META["wsgi.multithread"]
    return JsonResponse({"run_main": run_main, "multithread": multithread, "server": server})
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, text.lstrip())
    return tmp_path


def runserver(
    start: Start, *options: str, address: str | None = None, command: str = "runserver"
) -> Development:
    port = free_port()
    words = [sys.executable, "manage.py", command, address.format(port) if address else str(port), *options]
    return start(command=words, port=port).wait_ready()


def test_runserver_is_the_development_server(start: Start, project: Path) -> None:
    dev = runserver(start)
    assert dev.body() == "old home"
    assert '"server": "portico"' in dev.body("/process/")
    assert '"run_main": "true", "multithread": true' in dev.body("/process/")
    assert "Performing system checks..." in dev.log()
    assert "serves shop.settings for development" in dev.log()


def test_reloads_views_templates_and_settings(start: Start, project: Path) -> None:
    dev = runserver(start)
    assert [dev.body(), dev.body("/about/")] == ["old home", "old about"]
    save(project / "shop/pages/home.html", "new home")
    dev.wait_body("new home")
    save(project / "shop/cart/templates/about.html", "new about")
    dev.wait_body("new about", "/about/")
    views = project / "shop/cart/views.py"
    save(views, views.read_text().replace('"home.html"', '"about.html"'))
    dev.wait_body("new about")


@pytest.mark.parametrize("name", ["shop/settings.py", "shop/urls.py", "shop/cart/views.py"])
def test_a_broken_file_and_its_mending(start: Start, project: Path, name: str) -> None:
    dev = runserver(start)
    good = (project / name).read_text()
    save(project / name, good + "\ndef broken(:\n")
    dev.wait_for("the error page is served")
    status, kind, page = dev.get(accept=HTML)
    assert (status, kind) == (500, "text/html; charset=utf-8")
    assert "SyntaxError" in page
    save(project / name, good)
    dev.wait_body("old home")


def test_what_the_checks_find_is_shown(start: Start, project: Path) -> None:
    dev = runserver(start)
    settings = project / "shop/settings.py"
    good = settings.read_text()
    save(settings, good + "\nSTATICFILES_DIRS = 'not a list'\n")
    dev.wait_for("the error page is served")
    assert "STATICFILES_DIRS" in dev.get()[2]
    save(settings, good)
    dev.wait_body("old home")


def test_static_files_are_served_as_by_djangos(start: Start, project: Path) -> None:
    dev = runserver(start)
    status, kind, body = dev.get("/static/cart.css")
    assert (status, kind.partition(";")[0], body) == (200, "text/css", "body {}")
    assert dev.get("/static/missing.css")[0] == 404


def test_nostatic(start: Start, project: Path) -> None:
    assert runserver(start, "--nostatic").get("/static/cart.css")[0] == 404


@pytest.mark.parametrize(
    ("options", "status"), [((), 404), (("--insecure",), 200)], ids=["no debug", "insecure"]
)
def test_static_files_without_debug(
    start: Start, project: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], status: int
) -> None:
    monkeypatch.setenv("SHOP_DEBUG", "0")
    assert runserver(start, *options).get("/static/cart.css")[0] == status


def test_noreload_and_nothreading(start: Start, project: Path) -> None:
    dev = runserver(start, "--noreload", "--nothreading")
    assert '"run_main": null, "multithread": false' in dev.body("/process/")
    assert "reloading never" in dev.log()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:{}", "http://127.0.0.1:{}"),
        ("localhost:{}", "http://localhost:{}"),
        ("0:{}", "http://0.0.0.0:{}"),
    ],
)
def test_forms_of_an_address(start: Start, project: Path, address: str, expected: str) -> None:
    dev = runserver(start, address=address)
    assert expected.format(dev.port) in dev.log()
    assert dev.body() == "old home"


def has_ipv6(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None, family=socket.AF_INET6))
    except OSError:
        return False


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("{}", ("--ipv6",)),
        ("[::1]:{}", ()),
        pytest.param(
            "localhost:{}",
            ("-6",),
            marks=pytest.mark.skipif(not has_ipv6("localhost"), reason="localhost is not IPv6 here"),
        ),
    ],
)
def test_ipv6(start: Start, project: Path, address: str, options: tuple[str, ...]) -> None:
    dev = runserver(start, *options, address=address)
    assert f"http://[::1]:{dev.port}" in dev.log()
    dev.host = "::1"
    assert dev.body() == "old home"


def test_started_from_another_folder(start: Start, project: Path) -> None:
    port = free_port()
    (project / "elsewhere").mkdir()
    words = [sys.executable, "../manage.py", "runserver", str(port)]
    command = ["sh", "-c", 'cd elsewhere && exec "$@"', "sh", *words]
    assert start(command=command, port=port).wait_ready().body() == "old home"


def test_an_address_in_use_is_a_sentence(start: Start, project: Path) -> None:
    dev = runserver(start)
    second = start(command=[sys.executable, "manage.py", "runserver", str(dev.port)], port=dev.port)
    assert second.wait() == 4
    assert "CommandError: cannot listen on" in second.log()
    assert "Traceback" not in second.log()


def test_the_order_of_the_apps_is_checked(project: Path) -> None:
    settings = project / "shop/settings.py"
    save(
        settings,
        settings.read_text().replace('["portico", ', "[").replace('"shop.cart"]', '"shop.cart", "portico"]'),
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "(portico.W001)" in done.stderr


def test_runportico_is_the_production_server(start: Start, project: Path) -> None:
    dev = runserver(start, "--workers", "2", "--threads", "3", command="runportico")
    assert dev.body() == "old home"
    assert "with 2 workers x 3 threads" in dev.log()
    assert dev.get("/static/cart.css")[0] == 404
    pids = dev.worker_pids
    # Which every worker has loaded; Django imports the views when a worker's first request comes.
    save(project / "shop/settings.py", "broken(")
    assert dev.body() == "old home"
    assert dev.worker_pids == pids
    os.kill(dev.process.pid, signal.SIGTERM)
    assert dev.wait() == 0


def test_runportico_serves_wsgi_application(start: Start, project: Path) -> None:
    settings = project / "shop/settings.py"
    save(settings, settings.read_text() + '\nWSGI_APPLICATION = "shop.wsgi.entry"\n')
    save(
        project / "shop/wsgi.py",
        "from django.core.wsgi import get_wsgi_application\nentry = get_wsgi_application()\n",
    )
    dev = runserver(start, "-w", "1", command="runportico")
    assert "serves shop.wsgi:entry\n" in dev.log()
    assert dev.body() == "old home"


def test_runportico_says_what_is_wrong(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "runportico", "--threads", "many"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "expected a whole number from 1 to 1024" in done.stderr


def test_portico_dev_watches_what_django_would(start: Start, project: Path) -> None:
    save(
        project / "shop/wsgi.py",
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
        "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    )
    dev = start(application="shop.wsgi").wait_ready()
    assert dev.body() == "old home"
    save(project / "shop/pages/home.html", "new home")
    wait_until(lambda: dev.get()[2] == "new home", what="the new template")
