"""`portico generate`: print the configuration of another program that agrees with the settings."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import click

from portico.command_line.given import read_settings, remarks
from portico.command_line.group import Commands
from portico.command_line.settings_command import SettingsCommand

_WISHES: Mapping[str, Mapping[str, Any]] = {
    "server_name": {
        "metavar": "HOST",
        "multiple": True,
        "help": "A name by which clients know the server. May be repeated.",
    },
    "listen": {
        "metavar": "[HOST:]PORT",
        "help": "Where the reverse proxy listens.  [default: 80 on all addresses]",
    },
    "static": {
        "metavar": "URL=DIR",
        "multiple": True,
        "help": "Files that the reverse proxy serves itself: those in DIR, below URL. May be repeated.",
    },
    "image": {"metavar": "IMAGE", "help": "The image.  [default: the name]"},
}
"""What `generate` has to know beside the settings."""

_PROXY_WISHES = ("server_name", "listen", "static")
_TARGETS = {
    "nginx": ("A server of nginx.", _PROXY_WISHES),
    "apache": ("A virtual host of Apache httpd.", _PROXY_WISHES),
    "haproxy": ("A configuration of HAProxy.", _PROXY_WISHES),
    "systemd": ("A service of systemd and its sockets.", ()),
    "dockerfile": ("A Dockerfile.", ("image",)),
    "k8s": ("A Deployment and a Service of Kubernetes.", ("image",)),
}


def _generate(target: str, output: str | None, force: bool, **values: Any) -> None:
    wishes = {name: values.pop(name) for name in _WISHES if name in values}
    settings = read_settings(values)
    for sentence in remarks(settings):
        click.echo(f"portico: {sentence}", err=True)
    from portico.generate.output import show, write
    from portico.generate.targets import generate

    files = generate(target, settings, wishes, output=output or "")
    if output:
        click.echo(f"portico: wrote {' and '.join(write(files, output, force=force))}", err=True)
    else:
        show(files)


def _command(target: str) -> SettingsCommand:
    title, wishes = _TARGETS[target]
    return SettingsCommand(
        target,
        callback=functools.partial(_generate, target),
        options=[
            *(click.Option([f"--{name.replace('_', '-')}", name], **_WISHES[name]) for name in wishes),
            click.Option(["-o", "--output"], metavar="FILE", help="Write there, if it does not exist yet."),
            click.Option(["--force"], is_flag=True, help="Overwrite what exists."),
        ],
        help=f"{title}\n\nMade for a server that is started by `portico run` with the same APP, options and "
        "environment variables; the comment at its head says what was made of which setting.",
        short_help=title,
    )


COMMAND = Commands(
    name="generate",
    commands=[_command(target) for target in _TARGETS],
    help="Print the configuration of another program that agrees with portico's settings.",
    short_help="For nginx, systemd, ...",
)
