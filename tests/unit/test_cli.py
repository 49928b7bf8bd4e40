"""portico.cli: the help that is made of the table."""

from __future__ import annotations

import re

from click.testing import CliRunner
from portico.cli import commands
from portico.config.settings import TABLE, by_group


def test_help_shows_every_option_under_its_group() -> None:
    page = CliRunner().invoke(commands, ["run", "--help"]).output
    heading = ""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        if match := re.fullmatch(r"(\w[\w ]*):", line):
            heading = match[1]
        elif match := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            found.setdefault(heading, []).append(match[1])
    assert found.pop("Other") == ["--config", "--help"]
    assert found == {
        group.title.capitalize(): [row.flags[-1] for row in rows if row.flags]
        for group, rows in by_group().items()
    }


def test_rows_of_one_group_stand_together() -> None:
    assert tuple(row for rows in by_group().values() for row in rows) == TABLE
