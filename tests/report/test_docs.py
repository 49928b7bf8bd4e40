"""docs/run/report.md: its commands are commands, and what it says of bounds and formats is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from portico.commands.report import COMMAND
from portico.report.comparison import ENOUGH
from portico.report.formats import FORMATS, named
from portico.report.histogram import ERROR
from portico.report.reading import MAX_LINE_BYTES
from portico.report.tally import MAX_ROUTES
from portico.report.wording import CHANGE_COLUMNS, PART_WORDS, ROUTE_COLUMNS

from .conftest import Report
from .made import json_line, text

PAGE = (Path(__file__).parents[2] / "docs/run/report.md").read_text("utf-8")
COMMANDS = [line for line in re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE) if "portico report" in line]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    words = shlex.split(line.partition("portico report ")[2].partition(" | ")[0])
    context = COMMAND.make_context("report", words)
    for name in ("format", "before_format"):
        if context.params[name]:
            assert named(context.params[name]).name


def test_an_unknown_option_is_none() -> None:
    with pytest.raises(click.UsageError):
        COMMAND.make_context("report", ["access.log", "--pdf", "x"])


def test_every_option_is_on_the_page() -> None:
    for option in COMMAND.params:
        if isinstance(option, click.Option):
            assert option.opts[0] in PAGE


def test_every_format_is_on_the_page() -> None:
    for name in FORMATS:
        assert f"`{name}`" in PAGE


def test_tables_look_as_on_the_page(report: Report, tmp_path: Path) -> None:
    (tmp_path / "access.json").write_text(text([json_line(portico_app_ns=1, portico_queue_ns=1)]))
    (tmp_path / "old.json").write_text(text([json_line()]))
    printed = report("access.json", "--before", "old.json").stdout
    for columns in (ROUTE_COLUMNS, (*CHANGE_COLUMNS[1:], CHANGE_COLUMNS[0])):
        heading = r"^ +" + r" +".join(map(re.escape, columns)) + "$"
        assert re.search(heading, PAGE, re.MULTILINE)
        assert re.search(heading, printed, re.MULTILINE)
    for part in ("queue", "lock", "computing", "waiting", "client"):
        assert PART_WORDS[part] in PAGE


def test_numbers_are_those_of_the_sources() -> None:
    assert f"are right to {100 * ERROR:.1f} %" in PAGE
    assert f"the {MAX_ROUTES} with the most time" in PAGE
    assert f"more than {MAX_LINE_BYTES // 1024} KB" in PAGE
    assert f"the route has {ENOUGH} requests or more" in PAGE
