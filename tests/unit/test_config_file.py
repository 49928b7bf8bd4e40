"""portico.config.file: what a configuration file says, where, and what is wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from portico.config.file import read_file
from portico.config.find_file import find_file
from portico.config.settings import Settings
from portico.config.sources import resolve
from portico.errors import OperatorError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CORPUS = Path(__file__).parents[1] / "corpus" / "configuration"
BROKEN = sorted(path.stem for path in CORPUS.glob("*.toml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _mistakes(chosen: str | None = None) -> list[str]:
    file = find_file(chosen, {})
    assert file is not None
    return file.mistakes


def _settings(text: str, environment: Mapping[str, str] | None = None, **arguments: list[str]) -> Settings:
    Path("portico.toml").write_text(text, "utf-8")
    environment = environment or {}
    return resolve(arguments, environment, find_file(None, environment))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_told_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentences for NAME.toml are the lines of NAME.txt."""
    monkeypatch.chdir(CORPUS)
    with pytest.raises(OperatorError) as raised:
        resolve({}, {}, read_file(f"{name}.toml", {}))
    assert raised.value.message == Path(f"{name}.txt").read_text("utf-8").rstrip("\n")
    assert raised.value.exit_code == 2


def test_every_kind_of_value(folder: Path) -> None:
    settings = _settings(
        """
        [[app]]
        app = "shop.wsgi"
        mount = "/shop"
        strict = true
        env = { DEBUG = "1", EMPTY = "" }

        [processes]
        workers = "auto"
        threads = 3
        timeout = 1.5
        graceful_timeout = "2m"

        [listening]
        bind = ["127.0.0.1:8000", "[::1]:8001"]

        [request_limits]
        max_request_body = "10M"
        body_memory = 4096

        [reverse_proxies]
        health_path = "/healthz"
        """
    )
    assert settings.app == "shop.wsgi"
    assert settings.script_name == "/shop"
    assert settings.strict is True
    assert settings.env == (("DEBUG", "1"), ("EMPTY", ""))
    assert (settings.workers, settings.threads) == (None, 3)
    assert (settings.timeout_s, settings.graceful_timeout_s) == (1.5, 120.0)
    assert settings.bind == ("127.0.0.1:8000", "[::1]:8001")
    assert (settings.max_request_body_bytes, settings.body_memory_bytes) == (10 << 20, 4096)
    assert settings.health_paths == ("/healthz",)


def test_a_value_tells_its_line_and_column(folder: Path) -> None:
    settings = _settings("# A comment.\n[processes]\n  threads = 3\n")
    assert settings.origins["threads"] == "portico.toml:3:13"


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(folder: Path) -> None:
    text = "[processes]\nthreads = 2\nworkers = 2\ntimeout = 2\n"
    settings = _settings(text, {"PORTICO_WORKERS": "3", "PORTICO_TIMEOUT": "3"}, timeout=["4"])
    assert (settings.threads, settings.workers, settings.timeout_s) == (2, 3, 4.0)
    assert settings.origins["timeout_s"] == "--timeout on the command line"


def test_port_in_the_environment_wins_over_a_bind_of_the_file(folder: Path) -> None:
    assert _settings('[listening]\nbind = ":1"\n', {"PORT": "5000"}).bind == ("0.0.0.0:5000",)


def test_relative_paths_start_from_the_folder_of_the_file(folder: Path) -> None:
    Path("etc").mkdir()
    Path("etc/portico.toml").write_text(
        """
        [[app]]
        chdir = "../site"
        pythonpath = ["lib", "/opt/lib"]
        [listening]
        bind = ["unix:shop.sock?mode=660", "unix:/run/shop.sock", "unix:@shop", ":0"]
        [logs]
        access_log = "access.log"
        """
    )
    settings = resolve({}, {}, find_file("etc/portico.toml", {}))
    assert os.path.normpath(settings.chdir) == str(folder / "site")
    assert settings.pythonpath == (str(folder / "etc/lib"), "/opt/lib")
    assert settings.bind == (
        f"unix:{folder}/etc/shop.sock?mode=660",
        "unix:/run/shop.sock",
        "unix:@shop",
        "0.0.0.0:0",
    )
    assert settings.access_log == str(folder / "etc/access.log")
    assert settings.origins["chdir"] == "etc/portico.toml:3:17"


@pytest.mark.parametrize("word", ["-", "off"])
def test_words_are_no_relative_paths(folder: Path, word: str) -> None:
    assert _settings(f'[logs]\naccess_log = "{word}"\n').access_log == word


def test_variables_in_strings(folder: Path) -> None:
    settings = _settings(
        """
        [[app]]
        app = "${MODULE}.wsgi"
        env = { KEY = "$${KEPT} costs $5", HOME = "${HOME_OF_SHOP:-/srv/shop}", NONE = "${EMPTY}" }
        [processes]
        threads = "${THREADS:-7}"
        workers = "${WORKERS:-7}"
        """,
        {"MODULE": "shop", "WORKERS": "3", "EMPTY": "", "THREADS": ""},
    )
    assert settings.app == "shop.wsgi"
    assert settings.env == (("KEY", "${KEPT} costs $5"), ("HOME", "/srv/shop"), ("NONE", ""))
    assert (settings.threads, settings.workers) == (7, 3)


def test_keys_have_no_variables(folder: Path) -> None:
    settings = _settings("[[app]]\nenv = { '${A}' = '${A}' }\n", {"A": "1"})
    assert settings.env == (("${A}", "1"),)


def test_pyproject_has_it_in_a_table_of_tools(folder: Path) -> None:
    Path("pyproject.toml").write_text(
        '[tool.portico.processes]\nthreads = 3\n[[tool.portico.app]]\napp = "shop"\n'
    )
    settings = resolve({}, {}, find_file(None, {}))
    assert (settings.threads, settings.app) == (3, "shop")
    assert settings.origins["app"] == "pyproject.toml:4:7"


def test_a_mistake_in_pyproject_names_the_whole_table(folder: Path) -> None:
    Path("pyproject.toml").write_text("[tool.portico.processes]\ndebug = 3\n")
    assert _mistakes() == [
        'pyproject.toml:2:1: expected a setting of [tool.portico.processes], got "debug", which is none'
    ]
    Path("pyproject.toml").write_text("[tool.portico]\nthreads = 3\n[[tool.portico.app]]\nhots = 1\n")
    assert _mistakes() == [
        'pyproject.toml:2:1: expected a table of tool.portico, got "threads", which is none; it is '
        "threads in [tool.portico.processes]",
        'pyproject.toml:4:1: expected a setting of [[tool.portico.app]], got "hots", which is none; '
        "did you mean host?",
    ]


def test_a_pyproject_that_was_named_has_our_table(folder: Path) -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'shop'\n")
    assert _mistakes("pyproject.toml") == ["pyproject.toml:1:1: expected a table [tool.portico], got none"]


def test_our_table_is_in_pyproject_only(folder: Path) -> None:
    Path("portico.toml").write_text("[tool.portico.processes]\nthreads = 3\n")
    assert _mistakes() == [
        'portico.toml:1:1: expected a table of portico.toml, got "tool", which is none; [tool.portico] '
        "is for pyproject.toml"
    ]


def test_portico_toml_wins_over_pyproject(folder: Path) -> None:
    Path("pyproject.toml").write_text("[tool.portico.processes]\nthreads = 3\n")
    assert _settings("[processes]\nthreads = 4\n").threads == 4


@pytest.mark.parametrize(
    "text", ["[project]\nname = 'shop'\n", "not TOML at all", '[tool.black]\nwords = "portico"\n']
)
def test_a_pyproject_of_others_is_left_alone(folder: Path, text: str) -> None:
    Path("pyproject.toml").write_text(text)
    file = find_file(None, {})
    assert file is None or not file.values


@pytest.mark.parametrize(
    "text",
    [
        "[tool.portico.processes]\nthreads = 3",
        "[ tool . portico . processes ] # ours\nthreads = 3",
        "['tool'.\"portico\".processes]\nthreads = 3",
        '[\t"tool" ]\nportico.processes.threads = 3',
        "\ufeff[tool]\nportico = {processes = {threads = 3}}",
        "tool.portico.processes.threads = 3",
        "tool = {ruff = {select = [\n'E',\n]}, portico = {processes = {threads = 3}}}",
        "tool = {ruff = {select = [\n'E',\n], ignore = []}, 'portico' = {processes = {threads = 3}}}",
        '["\\u0074ool".portico.processes]\nthreads = 3',
        "[tool.black]\nline-length = 99\n[tool.portico]\nprocesses.threads = 3",
    ],
)
def test_a_table_of_ours_is_found_however_it_is_written(folder: Path, text: str) -> None:
    Path("pyproject.toml").write_text(text, "utf-8")
    file = find_file(None, {})
    assert file is not None
    assert (file.values, file.mistakes) == ({"threads": 3}, [])


def test_a_pyproject_that_only_names_portico_is_not_parsed(folder: Path) -> None:
    text = '[project]\ndependencies = ["portico-server"]\n[project.scripts]\nportico = "portico.cli:main"\n'
    Path("pyproject.toml").write_text(f"{text}[tool.ruff]\nline-length = 99\n")
    code = "import sys; from portico.config.find_file import find_file; print(find_file(None, {})); "
    code += "print('tomllib' in sys.modules or 'tomli' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["None", "False"]


def test_none_is_no_file(folder: Path) -> None:
    Path("portico.toml").write_text("not TOML at all")
    assert find_file("none", {}) is None
    assert find_file(None, {"PORTICO_CONFIG": "none"}) is None


def test_the_environment_may_name_the_file(folder: Path) -> None:
    Path("shop.toml").write_text("[processes]\nthreads = 4\n")
    file = find_file(None, {"PORTICO_CONFIG": "shop.toml"})
    assert file is not None
    assert file.values == {"threads": 4}


@pytest.mark.parametrize(
    ("chosen", "environment", "sentence"),
    [
        ("gone.toml", {}, '-c on the command line: cannot read "gone.toml": No such file or directory'),
        (None, {"PORTICO_CONFIG": "/"}, 'PORTICO_CONFIG in the environment: cannot read "/": Is a directory'),
        ("/dev/zero", {}, '-c on the command line: cannot read "/dev/zero": File too large'),
        (
            "gunicorn.conf.py",
            {},
            '-c on the command line: expected a TOML file, got "gunicorn.conf.py": settings that are made by '
            "Python go into the environment or to the command line, hooks into a module that --hooks names",
        ),
        (
            "python:shop.conf",
            {},
            '-c on the command line: expected a TOML file, got "python:shop.conf": settings that are made by '
            "Python go into the environment or to the command line, hooks into a module that --hooks names",
        ),
        (
            "uwsgi.ini",
            {},
            '-c on the command line: expected a TOML file, got "uwsgi.ini": what the options of uWSGI '
            "are here is on docs/moving.md",
        ),
    ],
    ids=["gone", "a directory", "without an end", "Python", "Python by its module", "of uWSGI"],
)
def test_a_file_that_was_named_has_to_be_there(
    folder: Path, chosen: str | None, environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(OperatorError) as raised:
        find_file(chosen, environment)
    assert raised.value.message == sentence


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"# caf\xe9\n", "1:6"), (b"[logs]\n\n\xff", "3:1")],
    ids=["in a comment", "at the start of a line"],
)
def test_a_file_that_is_not_utf_8_is_told_where(folder: Path, data: bytes, place: str) -> None:
    Path("portico.toml").write_bytes(data)
    with pytest.raises(OperatorError, match=f"^portico.toml:{place}: expected UTF-8, got the byte 0x"):
        find_file(None, {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f"[processes]\nthreads = {'1' * 5000}\n",
            "portico.toml:2:11: expected a number, got thousands of digits",
        ),
        (
            f"x = {'[' * 20000}{']' * 20000}\n",
            "portico.toml: expected arrays and tables, got too many inside each other",
        ),
        (
            f"x = {'{a=' * 3000}1{'}' * 3000}\n",
            "portico.toml: expected arrays and tables, got too many inside each other",
        ),
        ("[logs]\n[logs]\n", "portico.toml:2:6: not TOML: cannot declare logs twice"),
        ("[logs.a]\n[logs.a]\n", "portico.toml:2:8: not TOML: cannot declare logs.a twice"),
    ],
    ids=["digits", "arrays", "tables", "a table twice", "a dotted table"],
)
def test_what_the_reader_of_toml_cannot_read_is_a_sentence(folder: Path, text: str, sentence: str) -> None:
    Path("portico.toml").write_text(text)
    with pytest.raises(OperatorError) as raised:
        find_file(None, {})
    assert raised.value.message == sentence


def test_a_text_is_a_list_where_an_option_is_one(folder: Path) -> None:
    settings = _settings(
        """
        [listening]
        bind = "${BIND}"
        [reverse_proxies]
        forwarded_allow_ips = ["10.0.0.0/8, ::1", "unix"]
        health_path = "/a,/b"
        [[app]]
        pythonpath = "a,b"
        """,
        {"BIND": "127.0.0.1:1, 127.0.0.1:2"},
    )
    assert settings.bind == ("127.0.0.1:1", "127.0.0.1:2")
    assert settings.forwarded_allow_ips == ("10.0.0.0/8", "::1", "unix")
    assert settings.pythonpath == (str(folder / "a,b"),)


@pytest.mark.parametrize("number", ["1e-5", "0.00001"])
def test_a_small_number_is_one(folder: Path, number: str) -> None:
    assert _settings(f"[processes]\ntimeout = {number}\n").timeout_s == 0.00001


def test_everything_that_is_wrong_is_told_at_once(folder: Path) -> None:
    text = (
        "[processes]\nthreads = 'x'\n[listening]\nbind = [':80', 'uwsgi://:80']\n"
        "[slow_readers]\nresponse_spool = 1\n"
    )
    with pytest.raises(OperatorError) as raised:
        _settings(text, {"PORTICO_WORKERS": "many", "PORT": "http"}, backlog=["-1"])
    assert raised.value.message.splitlines() == [
        "5 mistakes",
        'portico.toml:2:11: threads: expected a whole number from 1 to 1024, got "x"',
        'PORTICO_WORKERS in the environment: expected a whole number from 1 to 512, or auto, got "many"',
        'PORT in the environment: expected a port number from 0 to 65535, got "http"',
        '--backlog on the command line: expected a whole number from 1 to 65535, got "-1"',
        "response_spool is 1 (portico.toml:6:18), but has to be at least response_memory, which is "
        "256K (the default)",
    ]


def test_line_ends_and_marks_of_other_systems_are_fine(folder: Path) -> None:
    Path("portico.toml").write_bytes(b"\xef\xbb\xbf[processes]\r\nthreads = 3\r\n")
    file = find_file(None, {})
    assert file is not None
    assert (file.values, file.origins) == ({"threads": 3}, {"threads": "portico.toml:2:11"})


def test_what_is_supervised_never_imports_a_reader_of_toml() -> None:
    """tests/process/test_start.py looks at a running one; this is the reason, by import."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import portico.process.__main__, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"tomllib", "tomli", "portico.config.file", "portico.config.toml_positions"} & set(loaded)
    assert not [name for name in loaded if name.startswith("portico.config.routes")]


def test_places_of_documents_that_others_wrote() -> None:
    """Every key and value of a long document is found where it stands."""
    from portico.config.toml_positions import places

    text = (CORPUS.parents[2] / "pyproject.toml").read_text("utf-8")
    found = places(text, tomllib.loads)
    lines = text.splitlines()

    def look(value: Any, path: tuple[str | int, ...]) -> None:
        place = found.values[path]
        here = lines[place.line - 1][place.column - 1 :]
        if isinstance(value, dict):
            assert here[0] in "[{" or path[-1] in here, path
            for key, each in value.items():
                key_place = found.keys[(*path, key)]
                assert key in lines[key_place.line - 1][key_place.column - 1 :]
                look(each, (*path, key))
        elif isinstance(value, list):
            assert here[0] == "[", path
            for index, each in enumerate(value):
                look(each, (*path, index))
        elif isinstance(value, str):
            assert here.startswith(('"', "'")), path
            assert value.split("\n")[0][:10].split("\\")[0] in here
        else:
            assert here.startswith(str(value).lower())

    for key, value in tomllib.loads(text).items():
        look(value, (key,))


def test_middleware_is_a_name_or_a_table_with_arguments(folder: Path) -> None:
    settings = _settings(
        """
        [[app]]
        middleware = [
            "portico.middleware:RequestID",
            { use = " shop:Around ", name = "${NAME} $${x}", deep = { a = [{ b = "${NAME}" }] }, on = true },
        ]
        """,
        {"NAME": "shop"},
    )
    arguments = (("name", "shop ${x}"), ("deep", {"a": [{"b": "shop"}]}), ("on", True))
    assert settings.middleware == (("portico.middleware:RequestID", ()), ("shop:Around", arguments))
    assert settings.origins["middleware"] == "portico.toml:3:22"


@pytest.mark.parametrize(
    "text",
    [
        '[[app]]\nmiddleware = { use = "shop:Around", a = 1 }\n',
        '[[app]]\n[app.middleware]\nuse = "shop:Around"\na = 1\n',
        '[[app]]\n[[app.middleware]]\nuse = "shop:Around"\na = 1\n',
    ],
    ids=["one", "a table", "tables"],
)
def test_middleware_may_be_written_as_tables(folder: Path, text: str) -> None:
    assert _settings(text).middleware == (("shop:Around", (("a", 1),)),)


def test_middleware_of_the_command_line_takes_the_place_of_all_in_the_file(folder: Path) -> None:
    text = '[[app]]\nmiddleware = [{ use = "shop:Around", a = 1 }]\n'
    assert _settings(text, {}, middleware=["shop:one", "shop:two.three"]).middleware == (
        ("shop:one", ()),
        ("shop:two.three", ()),
    )
    assert _settings(text, {"PORTICO_MIDDLEWARE": "shop:one, shop:two"}).middleware == (
        ("shop:one", ()),
        ("shop:two", ()),
    )


ARGUED = {
    "shop:Around(a=1)": ("shop:Around", (("a", 1),)),
    " shop:part.Around( a = 'x, (y)', b=[1, 2.5, {'c-d': True}], ) ": (
        "shop:part.Around",
        (("a", "x, (y)"), ("b", [1, 2.5, {"c-d": True}])),
    ),
}


@pytest.mark.parametrize(("text", "value"), ARGUED.items())
def test_middleware_has_its_arguments_wherever_it_is_named(
    folder: Path, text: str, value: tuple[str, tuple[tuple[str, Any], ...]]
) -> None:
    assert resolve({"middleware": [text]}, {}).middleware == (value,)
    assert resolve({}, {"PORTICO_MIDDLEWARE": f"a:b,{text}, {text},c:d"}).middleware == (
        ("a:b", ()),
        value,
        value,
        ("c:d", ()),
    )
    assert _settings(f"[[app]]\nmiddleware = [{json.dumps(text)}]\n").middleware == (value,)
    kind = Settings.middleware.kind
    assert kind.parse(kind.show(value)) == value


@pytest.mark.parametrize(
    "value",
    [{"x-y": 1}, {"class": 1}, {"a": float("inf")}, {"a": [float("nan")]}],
    ids=["no name", "a keyword", "infinite", "no number"],
)
def test_arguments_that_are_no_literals_are_for_a_file(value: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="shop:Around has arguments that only"):
        Settings.middleware.kind.show(("shop:Around", tuple(value.items())))


def test_arguments_of_middleware_are_in_one_place(folder: Path) -> None:
    with pytest.raises(OperatorError) as raised:
        _settings('[[app]]\nmiddleware = [{ use = "shop:Around(a=1)", b = 2 }]\n')
    assert raised.value.message == (
        "portico.toml:2:23: use: expected a module and a name in it, and arguments as keys beside it, got "
        '"shop:Around(a=1)"'
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "shop", "shop:", ":a", "shop:a:b", "shop:a()", "my-shop:a", "shop:a?x=1"),
        *("shop:a(1)", "shop:a(x)", "shop:a(x=y)", "shop:a(x=1", "shop:a(x=1).b", "shop:a(x=1)(y=2)"),
        *("shop:a(x=None)", "shop:a(x=[b'y'])", "shop:a(x={1: 2})", "shop:a(x=(1, 2))", "shop:a(**{'x': 1})"),
    ],
)
def test_middleware_that_is_no_name_is_rejected(text: str) -> None:
    with pytest.raises(OperatorError, match="expected a module and a name in it") as raised:
        resolve({"middleware": [text]}, {})
    assert raised.value.message.startswith("--middleware on the command line: ")


def test_what_is_shown_of_middleware_is_read_as_the_same(folder: Path) -> None:
    from portico.config.show import as_json, as_toml

    settings = _settings(
        """
        [[app]]
        app = "shop"
        env = { A = "$${B}" }
        middleware = ["a:b", { use = "a:c", x-y = { "/api/" = ["$${x}", 1.5, 1e300, [{ z = false }]] } }]
        """
    )
    shown = as_toml(settings, only_changed=True)
    assert _settings(shown).values == settings.values
    assert '{ "use" = "a:c", "x-y" = { "/api/" = ["$${x}", 1.5, 1e+300, [{ "z" = false }]] } }' in shown
    assert '"use": "a:c"' in as_json(settings, only_changed=True)


def test_what_crosses_the_exec_are_plain_values(folder: Path) -> None:
    import marshal

    settings = _settings('[[app]]\nmiddleware = [{ use = "a:b", x = { y = [1, "z", 2.5, true] } }]\n')
    assert marshal.loads(marshal.dumps(settings.values)) == settings.values
