"""portico.config.finding: which application a folder has, and why; nothing of it is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from portico.config.check import check_app
from portico.config.finding import find_application, why_none_was_found
from portico.config.settings import Settings
from portico.config.sources import resolve, what_was_found
from portico.errors import OperatorError

MANAGE = """
import os, sys
raise RuntimeError("nobody imports this")
def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
"""
CHOOSING_MANAGE = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"shop.{os.environ['STAGE']}")
"""
FLASK = "raise RuntimeError('nobody imports this')\nimport flask\napp = flask.Flask(__name__)\n"
FACTORY = "def create_app(config=None): ...\n"


def found(
    folder: Path, files: Mapping[str, str], environment: Mapping[str, str] | None = None, **texts: str
) -> Settings:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    settings = resolve({name: [text] for name, text in texts.items()}, {})
    return find_application(settings, str(folder), environment or {})


@pytest.mark.parametrize(
    ("files", "environment", "app", "why"),
    [
        (
            {"manage.py": MANAGE},
            {},
            'portico.django_wsgi:application("shop.settings")',
            "manage.py is Django's and names shop.settings",
        ),
        (
            {"manage.py": MANAGE.replace('.setdefault("', '["').replace('", "', '"] = ("')},
            {},
            'portico.django_wsgi:application("shop.settings")',
            "manage.py is Django's and names shop.settings",
        ),
        (
            {"manage.py": MANAGE},
            {"DJANGO_SETTINGS_MODULE": "shop.production"},
            'portico.django_wsgi:application("shop.production")',
            "DJANGO_SETTINGS_MODULE is shop.production",
        ),
        (
            {},
            {"DJANGO_SETTINGS_MODULE": "shop.production"},
            'portico.django_wsgi:application("shop.production")',
            "DJANGO_SETTINGS_MODULE is shop.production",
        ),
        (
            {"manage.py": CHOOSING_MANAGE, "wsgi.py": FLASK},
            {},
            "wsgi:app",
            "wsgi.py has an app",
        ),
        ({"app.py": FLASK}, {}, "app:app", "app.py has an app"),
        ({"wsgi.py": FLASK}, {}, "wsgi:app", "wsgi.py has an app"),
        ({"app/__init__.py": FLASK, "app.py": FACTORY}, {}, "app:app", "app/__init__.py has an app"),
        ({"app.py": FACTORY}, {}, "app:create_app()", "app.py has a create_app"),
        ({"app.py": FACTORY.replace("create", "make")}, {}, "app:make_app()", "app.py has a make_app"),
        ({"app.py": FACTORY + FLASK}, {}, "app:app", "app.py has an app"),
        (
            {"app.py": FLASK + "application = app"},
            {},
            "app:app",
            "app.py has an app, which goes before its application",
        ),
        (
            {"wsgi.py": "application = 1\ndef create_app(): ...\napp = application"},
            {},
            "wsgi:app",
            "wsgi.py has an app, which goes before its application",
        ),
        (
            {"app.py": FACTORY + "def make_app(): ...\napplication = 1"},
            {},
            "app:application",
            "app.py has an application",
        ),
        (
            {"hello.py": "application = 1\n" + FLASK},
            {"FLASK_APP": "hello"},
            "hello:app",
            "FLASK_APP is hello and hello.py has an app, which goes before its application",
        ),
        ({"app.py": "from shop import create_app"}, {}, "app:create_app()", "app.py has a create_app"),
        ({"app.py": "from shop import web as app"}, {}, "app:app", "app.py has an app"),
        ({"app.py": "app: object = 1"}, {}, "app:app", "app.py has an app"),
        ({"app.py": "app = other = 1"}, {}, "app:app", "app.py has an app"),
        ({"app.py": "site, app = 1, 2"}, {}, "app:app", "app.py has an app"),
        ({"app.py": "class app: ..."}, {}, "app:app", "app.py has an app"),
        (
            {"app.py": "try:\n    app = 1\nexcept OSError:\n    app = 2\n"},
            {},
            "app:app",
            "app.py has an app",
        ),
        ({"app.py": "try: ...\nexcept OSError: app = 2"}, {}, "app:app", "app.py has an app"),
        ({"app.py": "match 1:\n    case 1:\n        app = 2"}, {}, "app:app", "app.py has an app"),
        ({"app.py": "with x: app = 2"}, {}, "app:app", "app.py has an app"),
        (
            {"app.py": "if __name__ == '__main__': ...\nelse: app = 2"},
            {},
            "app:app",
            "app.py has an app",
        ),
        (
            {"app.py": FLASK, "wsgi.py": FACTORY},
            {},
            "app:app",
            "app.py has an app; wsgi.py has a create_app, too",
        ),
        (
            {"manage.py": MANAGE, "app.py": FLASK, "wsgi.py": FACTORY},
            {},
            'portico.django_wsgi:application("shop.settings")',
            "manage.py is Django's and names shop.settings; app.py has an app and wsgi.py has a create_app, "
            "too",
        ),
        ({"app.py": "app = 1 +", "wsgi.py": FLASK}, {}, "wsgi:app", "wsgi.py has an app"),
        (
            {"app.py": "def create_app(config): ...", "wsgi.py": FLASK},
            {},
            "wsgi:app",
            "wsgi.py has an app",
        ),
        (
            {"hello.py": FLASK},
            {"FLASK_APP": "hello"},
            "hello:app",
            "FLASK_APP is hello and hello.py has an app",
        ),
        (
            {"hello/__init__.py": FACTORY},
            {"FLASK_APP": "hello"},
            "hello:create_app()",
            "FLASK_APP is hello and hello/__init__.py has a create_app",
        ),
        ({}, {"FLASK_APP": "hello.web"}, "hello.web", "FLASK_APP is hello.web"),
        ({"hello.py": FLASK}, {"FLASK_APP": "hello:site"}, "hello:site", "FLASK_APP is hello:site"),
        (
            {"hello.py": FACTORY},
            {"FLASK_APP": "hello:create_app"},
            "hello:create_app()",
            "FLASK_APP is hello:create_app",
        ),
        (
            {"hello.py": "def app(environ, start_response): ..."},
            {"FLASK_APP": "hello:app"},
            "hello:app",
            "FLASK_APP is hello:app",
        ),
        (
            {"hello.py": FACTORY},
            {"FLASK_APP": "hello:create_app('dev')"},
            "hello:create_app('dev')",
            "FLASK_APP is hello:create_app('dev')",
        ),
        (
            {"src/hello.py": FLASK},
            {"FLASK_APP": "src/hello"},
            "src/hello.py:app",
            "FLASK_APP is src/hello and src/hello.py has an app",
        ),
        (
            {"src/hello.py": FLASK},
            {"FLASK_APP": "src/hello.py:site"},
            "src/hello.py:site",
            "FLASK_APP is src/hello.py:site",
        ),
        (
            {"src/hello/__init__.py": FACTORY},
            {"FLASK_APP": "src/hello"},
            "src/hello/__init__.py:create_app()",
            "FLASK_APP is src/hello and src/hello/__init__.py has a create_app",
        ),
        ({}, {"FLASK_APP": "nowhere.py"}, "nowhere.py", "FLASK_APP is nowhere.py"),
        ({"hello.py": "app = 1 +"}, {"FLASK_APP": "hello"}, "hello", "FLASK_APP is hello"),
        (
            {"app.py": FLASK, "wsgi.py": FLASK},
            {"FLASK_APP": "wsgi.py"},
            "wsgi.py:app",
            "FLASK_APP is wsgi.py and wsgi.py has an app; app.py has an app, too",
        ),
    ],
)
def test_takes_the_most_definite(
    tmp_path: Path, files: Mapping[str, str], environment: Mapping[str, str], app: str, why: str
) -> None:
    settings = found(tmp_path, files, environment)
    assert settings.app == app
    assert settings.origins["app"] == f"found: {why}"
    assert what_was_found(settings) == [f"no application was given: taking {app}, because {why}"]
    check_app(settings)


def test_looks_in_the_variables_and_folders_of_the_application(tmp_path: Path) -> None:
    files = {"lib/hello.py": FLASK, "lib/wsgi.py": FACTORY}
    settings = found(tmp_path, files, {"FLASK_APP": "x"}, env="FLASK_APP=hello", pythonpath="lib")
    assert settings.app == "hello:app"
    assert settings.origins["app"] == (
        "found: FLASK_APP is hello and lib/hello.py has an app; lib/wsgi.py has a create_app, too"
    )


@pytest.mark.parametrize(
    ("files", "environment", "sentence"),
    [
        ({}, {}, "which has no manage.py, app.py or wsgi.py"),
        ({"app.py": ""}, {}, "where app.py has no app, application, create_app or make_app"),
        (
            {"app.py": "if __name__ == '__main__': app = 1\ndef f(): app = 1\nx.app = 1\nimport app"},
            {},
            "where app.py has no app, application, create_app or make_app",
        ),
        (
            {"app.py": "def create_app(config): ...\ndef make_app(*, config): ...\n"},
            {},
            "where create_app of app.py needs arguments",
        ),
        ({"app.py": "\napp = 1 +"}, {}, "where app.py is not Python: invalid syntax in line 2"),
        (
            {"manage.py": CHOOSING_MANAGE, "wsgi.py": ""},
            {},
            "where manage.py chooses DJANGO_SETTINGS_MODULE while it runs (set it in the environment) and "
            "wsgi.py has no app, application, create_app or make_app",
        ),
        (
            {"manage.py": MANAGE + MANAGE.replace("shop.", "test.")},
            {},
            "where manage.py chooses DJANGO_SETTINGS_MODULE while it runs (set it in the environment)",
        ),
        ({"manage.py": "print()"}, {}, "where manage.py does not set DJANGO_SETTINGS_MODULE"),
        (
            {},
            {"DJANGO_SETTINGS_MODULE": 'x"); y('},
            'where DJANGO_SETTINGS_MODULE is "x\\"); y(", which is no name of a module',
        ),
        ({}, {"FLASK_APP": "a\nb"}, 'where FLASK_APP is "a\\nb", which is no name'),
    ],
)
def test_says_why_there_is_none(
    tmp_path: Path, files: Mapping[str, str], environment: Mapping[str, str], sentence: str
) -> None:
    settings = found(tmp_path, files, environment)
    assert (settings.app, settings.origins["app"]) == ("", "the default")
    assert what_was_found(settings) == []
    assert why_none_was_found(settings, str(tmp_path), environment) == (
        f"no application was given, and none was found in {tmp_path}, {sentence}: name its module and "
        "attribute, as in `portico run shop.wsgi:application`, or set PORTICO_APP"
    )


def test_a_file_that_cannot_be_read_is_no_end(tmp_path: Path) -> None:
    (tmp_path / "app.py").symlink_to("/proc/self/mem")
    settings = found(tmp_path, {"wsgi.py": FLASK})
    assert settings.app == "wsgi:app"


def test_a_factory_is_not_looked_for(tmp_path: Path) -> None:
    settings = found(tmp_path, {"app.py": FACTORY}, factory="true")
    assert settings.app == ""
    assert why_none_was_found(settings, str(tmp_path), {}) == (
        "no application was given, which factory (--factory on the command line) would be said of: name its "
        "module and factory, as in `portico run --factory shop:create_app`"
    )


def test_a_factory_is_called_once() -> None:
    settings = resolve({"app": ["shop:create_app()"], "factory": ["true"]}, {})
    with pytest.raises(OperatorError) as caught:
        check_app(settings)
    assert caught.value.message == (
        '"shop:create_app()" (APP on the command line) is a factory that is called already, and factory '
        "(--factory on the command line) would call what it returns; leave out one of them"
    )


def test_what_is_found_is_served_beside_the_routes_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("app = None\n")
    settings = resolve({}, {})
    settings.routes = [404, "", [], []]
    assert find_application(settings, str(tmp_path), {}).routes == settings.routes
