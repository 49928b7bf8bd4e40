"""docs/run/logs.md: the lines are as it says, its set-ups of logging work, and a rotation loses nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import flask
import pytest
from django.utils.module_loading import import_string
from portico import _core
from portico.config.settings import TABLE
from portico.config.sources import resolve
from portico.frameworks.django import TellRoute
from process.conftest import Portico, Start
from support.raw_client import Connection
from support.server import Server
from support.waiting import wait_until

from .pages import blocks, page
from .sentences import ROOT

PAGE = page("logs")
READER, TELL_FLASK, TELL_DJANGO, FORMATTER, FLASK, DJANGO = blocks("logs", "python")
LINES, _, FORMATS = PAGE.partition("## Other formats")
ROWS = re.findall(r"^\| (`.+?`|the rest) \| (.*) \|$", LINES, re.MULTILINE)
EXAMPLES = re.findall(r"^    (.*)$", PAGE.partition("To read it")[0], re.MULTILINE)
ERROR_LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000\] \[\d+\] \[(\w+)\] .*")


@pytest.fixture(scope="module")
def reader() -> dict[str, Any]:
    """The names of the page's block that reads lines."""
    names: dict[str, Any] = {}
    exec(compile(READER, "docs/run/logs.md", "exec"), names)
    return names


def test_the_examples_are_lines_of_the_two_kinds(reader: dict[str, Any]) -> None:
    error, access = EXAMPLES
    assert ERROR_LINE.fullmatch(error)
    assert reader["LINE"].fullmatch(access)


@pytest.mark.parametrize("example", range(2))
def test_the_parts_of_an_example_are_all_explained(example: int) -> None:
    line = EXAMPLES[example]
    shown = [part.strip("`") for part, _ in ROWS if part.startswith("`") and part.strip("`") in line]
    for part in shown:
        line = line.replace(part, "", 1)
    rest = {0: " max_connections is reached; new connections wait until others end", 1: ""}
    assert line.split() == rest[example].split()


def test_a_line_is_read_and_its_escapes_are_taken_back(
    reader: dict[str, Any], server: Server, key: str
) -> None:
    agent = f'a "quote", a \\, ü of {key}'
    with server.connect() as connection:
        target = f"/function?key={key}"
        connection.request(target, headers=[f"User-Agent: {agent}", "Referer: http://ref/"])
    line = reader["LINE"].fullmatch(server.access_log.wait_for(rf"^.*{key}.*$")[0])
    assert line is not None
    assert line["request"] == f"GET {target} HTTP/1.1"
    assert [line[name] for name in ("client", "status", "bytes", "referer")] == [
        "127.0.0.1",
        "200",
        "8",
        "http://ref/",
    ]
    assert '"' not in line["agent"]
    assert reader["unescaped"](line["agent"]) == agent
    assert 0 < float(line["seconds"]) < 60


def accepted(format_: str, *, condition: str = "") -> bool:
    """Whether the server takes this for a format."""
    chosen = {"access_log_if": [condition]} if condition else {}
    settings = resolve({"access_log_format": [format_], **chosen}, {})
    try:
        _core.check_access_log(settings)
    except ValueError:
        return False
    return True


def variables() -> list[str]:
    """Each variable of the page's tables, as it stands in a template."""
    table = FORMATS.partition("| portico's |")[2].partition("\n\n")[0]
    names = [
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        for name in re.findall(r"`(.*?)`", row)
    ]
    theirs = FORMATS.partition("**gunicorn's**")[2].partition("### Routes")[0]
    others = re.findall(r"`(%\(.*?\)s?)`", theirs)
    return [*(f"%({name})" for name in names), *others]


@pytest.mark.parametrize("variable", variables())
def test_a_variable_of_the_page_is_one(variable: str) -> None:
    assert accepted(variable)
    if not variable.endswith("s"):
        assert accepted("json", condition=variable[2:-1])


def test_there_are_as_many_variables_as_the_tables_have() -> None:
    assert len(variables()) > 80
    assert not accepted("%(nonsense)")


def test_the_names_of_json_are_those_of_a_line(start: Start, tmp_path: Path) -> None:
    table = FORMATS.partition("| name | what it is |")[2].partition("\n\n")[0]
    names = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        for name in re.findall(r"`(.*?)`", row)
    }
    source = HELLO.replace('    start_response("', '    environ["portico.route"] = "/"\n    start_response("')
    portico = start(source, "--access-log", "access.log", "--access-log-format", "json")
    portico.wait_ready()
    headers = [
        *("Authorization: Basic YTpi", "Referer: /", "User-Agent: a", "X-Request-ID: 1"),
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ]
    with Connection(("127.0.0.1", portico.port)) as connection:
        connection.request("/?a", headers=headers)
    [line] = lines_of(portico, "access.log", "{")
    assert set(json.loads(line)) | {"portico.cause"} == names


@pytest.mark.parametrize("block", blocks("logs", "text"))
def test_a_condition_of_the_page_is_one(block: str) -> None:
    if "logrotate" not in block and "{" not in block:
        assert all(accepted("combined", condition=line) for line in block.strip().splitlines())


def test_the_fields_of_the_journal_are_all_explained() -> None:
    section = PAGE.partition("## Syslog and the journal")[2].partition("## Rotation")[0]
    rows = re.findall(r"^\| (`[A-Z_`, ]+) \| ", section, re.MULTILINE)
    shown = re.findall(r"`([A-Z_]+)`", " ".join(rows))
    source = (ROOT / "crates/engine/src/access_log/named.rs").read_text()
    own = re.findall(r'^        \("([A-Z_]+)", ', source, re.MULTILINE)
    assert sorted(shown) == sorted([*own, "MESSAGE", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY"])


def test_the_routes_of_frameworks_are_told_as_the_page_says() -> None:
    app = flask.Flask("shop")
    exec(compile(TELL_FLASK, "docs/run/logs.md", "exec"), {"app": app})
    assert len(app.before_request_funcs[None]) == 1
    names: dict[str, Any] = {}
    exec(compile(TELL_DJANGO, "docs/run/logs.md", "exec"), names)
    assert import_string(names["MIDDLEWARE"][0]) is TellRoute


def test_every_line_of_a_servers_error_log_has_the_form(start: Start) -> None:
    portico = start("def application(environ, start_response): ...", "--log-level", "debug")
    portico.wait_ready()
    portico.stop()
    lines = portico.log().splitlines()
    levels = [found[1] for line in lines if (found := ERROR_LINE.fullmatch(line))]
    # The banner has four lines, of which the first has the form.
    assert len(lines) - len(levels) == 3
    assert set(levels) == {"info", "debug"}


def test_the_levels_are_those_of_the_setting() -> None:
    (row,) = [row for row in TABLE if row.name == "log_level"]
    table = PAGE.partition("| `log_level` |")[2].partition("\n\n")[0]
    levels = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert len(levels) == 6
    assert [row.kind.parse(level) for level in levels] == levels


@pytest.mark.parametrize("command", blocks("logs", "console")[0].splitlines(), ids=["slowest", "status"])
def test_a_command_reads_the_access_log(command: str, tmp_path: Path) -> None:
    lines = [EXAMPLES[1], EXAMPLES[1].replace("0.012345", "2.500000").replace('" 200 ', '" 404 ')]
    (tmp_path / "access.log").write_text("".join(f"{line}\n" for line in lines))
    done = subprocess.run(
        ["bash", "-c", command[2:]], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    expected = {
        "sort -rn": ['2.500000 "GET /basket?id=7', '0.012345 "GET /basket?id=7'],
        "uniq -c": ["1 200", "1 404"],
    }
    (kind,) = [kind for kind in expected if kind in command]
    assert [line.strip() for line in done.stdout.splitlines()] == expected[kind]


HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@pytest.mark.parametrize(
    ("number", "sign", "times"), [(signal.SIGUSR1, "opened anew", 1), (signal.SIGHUP, "is ready after", 2)]
)
def test_a_rotation_loses_no_line(start: Start, number: signal.Signals, sign: str, times: int) -> None:
    portico = start(
        HELLO,
        *("--access-log", "access.log", "--error-log", "own.log", "-w", "2"),
    )
    logs = {name: portico.folder / name for name in ("access.log", "own.log")}
    wait_until(
        lambda: logs["own.log"].exists() and "ready in" in logs["own.log"].read_text(), what="the start"
    )
    asked = 0
    for round_ in range(3):
        for name, path in logs.items():
            path.rename(portico.folder / f"{name}.{round_}")
        portico.signal(number)
        has_come = False
        while not has_come:
            has_come = logs["own.log"].exists() and logs["own.log"].read_text().count(sign) == times
            portico.get(f"/{asked}")
            asked += 1
    portico.stop()
    lines = "".join(path.read_text() for path in portico.folder.glob("access.log*")).splitlines()
    assert sorted(int(line.split('"GET /')[1].split()[0]) for line in lines) == list(range(asked))
    assert asked >= 3


def lines_of(portico: Portico, name: str, text: str) -> list[str]:
    """The lines of a file that have `text`, once there are some."""
    path = portico.folder / name

    def found() -> list[str]:
        return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []

    return wait_until(found, what=f"{text!r} in {name}")


def ask(portico: Portico, path: str) -> int:
    """A request with a name, as a reverse proxy sends it; returns the status."""
    with Connection(("127.0.0.1", portico.port)) as connection:
        response = connection.request(path, headers=["X-Request-ID: 4711"])
    assert response.get("X-Request-ID") == "4711"
    return response.status


def run_with(start: Start, folder: Path, files: dict[str, str], application: str) -> Portico:
    """Start `application` out of `files` with the middleware of the page, its error log in own.log."""
    (configuration,) = [block for block in blocks("logs", "toml") if "middleware" in block]
    configuration = configuration.replace('"shop:app"', json.dumps(application))
    files = {**files, "portico.toml": f'{configuration}\n[logs]\nerror_log = "own.log"\n'}
    for name, text in files.items():
        (folder / name).write_text(text)
    portico = start(files.get("shop.py", ""), "-c", "portico.toml", application="")
    lines_of(portico, "own.log", "ready in")
    return portico


def test_flask_is_logged_with_the_name_of_the_request(start: Start, tmp_path: Path) -> None:
    failing = FLASK + '\n\n@app.get("/fails")\ndef fails():\n    return 1 / 0\n'
    portico = run_with(start, tmp_path, {"shop.py": failing}, "shop:app")
    assert ask(portico, "/") == 200
    (line,) = lines_of(portico, "own.log", "somebody looks")
    assert re.fullmatch(r"\[[\d :,-]+\] \[\d+\] \[INFO\] 4711 shop: somebody looks at the shop", line)
    assert ask(portico, "/fails") == 500
    assert lines_of(portico, "own.log", "[ERROR] 4711 shop: Exception on /fails [GET]")
    assert lines_of(portico, "own.log", "ZeroDivisionError")
    portico.stop()


DJANGO_AROUND = """
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
"""
DJANGO_URLS = """
from django.urls import path
urlpatterns = [path("fails", lambda request: 1 / 0)]
"""
DJANGO_WSGI = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


@pytest.mark.parametrize("is_set_up", [True, False], ids=["set-up", "as-django-has-it"])
def test_django_logs_its_errors_only_if_it_is_told_to(start: Start, tmp_path: Path, is_set_up: bool) -> None:
    settings = DJANGO_AROUND + (DJANGO if is_set_up else "")
    files = {"settings.py": settings, "urls.py": DJANGO_URLS, "wsgi.py": DJANGO_WSGI}
    portico = run_with(start, tmp_path, files, "wsgi:application")
    assert ask(portico, "/fails") == 500
    if is_set_up:
        assert lines_of(portico, "own.log", "[ERROR] 4711 django.request: Internal Server Error: /fails")
        assert lines_of(portico, "own.log", "ZeroDivisionError")
    portico.stop()
    assert ("ZeroDivisionError" in (tmp_path / "own.log").read_text()) == is_set_up


FAILING = """
def app(environ, start_response):
    raise KeyError(7)
"""


def test_the_set_up_of_logging_makes_one_line_of_a_failure(start: Start, tmp_path: Path) -> None:
    (configuration,) = [block for block in blocks("logs", "toml") if "[logconfig." in block]
    files = {"portico.toml": configuration, "json_lines.py": FORMATTER}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    portico = start(FAILING, application="shop:app")
    lines_of(portico, "errors.jsonl", "ready in")
    with Connection(("127.0.0.1", portico.port)) as connection:
        connection.request("/cart/7", headers=["X-Request-ID: 7f3a"])
    [line] = lines_of(portico, "errors.jsonl", "failed")
    record = json.loads(line)
    example = next(block for block in blocks("logs", "log") if block.startswith("{"))
    shown = json.loads(example)
    assert record.keys() == shown.keys()
    assert {**record, "time": 0, "traceback": ""} == {**shown, "time": 0, "traceback": ""}
    assert record["traceback"].endswith("KeyError: 7")
    portico.stop()


def test_the_file_of_logging_is_one_that_a_server_takes(start: Start, tmp_path: Path) -> None:
    (configuration,) = [block for block in blocks("logs", "toml") if "logconfig =" in block]
    (tmp_path / "portico.toml").write_text(configuration)
    handlers = {"file": {"class": "logging.FileHandler", "filename": "own.log"}}
    config = {"version": 1, "handlers": handlers, "root": {"level": "INFO", "handlers": ["file"]}}
    (tmp_path / "logging.json").write_text(json.dumps(config))
    portico = start(FAILING, application="shop:app")
    assert lines_of(portico, "own.log", "ready in")
    portico.stop()
