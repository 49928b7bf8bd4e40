"""`portico config`: print all settings, each with where its value comes from."""

from __future__ import annotations

import os
from typing import Any

import click

from portico import log
from portico.command_line.given import read_settings
from portico.command_line.settings_command import SettingsCommand
from portico.config.check import unknown_variables


def _config(json: bool, changed: bool, **values: Any) -> None:
    settings = read_settings(values)
    for sentence in unknown_variables(os.environ):
        log.say(sentence)
    from portico.config.show import as_json, as_toml

    click.echo((as_json if json else as_toml)(settings, only_changed=changed), nl=False)


COMMAND = SettingsCommand(
    "config",
    callback=_config,
    options=[
        click.Option(["--json"], is_flag=True, help="Print JSON."),
        click.Option(["--changed"], is_flag=True, help="Leave out what is at its default."),
    ],
    help="Print the settings that `portico run` would have with the same options, each with where its "
    "value comes from. What is printed is a configuration file.",
    short_help="Print all settings.",
)
