"""portico.app_loader: names and files to modules and callables, and sentences that help."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from portico.app_loader import load_application, modules
from portico.app_loader.modules import extend_path
from portico.errors import LoadError

SOURCE = '''
"""A fixture."""
from os.path import join

class Site:
    def __call__(self, environ, start_response):
        return [b""]

class Container:
    site = Site()

def application(environ, start_response):
    return [b""]

def create_site():
    return Site()

def create_with(*arguments, **keywords):
    site = Site()
    site.made_of = (arguments, keywords)
    return site

def create_of(config):
    return Site()

def create_nothing():
    return None

def create_function():
    return lambda: None

def create_error():
    raise RuntimeError("no database")

async def create_later():
    return Site()

site = Site()
number = 3
'''
APPLICATION = "def application(environ, start_response): return []\n"


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory with a few modules, forgotten again afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(SOURCE)
    (tmp_path / "only_app.py").write_text("def app(environ, start_response): return []\n")
    (tmp_path / "only_factory.py").write_text("def make_app(): return lambda environ, start_response: []\n")
    (tmp_path / "plain.py").write_text(
        "class Made:\n    def __call__(self, e, s): return []\nmade = Made()\nx = 1\n"
    )
    (tmp_path / "portico.toml").touch()
    (tmp_path / "broken.py").write_text("import a_module_that_is_missing\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("from package.wsgi import application\n")
    (tmp_path / "package" / "wsgi.py").write_text(APPLICATION)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    extend_path([str(tmp_path)])
    yield
    for name in set(sys.modules) - set(before):
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
        ("shop.py", "shop.py:application"),
        ("./package/wsgi.py:application", "./package/wsgi.py:application"),
    ],
)
def test_finds_an_application(name: str, full_name: str) -> None:
    application, found_name = load_application(name)
    assert callable(application)
    assert found_name == full_name


@pytest.mark.parametrize(
    ("name", "full_name"),
    [
        ("shop:create_site", "shop:create_site()"),
        ("shop.py:create_site", "shop.py:create_site()"),
        ("only_factory", "only_factory:make_app()"),
    ],
)
def test_calls_a_factory_that_is_said_to_be_one(name: str, full_name: str) -> None:
    application, found_name = load_application(name, factory=True)
    assert application({}, lambda *_: lambda _: None) in ([], [b""])
    assert found_name == full_name


@pytest.mark.parametrize(
    ("call", "made_of"),
    [
        ("()", ((), {})),
        ("( )", ((), {})),
        ('("test", debug=True)', (("test",), {"debug": True})),
        ("(-1, 2.5, None)", ((-1, 2.5, None), {})),
        ('({"a": [1, (2,)]}, b"c", {3})', (({"a": [1, (2,)]}, b"c", {3}), {})),
        ('("a:b.c()")', (("a:b.c()",), {})),
    ],
)
def test_gives_a_factory_its_arguments(call: str, made_of: object) -> None:
    application, found_name = load_application(f"shop:create_with{call}")
    assert vars(application)["made_of"] == made_of
    assert found_name == f"shop:create_with{call}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shop:app", "module shop has no `app`; it has `application`"),
        ("shop.py:app", "shop.py has no `app`; it has `application`"),
        ("plain", "module plain has no `application` and no `app`; it has `made` and `Made`"),
        ("./plain.py", "./plain.py has no `application` and no `app`; it has `made` and `Made`"),
        ("shop:Container.app", "shop:Container has no `app`"),
        ("shop:number", "shop:number is an int, which is not callable; expected a WSGI application"),
        ("shop:number()", "shop:number is not callable: it is an int"),
        (
            "shop:create_nothing()",
            "shop:create_nothing() returned None, which is not callable; expected a WSGI application",
        ),
        (
            "shop:create_function()",
            "what shop:create_function() returned takes no arguments; a WSGI application takes two, environ "
            "and start_response",
        ),
        (
            "shop:create_later()",
            "shop:create_later is asynchronous, and what makes an application is called without waiting",
        ),
        ("shop.wsgi", "shop is a module, not a package: it has no shop.wsgi"),
        (
            "shop:create_with(x)",
            'the arguments of a factory are literals, such as shop:create_app("test", debug=True), got "x"',
        ),
        (
            "shop:create_with(*[1])",
            "the arguments of a factory are literals, such as "
            'shop:create_app("test", debug=True), got "*[1]"',
        ),
        (
            'shop:create_with(**{"a": 1})',
            "the arguments of a factory are given one by one, such as shop:create_app",
        ),
        (
            "shop:create_with(__import__('os').getpid())",
            'the arguments of a factory are literals, such as shop:create_app("test", debug=True), '
            "got \"__import__('os').getpid()\"",
        ),
        (
            "shop:create_with(1",
            'expected the arguments of a factory, such as shop:create_app("test", debug=True), got "(1"',
        ),
        (
            "shop:create_with().x",
            'expected the arguments of a factory, such as shop:create_app("test", debug=True), got "().x"',
        ),
        ("shop:", 'expected an attribute after the colon, such as shop.wsgi:application, got "shop:"'),
        ("shop:()", 'expected an attribute after the colon, such as shop.wsgi:application, got "shop:()"'),
        ("sh op", 'expected the name of an application, such as shop.wsgi:application, got "sh op"'),
        ("my-shop", 'expected the name of an application, such as shop.wsgi:application, got "my-shop"'),
        (
            "shop:create_with(a=1, a=2)",
            "the arguments of a factory are given one by one, such as shop:create_app",
        ),
        (
            "shop:application()",
            "shop:application takes two arguments (environ, start_response), as an application does; what "
            "is called without makes one",
        ),
        (
            "shop:create_of()",
            "shop:create_of takes one argument (config), and would be called without: write "
            "shop:create_of(...) with its arguments",
        ),
        ("portico.toml", '"portico.toml" is no Python: a configuration is named by -c portico.toml'),
        (
            "etc/uwsgi.ini",
            '"etc/uwsgi.ini" is no Python: a configuration is named by -c with a TOML file '
            "(docs/configuration.md)",
        ),
        ("shpo", "no module named shpo in {folder} or installed; did you mean shop?"),
        ("nope", "no module named nope in {folder} or installed"),
    ],
)
def test_explains_what_is_wrong(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_application(name)
    assert caught.value.message.startswith(sentence.replace("{folder}", str(tmp_path)))
    assert caught.value.exit_code == 3


def test_says_which_factories_it_has_looked_for() -> None:
    with pytest.raises(LoadError) as caught:
        load_application("only_app", factory=True)
    assert caught.value.message == "module only_app has no `create_app` and no `make_app`; it has `app`"


def test_suggests_a_module_for_an_unknown_one(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        load_application("shpo")
    assert caught.value.message == f"no module named shpo in {tmp_path} or installed; did you mean shop?"
    with pytest.raises(LoadError, match=r"did you mean package\.wsgi\?"):
        load_application("package.wsg")


@pytest.mark.parametrize("name", ["my-shop", "blog.v2"])
def test_suggests_a_file_whose_name_is_no_module(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(APPLICATION)
    (tmp_path / "noext.py").write_text(APPLICATION)
    with pytest.raises(LoadError, match=rf"; did you mean {name}\.py\?$"):
        load_application(name)


def test_suggests_nothing_that_is_not_near(tmp_path: Path) -> None:
    (tmp_path / "noext.py").write_text(APPLICATION)
    (tmp_path / "osexit.py").write_text(APPLICATION)
    for name in ("nope", "nope.py"):
        with pytest.raises(LoadError) as caught:
            load_application(name)
        assert "did you mean" not in caught.value.message


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


def listed(directory: Path, *, changed_before_s: float) -> object:
    """The finder that has listed `directory`, which was changed that long before this process began."""
    sys.path.insert(0, str(directory))
    changed_at_s = modules._BEGAN_AT_S - changed_before_s
    os.utime(directory, (changed_at_s, changed_at_s))
    with suppress(ModuleNotFoundError):
        __import__("not_there")
    finder = sys.path_importer_cache[str(directory)]
    assert finder is not None
    return finder


def test_keeps_the_list_of_a_directory_that_has_not_changed(tmp_path: Path) -> None:
    finder = listed(tmp_path, changed_before_s=3600)
    extend_path([str(tmp_path)])
    assert sys.path_importer_cache[str(tmp_path)] is finder


@pytest.mark.parametrize("changed_before_s", [1, -3600])
def test_lists_a_directory_anew_that_may_have_changed(tmp_path: Path, changed_before_s: float) -> None:
    listed(tmp_path, changed_before_s=changed_before_s)
    extend_path([str(tmp_path)])
    assert str(tmp_path) not in sys.path_importer_cache


def test_finds_a_directory_that_was_not_there(tmp_path: Path) -> None:
    gone, later = tmp_path / "gone", tmp_path / "later"
    gone.mkdir()
    listed(gone, changed_before_s=3600)
    gone.rmdir()
    sys.path.insert(0, str(later))
    with suppress(ModuleNotFoundError):
        __import__("not_there")
    later.mkdir()
    os.utime(later, (0, 0))
    extend_path([str(tmp_path)])
    assert str(gone) not in sys.path_importer_cache
    assert str(later) not in sys.path_importer_cache


# --- Files


def module_of(name: str, directory: Path) -> object:
    """The name and the file of the module that APP was imported from."""
    application, _ = load_application(name, directory=str(directory))
    module = sys.modules[application.__module__]
    return module.__name__, module.__file__


@pytest.mark.parametrize(
    ("path", "module", "folder"),
    [
        ("src/main_of_shop.py", "main_of_shop", "src"),
        ("src/shopping/web/wsgi.py", "shopping.web.wsgi", "src"),
        ("src/shopping/__init__.py", "shopping", "src"),
        ("src/my-shop.wsgi", "my_shop_wsgi", "src"),
        ("src/my-shop.py", "my_shop_py", "src"),
        ("src/shopping/shop.wsgi", "shop_wsgi", "src/shopping"),
        # Loaded long ago, under the very name.
        ("src/site.py", "site_py", "src"),
    ],
)
@pytest.mark.parametrize("is_absolute", [False, True], ids=["relative", "absolute"])
def test_imports_a_file_from_where_its_package_is(
    tmp_path: Path, path: str, module: str, folder: str, is_absolute: bool
) -> None:
    (tmp_path / "src/shopping/web").mkdir(parents=True)
    for package in ("shopping", "shopping/web"):
        (tmp_path / "src" / package / "__init__.py").write_text(APPLICATION)
    (tmp_path / path).write_text(APPLICATION)
    given = str(tmp_path / path) if is_absolute else path
    assert module_of(given, tmp_path) == (module, str(tmp_path / path))
    assert sys.path[:2] == [str(tmp_path / folder), str(tmp_path)]


def test_a_file_may_import_what_is_beside_it_and_relative_to_its_package(tmp_path: Path) -> None:
    (tmp_path / "src/shopping").mkdir(parents=True)
    (tmp_path / "src/shopping/__init__.py").write_text("")
    (tmp_path / "src/shopping/things.py").write_text(APPLICATION)
    (tmp_path / "src/shopping/wsgi.py").write_text("from .things import application\n")
    (tmp_path / "src/beside.wsgi").write_text("from shopping.things import application\n")
    load_application("src/shopping/wsgi.py", directory=str(tmp_path))
    load_application("src/beside.wsgi", directory=str(tmp_path))


def test_a_file_that_no_import_names_is_a_module_to_its_readers(tmp_path: Path) -> None:
    import importlib.util
    import inspect
    import pkgutil

    (tmp_path / "my-shop.wsgi").write_text(APPLICATION)
    application, _ = load_application("my-shop.wsgi", directory=str(tmp_path))
    spec = importlib.util.find_spec("my_shop_wsgi")
    assert spec is not None
    assert spec.origin == str(tmp_path / "my-shop.wsgi")
    assert inspect.getsource(application) == APPLICATION
    assert pkgutil.get_data("my_shop_wsgi", "shop.py") == SOURCE.encode()
    assert not (tmp_path / "__pycache__").exists()


def test_a_file_is_no_module_of_the_same_name(tmp_path: Path) -> None:
    """`shop.wsgi` is what it always was, where there is a package; a file only where there is none."""
    (tmp_path / "package.wsgi").write_text("app = 1\n")
    assert load_application("package.wsgi")[1] == "package.wsgi:application"
    (tmp_path / "only_app.wsgi").write_text(APPLICATION)
    assert module_of("only_app.wsgi", tmp_path) == ("only_app_wsgi", str(tmp_path / "only_app.wsgi"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shpo.py:app", 'there is no file "shpo.py" in {folder}; did you mean shop.py?'),
        ("package/wsgi:app", 'there is no file "package/wsgi" in {folder}; did you mean package/wsgi.py?'),
        ("nowhere/wsgi.py", 'there is no file "nowhere/wsgi.py" in {folder}'),
        ("/nowhere/wsgi.py", 'there is no file "/nowhere/wsgi.py"'),
        ("./package", '"./package" is a folder, not a file; its module is ./package/__init__.py'),
    ],
)
def test_explains_which_file_is_not_there(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_application(name, directory=str(tmp_path))
    assert caught.value.message == sentence.format(folder=tmp_path)


def test_says_what_stands_before_a_file(tmp_path: Path) -> None:
    (tmp_path / "package.py").write_text(APPLICATION)
    with pytest.raises(LoadError) as caught:
        load_application("package.py", directory=str(tmp_path))
    assert caught.value.message == (
        f'"package.py" cannot be imported as package: {tmp_path}/package/__init__.py stands before it'
    )


def test_shows_where_a_file_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "my-shop.wsgi").write_text("\n<html>\n")
    with pytest.raises(SyntaxError) as caught:
        load_application("my-shop.wsgi", directory=str(tmp_path))
    assert (caught.value.filename, caught.value.lineno) == (str(tmp_path / "my-shop.wsgi"), 2)
