"""portico.cli: what reads a command line, and the pages that are made of the table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from portico import __version__
from portico.commands.all import commands
from portico.commands.man import manual_page
from portico.config.manual import manual
from portico.config.settings import TABLE, by_group
from portico.errors import reason_of

BRIEF = [
    *("--bind", "--workers", "--threads", "--timeout", "--graceful-timeout", "--keep-alive"),
    *("--max-request-body", "--forwarded-allow-ips", "--health-path", "--env", "--chdir", "--pythonpath"),
    *("--access-log", "--log-level", "--config"),
]


def page(*arguments: str, width: int = 78) -> str:
    found = CliRunner().invoke(commands, [*arguments], terminal_width=width)
    assert found.exit_code == 0
    return found.output


def options_of(text: str) -> dict[str, list[str]]:
    """The long options by the headings above them."""
    heading = ""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(\w[\w ]*):", line):
            heading = match[1]
        elif match := re.match(r"  (?:-\w, |    )?(--[\w-]+)", line):
            found.setdefault(heading, []).append(match[1])
    return found


@pytest.mark.parametrize("arguments", [("run", "--help-all"), ("--help-all",)])
def test_help_shows_every_option_under_its_group(arguments: tuple[str, ...]) -> None:
    found = options_of(page(*arguments))
    assert found.pop("Other") == ["--config", "--pool", "--help", "--help-all"]
    assert found == {
        group.title.capitalize(): [row.flags[-1] for row in rows if row.flags]
        for group, rows in by_group().items()
    }


@pytest.mark.parametrize(("word", "meant"), [("help", "--help"), ("version", "--version"), ("rnu", "run")])
def test_a_command_that_is_none_has_a_hint(word: str, meant: str) -> None:
    found = CliRunner().invoke(commands, [word], prog_name="portico")
    assert found.exit_code == 2
    assert f"No such command '{word}'. Did you mean `portico {meant}`?" in found.output


@pytest.mark.parametrize(
    ("arguments", "title", "own"),
    [
        pytest.param(("dev",), "Development", ["--watch", "--reload", "--open", "--show-locals"], id="dev"),
        pytest.param(("config",), "What is printed", ["--json", "--changed"], id="config"),
        pytest.param(("generate", "systemd"), "What is printed", ["--output", "--force"], id="generate"),
    ],
)
def test_help_shows_first_what_a_command_has_of_its_own(
    arguments: tuple[str, ...], title: str, own: list[str]
) -> None:
    found = options_of(page(*arguments, "--help"))
    assert next(iter(found.items())) == (title, own)


def test_rows_of_one_group_stand_together() -> None:
    assert tuple(row for rows in by_group().values() for row in rows) == TABLE


def test_help_of_run_is_fifteen_options_on_one_screen() -> None:
    text = page("run", "--help")
    assert sorted(options_of(text)["Options"]) == sorted(BRIEF)
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80


def test_help_of_portico_is_its_commands_and_the_same_options() -> None:
    text = page("--help")
    assert sorted(options_of(text)["Options"]) == sorted(BRIEF)
    assert all(re.search(rf"^  .*\b{name}\b", text, re.MULTILINE) for name in commands.commands)
    assert len(text.splitlines()) <= 31
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", [50, 60, 108])
def test_help_is_as_wide_as_the_terminal(width: int) -> None:
    text = page("--help", width=width)
    # An option is not broken.
    assert all(len(line) <= width for line in text.splitlines() if "--" not in line)
    assert len(page("--help-all", width=width)) > len(text)


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_shows_the_version(words: list[str]) -> None:
    assert page(*words) == f"portico {__version__}\n"


@pytest.mark.parametrize("number", ["+1", "1_0", " 1", "\u0661", "1.0", "x", ""])
@pytest.mark.parametrize("command", ["ctl scale --socket /nowhere", "profile --hz", "report --top"])
def test_a_number_that_is_not_written_in_digits_is_told(command: str, number: str) -> None:
    """`scale +1` would be taken for one worker more."""
    done = CliRunner().invoke(commands, [*command.split(), number])
    assert done.exit_code == 2
    assert f"expected a whole number in digits, got {number!r}" in done.output


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e9", "1e400", "x"])
@pytest.mark.parametrize("command", ["ctl status --timeout", "top --interval"])
def test_a_wait_that_is_no_number_of_seconds_is_told(command: str, seconds: str) -> None:
    words = [*command.split(), seconds, "--socket", "/nowhere"]
    done = CliRunner().invoke(commands, words)
    assert (done.exit_code, type(done.exception)) == (2, SystemExit)
    assert f"Invalid value for '{words[-4]}'" in done.output


def resolved(*words: str) -> tuple[str | None, list[str]]:
    """The command that is meant by `words`, and what it gets."""
    context = click.Context(commands, info_name="portico")
    rest = commands.parse_args(context, list(words))
    name, _, rest = commands.resolve_command(context, [*context._protected_args, *rest])
    return name, rest


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (["shop:app"], ["shop:app"]),
        (["shop.wsgi"], ["shop.wsgi"]),
        (["src/shop/wsgi.py"], ["src/shop/wsgi.py"]),
        (["-w", "2", "shop"], ["-w", "2", "shop"]),
        (["--bind=:80", "shop:app"], ["--bind=:80", "shop:app"]),
        (["--http", ":80", "--wsgi-file", "shop.py"], ["--http", ":80", "--wsgi-file", "shop.py"]),
        (["run", "shop"], ["shop"]),
    ],
)
def test_run_need_not_be_said(words: list[str], rest: list[str]) -> None:
    assert resolved(*words) == ("run", rest)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rnu"], "`portico run`"),
        (["shop"], "`portico run shop`"),
        (["generate", "ngnix"], "`portico generate nginx`"),
        (["generate", "shop"], ""),
        (["run", "--thread", "2"], "--threads"),
        (["run", "--wokers", "2"], "--workers"),
        (["run", "--frobnicate"], ""),
        (["run", "--response"], ""),
        (["run", "-X"], ""),
    ],
)
def test_a_hint_is_near(words: list[str], hint: str) -> None:
    found = CliRunner().invoke(commands, words)
    assert found.exit_code == 2
    assert "No such" in found.output
    assert ("Did you mean" in found.output) == bool(hint)
    assert hint in found.output.rpartition("Did you mean")[2]


def test_what_the_system_says_is_a_sentence_without_a_number() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "portico", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (1, "portico: No space left on device\n")


def test_what_the_system_says_of_a_file_names_it() -> None:
    assert reason_of(FileNotFoundError(2, "No such file", "a b")) == '"a b": No such file'
    assert reason_of(ValueError("not that")) == "not that"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_what_a_shell_completes_with(shell: str) -> None:
    assert f"_PORTICO_COMPLETE={shell}_complete" in page("completion", shell)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("portico --lo", ["plain,--log-level"]),
        ("portico con", ["plain,config"]),
        ("portico run --thr", ["plain,--threads"]),
        ("portico run --log-level=", ["plain,debug"]),
        ("portico run --log-level w", ["plain,warning"]),
        ("portico shop:app --log-level w", ["plain,warning"]),
        ("portico run --chdir ", ["dir,"]),
        ("portico completion z", ["plain,zsh"]),
        ("portico routes PA", ["plain,PATCH"]),
        ("portico routes --j", ["plain,--json"]),
    ],
)
def test_completes(words: str, offered: list[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "from portico.cli import main; main()"],
        env={
            **os.environ,
            "_PORTICO_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert set(offered) <= set(found.stdout.splitlines())
    assert found.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_what_is_printed(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    subprocess.run([program, "-n"], input=page("completion", shell), text=True, check=True, timeout=20)


def test_the_manual_page_has_every_option_and_command() -> None:
    text = manual_page(commands).replace("\\-", "-")
    for row in TABLE:
        assert all(f"\\fB{flag}\\fR" in text for flag in row.flags)
        assert all(variable in text for variable in row.environment)
    assert all(f"\\fB{name}\\fR" in text for name in commands.commands)
    assert page("man") == manual_page(commands)


def test_the_manual_page_escapes_what_groff_reads() -> None:
    assert "\n\\&.a \\e\\-b\n" in manual({"name": ".a \\-b"})


def test_man_renders_the_manual_page() -> None:
    program = shutil.which("mandoc") or shutil.which("groff")
    if program is None:
        pytest.skip("neither mandoc nor groff is here")
    arguments = ["-Tutf8"] if program.endswith("mandoc") else ["-man", "-Tutf8", "-ww", "-P-c"]
    found = subprocess.run(
        [program, *arguments],
        input=manual_page(commands),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert found.stderr == ""
    rendered = re.sub(r".\x08", "", found.stdout)
    assert "--max-request-body SIZE" in rendered.replace("\u2212", "-")
    assert "EXIT STATUS" in rendered
