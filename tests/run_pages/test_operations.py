"""The page of operations has each signal, verb, stage, state and hook that there is, with an example."""

from __future__ import annotations

import re
from signal import SIGCHLD, SIGRTMAX, Signals

import pytest
from portico.commands.ctl import COMMAND as CTL
from portico.config import values
from portico.config.hook_module import HOOKS
from portico.process import life, worker_handle
from portico.process.control.verbs import VERBS
from portico.process.signals import STACKS_SIGNAL, SUPERVISOR_SIGNALS
from support.pages import DOCS

OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
SIGNALS = (DOCS / "signals.md").read_text("utf-8")
TABLE, _, REST = OPERATIONS.partition("\n## As many workers")
"""What there is to do, and the stages and states, stand at the top."""
FOR_PEOPLE = [Signals(number).name.removeprefix("SIG") for number in SUPERVISOR_SIGNALS if number != SIGCHLD]


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_each_signal_is_in_both_tables(name: str) -> None:
    assert re.search(rf"^\|[^|]*\|[^|]*\b{name}\b", TABLE, re.MULTILINE)
    assert re.search(rf"^\| [^|]*\b{name}\b[^|]* \|", SIGNALS, re.MULTILINE)


def test_the_signal_for_stacks_is_in_both_tables() -> None:
    name = f"RTMAX-{SIGRTMAX - STACKS_SIGNAL}"
    assert f"| {name} to the worker |" in TABLE
    assert f"| {name} | |" in SIGNALS


@pytest.mark.parametrize("verb", CTL.commands)
def test_each_command_is_explained_and_shown(verb: str) -> None:
    assert re.search(rf"^\| `portico ctl {verb}\b", REST, re.MULTILINE)
    assert re.search(rf"^\$ portico ctl {verb}\b", REST, re.MULTILINE)


def test_each_verb_of_the_protocol_has_a_command() -> None:
    # Members are changed by words behind `upstream`, and profiles have a command of their own.
    apart = {"profile", "upstream-add", "upstream-drain", "upstream-remove"}
    assert VERBS.keys() - apart == CTL.commands.keys()


@pytest.mark.parametrize("stage", [life.SERVING, life.ANNOUNCING, life.DRAINING, life.QUITTING, life.KILLING])
def test_each_stage_is_in_the_diagram(stage: str) -> None:
    assert re.search(rf"^    .*\b{stage}\b", TABLE, re.MULTILINE)


STATES = [
    value
    for name, value in vars(worker_handle).items()
    if name.isupper() and value == name.lower() and not hasattr(values, name)
]


def test_each_state_of_a_worker_is_in_the_diagram_and_with_its_command() -> None:
    assert len(STATES) == 4
    (diagram,) = re.findall(r"^    booting .*$", TABLE, re.MULTILINE)
    (row,) = re.findall(r"^\| `portico ctl workers` .*$", REST, re.MULTILINE)
    for state in STATES:
        assert state in diagram
        assert f"`{state}`" in row


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_explained_and_shown(hook: str) -> None:
    assert re.search(rf"^\| `{hook}` \|", REST, re.MULTILINE)
    assert re.search(rf"^def {hook}\(", REST, re.MULTILINE)
