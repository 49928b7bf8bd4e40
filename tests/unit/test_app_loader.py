"""portico.app_loader: names to applications, and sentences that help."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from portico.app_loader import LoadError, extend_path, load_application

SOURCE = '''
"""A fixture."""
from os.path import join

class Site:
    def __call__(self, environ, start_response):
        return [b""]

class Container:
    site = Site()

class AsyncSite:
    async def __call__(self, scope, receive, send):
        pass

def application(environ, start_response):
    return [b""]

def create_site():
    return Site()

def create_nothing():
    return None

def create_error():
    raise RuntimeError("no database")

async def asgi(scope, receive, send):
    pass

site = Site()
asynchronous = AsyncSite()
number = 3
'''


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory with a few modules, forgotten again afterwards."""
    (tmp_path / "shop.py").write_text(SOURCE)
    (tmp_path / "only_app.py").write_text("def app(environ, start_response): return []\n")
    (tmp_path / "plain.py").write_text(
        "class Made:\n    def __call__(self, e, s): return []\nmade = Made()\nx = 1\n"
    )
    (tmp_path / "broken.py").write_text("import a_module_that_is_missing\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "wsgi.py").write_text("def application(environ, start_response): return []\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    extend_path([str(tmp_path)])
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "full_name"),
    [
        ("shop", "shop:application"),
        ("only_app", "only_app:app"),
        ("shop:application", "shop:application"),
        ("shop:site", "shop:site"),
        ("shop:Container.site", "shop:Container.site"),
        ("shop:create_site()", "shop:create_site()"),
        ("shop:Site()", "shop:Site()"),
        ("package.wsgi", "package.wsgi:application"),
    ],
)
def test_finds_an_application(name: str, full_name: str) -> None:
    application, found_name = load_application(name)
    assert callable(application)
    assert found_name == full_name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shop:app", "module shop has no `app`; it has `application`"),
        ("plain", "module plain has no `application` and no `app`; it has `made` and `Made`"),
        ("shop:Container.app", "shop:Container has no `app`"),
        ("shop:number", "shop:number is an int, which is not callable; expected a WSGI application"),
        ("shop:number()", "shop:number is not callable: it is an int"),
        (
            "shop:create_nothing()",
            "shop:create_nothing() returned None, which is not callable; expected a WSGI application",
        ),
        (
            "shop:create_site",
            "shop:create_site takes no arguments, so it makes the application: write shop:create_site()",
        ),
        ("shop:asgi", "shop:asgi is asynchronous (ASGI); portico serves WSGI applications"),
        ("shop:asynchronous", "shop:asynchronous is asynchronous (ASGI); portico serves WSGI applications"),
        ("shop.py", '"shop.py" is a file\'s name; the module is called shop'),
        (
            "./package/wsgi.py:app",
            '"./package/wsgi.py:app" is a file\'s name; the module is called package.wsgi:app',
        ),
        ("shop.wsgi", "shop is a module, not a package: it has no shop.wsgi"),
        (
            "shop:create(1)",
            'a factory is called without arguments: expected shop:factory(), got "shop:create(1)"',
        ),
        ("shop:", 'expected an attribute after the colon, such as shop.wsgi:application, got "shop:"'),
        ("sh op", 'expected the name of an application, such as shop.wsgi:application, got "sh op"'),
    ],
)
def test_explains_what_is_wrong(name: str, sentence: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_application(name)
    assert caught.value.message.startswith(sentence)
    assert caught.value.exit_code == 3


def test_suggests_a_module_for_an_unknown_one(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        load_application("shpo")
    assert caught.value.message == f"no module named shpo in {tmp_path} or installed; did you mean shop?"
    with pytest.raises(LoadError, match=r"did you mean package\.wsgi\?"):
        load_application("package.wsg")


def test_lets_the_errors_of_an_application_through() -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        load_application("broken")
    with pytest.raises(RuntimeError, match="no database"):
        load_application("shop:create_error()")


def test_puts_directories_first_and_once() -> None:
    last = sys.path[-1]
    extend_path(["/one", last])
    assert sys.path[:2] == ["/one", last]
    assert sys.path.count(last) == 1
