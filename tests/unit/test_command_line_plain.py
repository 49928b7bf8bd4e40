"""portico.command_line.plain: what it reads is what the parser of options would have read."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from portico.command_line.parameters import FILE, POOL, POOL_WAYS, WRITTEN
from portico.command_line.plain import read_plain
from portico.commands.all import commands
from portico.config.kinds import Choice, Flag
from portico.config.settings import TABLE
from portico.config.sources import raw_arguments
from portico.errors import OperatorError

CORPUS = Path(__file__).parents[1] / "corpus/old_words"
OTHERS = (FILE, POOL, POOL_WAYS)
BY_KIND = {
    "Capability": "net_bind_service",
    "EnvironmentVariable": "NAME=value",
    "ErrorPageFile": "404=page.html",
    "HttpField": "api-key=secret",
    "Middleware": "portico.middleware:ProxyFix(x_for=2)",
    "MountPath": "/shop",
    "Place": "unix:/run/haproxy.sock",
    "PythonModule": "shop.hooks",
    "ResourceLimit": "nofile=4096",
    "RouteDuration": "/path=3s",
    "StaticDirectory": "/files=files",
    "StaticDirectoryOrAuto": "/files=files",
    "UrlPath": "/health",
    "WarmupUrl": "/",
}
"""A value for those that have no default, and for which 1 is none."""


def parsed(*words: str) -> dict[str, Any] | None:
    """What the parser of options hands on for `words`, None if it is not for `run`, or a mistake."""
    try:
        with commands.make_context("portico", [*words]) as ctx:
            name, command, rest = commands.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
            if command is None or name != "run":
                return None
            return comparable(command.make_context(name, rest, parent=ctx).params)
    except (click.ClickException, click.exceptions.Exit, OperatorError):
        return None


def comparable(values: dict[str, Any]) -> dict[str, Any]:
    given = {name: values[name] for name in OTHERS if values.get(name) is not None}
    # What other servers call it is said in the sentences about it.
    given |= {name: written for name in (WRITTEN,) if (written := values.get(name))}
    texts = raw_arguments({name: value for name, value in values.items() if name not in (*OTHERS, WRITTEN)})
    return given | {name: tuple(each) for name, each in texts.items() if each}


def plain(*words: str) -> dict[str, Any] | None:
    given = read_plain(words, {})
    return None if given is None else comparable(given)


def value_for(row: Any) -> str:
    if isinstance(row.kind, Choice):
        return str(row.kind.choices[-1])
    defaults = row.default if row.many else (row.default,)
    texts = [row.kind.show(value) for value in defaults if value not in (None, "")]
    return texts[-1] if texts else BY_KIND.get(type(row.kind).__name__, "1")


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TABLE if row.flags])
def test_each_setting_is_read_alike(row: Any) -> None:
    value = value_for(row)
    for flag in row.flags:
        lines = [[flag, value], [f"{flag}={value}"], [flag, value, flag, value]]
        if isinstance(row.kind, Flag):
            lines = [[flag], [row.kind.opposite(flag)], [flag, row.kind.opposite(flag)]]
        elif not flag.startswith("--"):
            lines.append([flag + value])
        for line in lines:
            found = plain("run", "shop:app", *line)
            assert found is not None
            assert found == parsed("run", "shop:app", *line)


@pytest.mark.parametrize(
    "line",
    [
        "run",
        "run shop",
        "shop:app",
        "./shop.py -w 4",
        "-w 4 shop:app",
        "--bind=:8000 shop.wsgi",
        "run shop -b :8000 -b :8001,:8002 -w4 --threads 8 --access-log -",
        "run -w=2 shop:app -w 3",
        "run shop --preload --no-preload --read-only",
        "run shop:app -c portico.toml",
        "-c none shop:app",
        "run --pool blog --pool-ways 5 6 /run/portico/blog.sock",
        "run shop -b unix:/run/a,b.sock --timeout 30s -e A=b=c",
    ],
)
def test_what_is_usual_needs_no_parser(line: str) -> None:
    words = shlex.split(line)
    assert plain(*words) == parsed(*words)
    assert plain(*words) is not None


@pytest.mark.parametrize(
    "line",
    [
        *("", "--help", "-h", "run --help", "run shop --help-all", "--version", "-V"),
        *("shop", "check shop:app", "rnu shop:app", "dev shop:app", "run dev:app shop"),
        *("run shop --thread 3", "run shop --threads", "run shop --threads=", "run shop -w few"),
        *("run shop --preload=yes", "run -- shop", "run shop -", "run ''"),
        *("run shop -w shop.wsgi", "run shop --access-log --threads 3", "run shop --access-log ''"),
        *("run shop --log-config x.json", "run shop -p 4", "run shop --http :8000", "run shop --workers 0"),
        *("run shop --pool-ways 5 6", "run shop --pool-ways 5 x /y", "run shop --pool", "run shop -b :x"),
    ],
)
def test_what_is_not_is_for_the_parser(line: str) -> None:
    assert plain(*shlex.split(line)) is None


def test_a_shell_that_completes_is_for_the_parser() -> None:
    assert read_plain(["run", "shop"], {"_PORTICO_COMPLETE": "bash_complete"}) is None


@pytest.mark.parametrize("server", [pytest.param(path, id=path.stem) for path in sorted(CORPUS.iterdir())])
def test_options_of_other_servers_mean_the_same(server: Path) -> None:
    for line in server.read_text().splitlines():
        words = ["run", "shop", *shlex.split(line.partition(" => ")[0])]
        assert plain(*words) in (None, parsed(*words)), line
