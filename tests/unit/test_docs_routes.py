"""Pages about routes, pools and error pages: each file is read, each command prints what the page shows."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from portico.commands.all import commands
from portico.config.routes.keys import ONCE, TABLES
from portico.config.settings import TABLE as SETTINGS
from portico.errors import OperatorError
from support.pages import DOCS, blocks_of

PAGE = (DOCS / "routes.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("page", "commands_there"), [("routes.md", 5), ("pools.md", 3), ("error-pages.md", 1)]
)
def test_commands_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, commands_there: int
) -> None:
    monkeypatch.chdir(tmp_path)
    done = 0
    for block in blocks_of((DOCS / page).read_text("utf-8")):
        if block.language == "toml":
            assert block.name, f"line {block.line}: a file without a name in its first line"
            Path(block.name).write_text(block.text, "utf-8")
            continue
        if block.language == "text":
            continue
        assert block.language == "console"
        for part in block.parts():
            program, *words = shlex.split(part.typed)
            assert program == "portico"
            assert printed_by(words) == part.printed, f"line {block.line}: {part.typed}"
            done += 1
    assert done >= commands_there


def printed_by(words: list[str]) -> str:
    found = CliRunner().invoke(commands, words, prog_name="portico")
    if isinstance(found.exception, OperatorError):
        return f"portico: {found.exception.message}\n"
    assert found.exception is None, found.output
    return found.output


@pytest.mark.parametrize("table", TABLES)
def test_the_page_has_every_key(table: str) -> None:
    lines = []
    for row in TABLES[table]:
        if row not in SETTINGS:
            default = f"`{row.show_default()}`" if row.show_default() else ""
            lines.append(f"| `{row.key}` | {default} | {row.documentation} |")
    assert [line for line in lines if line not in PAGE] == []
    header = f"[{table}]" if table == ONCE else f"[[{table}]]"
    assert f"\n## `{header}`: " in PAGE
