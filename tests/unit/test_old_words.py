"""portico.config.old_words: what becomes of each option of gunicorn, uWSGI, waitress and mod_wsgi.

Each has a line in `tests/corpus/old_words`, with our words for it, or `!` and the sentence that it gets.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from portico.command_line.options import flags_of
from portico.commands.all import commands
from portico.config.old_words.reading import SERVERS, understand, understand_variable
from portico.config.old_words.word import Becomes, Clash, OldWord, Same
from portico.errors import OperatorError

CORPUS = Path(__file__).parents[1] / "corpus/old_words"
RUN = commands.commands["run"]
OPTIONS = flags_of(RUN, click.Context(RUN))
ROWS = [(server, row) for server in SERVERS for row in server.rows]
NOTHING = "(nothing)"

each_row = pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{server.name} {' '.join(row.words)}{row.key}") for server, row in ROWS]
)


def lines() -> Iterator[tuple[str, str, str]]:
    """The server, the words that are typed, and what becomes of them."""
    for server in SERVERS:
        for line in (CORPUS / f"{server.name.lower()}.txt").read_text().splitlines():
            typed, arrow, outcome = line.partition(" => ")
            assert arrow, line
            yield server.name, typed, outcome


def outcome_of(typed: str) -> str:
    try:
        words = understand(shlex.split(typed), OPTIONS).words
    except OperatorError as error:
        return "! " + error.message.replace("\n", " / ")
    return shlex.join(words) or NOTHING


@pytest.mark.parametrize(
    ("typed", "outcome"), [pytest.param(*pair, id=f"{server} {pair[0]}") for server, *pair in lines()]
)
def test_each_word_has_its_outcome(typed: str, outcome: str) -> None:
    assert outcome_of(typed) == outcome


def test_each_word_has_a_line() -> None:
    for server in SERVERS:
        typed = [shlex.split(line)[0].partition("=")[0] for name, line, _ in lines() if name == server.name]
        for row in server.rows:
            for word in row.words:
                stem = word.removesuffix("*")
                assert any(each.startswith(stem) if stem != word else each == word for each in typed), word


@each_row
def test_ours_are_those_that_there_are(row: OldWord) -> None:
    if isinstance(row, (Same, Clash)):
        assert set(row.words) <= set(OPTIONS)
    elif not row.is_family:
        assert not set(row.words) & set(OPTIONS), "it would never be reached"
    if isinstance(row, Becomes):
        assert {word for word in row.to.split() if word.startswith("-")} <= set(OPTIONS)


@each_row
def test_each_says_what_it_is_here(row: OldWord) -> None:
    assert row.here()
    assert not row.here().endswith(".")
    assert bool(row.words) or bool(row.key)


def test_knows_every_setting_of_gunicorn() -> None:
    config = pytest.importorskip("gunicorn.config")
    gunicorn = SERVERS[0]
    known = {word for row in gunicorn.rows for word in row.words}
    names: set[str] = set()
    for row in gunicorn.rows:
        options = [word for word in row.words if word.startswith("--")]
        names |= set(row.key.split(", ")) if row.key else {options[0].strip("-").replace("-", "_")}
    for setting in config.KNOWN_SETTINGS:
        assert setting.name in names
        assert set(setting.cli or ()) <= known


def test_knows_every_option_of_waitress() -> None:
    adjustments = pytest.importorskip("waitress.adjustments")
    known = {word for row in SERVERS[2].rows for word in row.words}
    for name, kind in adjustments.Adjustments._params:
        option = name.replace("_", "-")
        assert f"--{option}" in known
        assert kind is not adjustments.asbool or f"--no-{option}" in known


@pytest.mark.parametrize(
    "directive",
    [
        *("WSGIScriptAlias", "WSGICallableObject", "WSGIProcessGroup", "WSGIApplicationGroup", "SetEnv"),
        *("WSGIPassAuthorization", "WSGIChunkedRequest", "WSGIScriptReloading", "touch", "WSGIPythonHome"),
        *(f"WSGIDaemonProcess {option}=" for option in ("processes", "threads", "user", "group", "umask")),
        *(f"WSGIDaemonProcess {option}=" for option in ("python-home", "python-path", "home", "lang")),
        *(f"WSGIDaemonProcess {option}=" for option in ("request-timeout", "graceful-timeout")),
        *(f"WSGIDaemonProcess {option}=" for option in ("maximum-requests", "display-name")),
    ],
)
def test_knows_what_apache_says_to_mod_wsgi(directive: str) -> None:
    keys = [key for row in SERVERS[3].rows for key in row.key.split(", ")]
    wanted = directive if directive.endswith("=") else f"{directive} "
    assert [key for key in keys if f"{key} ".startswith(wanted)]


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [
        ("shop:app -w 2 -b :80", "shop:app -w 2 -b :80"),
        ("shop:app --error-log --preload", "shop:app --error-log --preload"),
        ("shop:app --access-log --port 80", "! --access-log of mod_wsgi: {--access-log}"),
        ("shop:app --access-logfile --preload", "shop:app --access-log --preload"),
        ("shop:app --access-logfile=a.log", "shop:app --access-log a.log"),
        ("shop:app -- --preload", "shop:app -- --preload"),
        ("-k sync shop:app", "--threads 1 shop:app"),
        ("shop:app --threads 4 -k sync", "--threads 1 shop:app --threads 4"),
        ("-kgthread shop:app", "shop:app"),
        ("--host ::1 --port 80 shop:app", "shop:app --bind '[::1]:80'"),
        ("--port 80 shop:app", "shop:app --bind 0.0.0.0:80"),
        ("--host localhost shop:app", "shop:app --bind localhost:8080"),
        ("--module shop.wsgi --callable app", "shop.wsgi:app"),
        (
            "shop.wsgi --port 8000 --processes 2 --threads 5 --mount-point /",
            "shop.wsgi --workers 2 --threads 5 --bind 0.0.0.0:8000",
        ),
        (
            "shop.wsgi --access-log a.log --request-timeout 60",
            "shop.wsgi --access-log a.log --request-timeout 60",
        ),
        ("--callable app --wsgi-file shop/wsgi.py -p 4", "shop/wsgi.py:app --workers 4"),
        ("--http /run/a.sock --socket @a", "--bind unix:/run/a.sock --bind uwsgi+unix:@a"),
        (
            "-L --listen 100 --listen '127.0.0.1:80 :81'",
            "--access-log off --backlog 100 --bind 127.0.0.1:80 --bind :81",
        ),
        ("shop:app --log-levl debug", "shop:app --log-levl debug"),
        ("shop:app --nobodys", "shop:app --nobodys"),
        (
            "shop:app -D --no-sendfile -w 2",
            "! -D of gunicorn: {-D} / --no-sendfile of gunicorn: {--no-sendfile}",
        ),
        ("shop:app -LM", "! -M of uWSGI: {-M}"),
        ("shop:app -w shop.wsgi:app", "! -w of uWSGI: {-w}"),
        ("shop:app -m 022", "shop:app --umask 022"),
        ("shop:app -m", "! -m of uWSGI: {-m uWSGI}"),
        ("--callable app", "! --callable: write it behind APP, as in shop.wsgi:app"),
        ("shop:app --access-logfile", "! --access-logfile: expected FILE after it"),
        ("shop:app --pid 4242 -D", "! -D of gunicorn: {-D}"),
    ],
)
def test_understands_a_whole_command_line(typed: str, outcome: str) -> None:
    notes = {word: row.note for _, row in reversed(ROWS) for word in row.words if not isinstance(row, Same)}
    notes["-m uWSGI"] = next(row.note for server, row in ROWS if server.name == "uWSGI" and "-m" in row.words)
    for name, note in notes.items():
        outcome = outcome.replace("{" + name + "}", note)
    assert outcome_of(typed) == outcome


def test_remembers_which_option_was_written() -> None:
    def written(typed: str) -> dict[str, str]:
        return understand(shlex.split(typed), OPTIONS).written

    assert written("--access-logfile a -L") == {"access_log": "-L"}
    assert written("--access-logfile a --access-log b") == {}
    assert written("--threads 4 -k sync") == {}
    assert written("-k sync") == {"threads": "-k"}
    assert written("--host a --port 1") == {"bind": "--host and --port"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-w 2 --access-logfile 'a b'", ["-w", "2", "--access-log", "a b"]),
        ("--http :80", ["--http", ":80"]),  # uWSGI's: it is nobody's there
        ("", []),
    ],
)
def test_understands_the_variable_of_gunicorn(text: str, words: list[str]) -> None:
    assert understand_variable(text, OPTIONS).words == words


def test_a_variable_has_to_be_closed() -> None:
    with pytest.raises(OperatorError, match="which is not closed"):
        understand_variable("-e 'A=1", OPTIONS)
