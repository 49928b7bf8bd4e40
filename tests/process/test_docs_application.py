"""docs/application.md: its files and commands, as they stand there, in one folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from portico import __version__
from support.pages import DOCS, blocks_of, files_of

from .conftest import Portico, Start

PAGE = (DOCS / "application.md").read_text("utf-8")
FILES = files_of(PAGE)
COMMANDS = [
    (part.typed, part.printed.splitlines()) for block in blocks_of(PAGE, "console") for part in block.parts()
]


def test_the_page_has_commands() -> None:
    assert (len(FILES), len(COMMANDS)) == (5, 10)


def words_of(command: str) -> tuple[dict[str, str], list[str]]:
    """The variables before `portico run`, and what comes after it."""
    words = shlex.split(command)
    start = words.index("portico")
    assert words[start + 1] == "run"
    return dict(word.split("=", 1) for word in words[:start]), words[start + 2 :]


@pytest.mark.parametrize(("command", "said"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_says_what_the_page_shows(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, said: list[str]
) -> None:
    for name in ("DJANGO_SETTINGS_MODULE", "FLASK_APP", "PORTICO_APP"):
        monkeypatch.delenv(name, raising=False)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    variables, words = words_of(command)
    portico: Portico = start("", *words, application="", environment=variables)
    fails = any("cannot load" in line for line in said)
    if fails:
        assert portico.wait() == 3
    else:
        portico.wait_ready()
        with portico.ask() as connection:
            assert connection.recv(12) == b"HTTP/1.1 200"
    log = portico.log()
    for line in said:
        assert line.replace("portico 1.0", f"portico {__version__}") in log
    if not fails:
        portico.stop()
