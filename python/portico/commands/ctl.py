"""`portico ctl`: ask a server that runs, or have it do something."""

from __future__ import annotations

import functools
from typing import Any

import click

from portico.command_line.group import Commands
from portico.command_line.instance import WHICH, find_instance, instance_argument, instance_options
from portico.command_line.seconds import Seconds
from portico.command_line.whole_number import WholeNumber

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
_NOW = click.Option(["--now"], is_flag=True, help="Do not wait for the requests in flight.")

# As many as `workers` may say; the server knows its own bounds.
_MOST_WORKERS = 512
# On any Linux (PID_MAX_LIMIT, proc_sys_kernel(5)).
_MOST_PID = 1 << 22
# Each verb: what it does, what is given to it, its own options, and whether there is something to wait for.
_VERBS: dict[str, tuple[str, tuple[click.Parameter, ...], bool]] = {
    "status": ("Show what the server is and does.", (), False),
    "workers": ("List the workers.", (), False),
    "requests": ("List the requests that run.", (), False),
    "slow": ("Show which lines of the application slow requests have stood at.", (), False),
    "errors": ("Show which requests have failed last.", (), False),
    "reload": ("Read the configuration anew and replace the workers.", (), True),
    "upgrade": ("Become the program that is there now, in place, and replace the workers.", (), True),
    "stop": ("Stop after the requests in flight.", (_NOW,), True),
    "scale": (
        "Have N workers.",
        (click.Argument(["workers"], type=WholeNumber(1, _MOST_WORKERS), metavar="N"),),
        True,
    ),
    "drain": ("Let the workers finish and leave, and start none.", (), True),
    "recycle": (
        "Replace a worker.",
        (click.Argument(["pid"], type=WholeNumber(1, _MOST_PID), metavar="PID"),),
        True,
    ),
    "stacks": (
        "Have a worker write its stacks to the error log.",
        (click.Argument(["pid"], type=WholeNumber(1, _MOST_PID), metavar="PID"),),
        False,
    ),
    "reopen-logs": ("Open the files of the logs anew.", (), True),
    "config": ("Print the settings in force.", (), False),
    "log-level": (
        "Set the level of the error log, until a reload.",
        (click.Argument(["level"], type=click.Choice(_LEVELS), metavar="LEVEL"),),
        True,
    ),
}


def _ask(verb: str, *, json: bool, timeout: float | None, **given: Any) -> None:
    from portico.ctl.connection import ask, upgrade
    from portico.ctl.pools import with_pools
    from portico.ctl.words import SENTENCES, not_asked

    path, others = find_instance(**given)
    fields = {name: value for name, value in others.items() if value is not None}
    if verb == "upgrade":
        result = upgrade(path, timeout_s=timeout, wait=fields["wait"])
    else:
        until_end = verb == "stop" and fields["wait"]
        result = ask(path, verb, timeout_s=timeout, until_end=until_end, **fields)
        result = with_pools(path, verb, result)
    if json:
        from json import dumps

        click.echo(dumps(result, indent=2, ensure_ascii=False))
    else:
        click.echo(SENTENCES[verb](result))
        for sentence in not_asked(result):
            click.echo(sentence, err=True)


def _read_member(context: click.Context, parameter: click.Parameter, text: str) -> str:
    # Here, because most verbs have none.
    import os

    from portico.config.routes.kinds import UpstreamAddress
    from portico.config.unfit import UnfitError
    from portico.errors import OperatorError, quoted

    kind = UpstreamAddress()
    try:
        return kind.from_folder(kind.parse(text), os.getcwd())
    except UnfitError as error:
        raise OperatorError(f"MEMBER: expected {error.expected}, got {quoted(error.got)}") from None
    except ValueError:
        raise OperatorError(f"MEMBER: expected {kind.expected}, got {quoted(text)}") from None


_UPSTREAM = click.Argument(["upstream"], metavar="NAME")
_MEMBER = click.Argument(["member"], metavar="MEMBER", callback=_read_member)
_OF_UPSTREAMS: dict[str, tuple[str, str, tuple[click.Parameter, ...], bool]] = {
    "list": ("upstream", "List the members of all upstreams.", (), False),
    "add": (
        "upstream-add",
        "Let a member get requests: a new one, or one that was drained.",
        (
            _UPSTREAM,
            _MEMBER,
            click.Argument(["weight"], type=WholeNumber(1, 65535), required=False, metavar="[WEIGHT]"),
        ),
        True,
    ),
    "drain": (
        "upstream-drain",
        "Let a member get no more requests, and finish those that it has.",
        (_UPSTREAM, _MEMBER),
        True,
    ),
    "remove": (
        "upstream-remove",
        "Let a member finish its requests, and be none any more.",
        (_UPSTREAM, _MEMBER),
        True,
    ),
}
"""For each command: its verb, and what `_VERBS` has."""


def _command(verb: str) -> click.Command:
    what, own, has_outcome = _VERBS[verb]
    return _made(verb, verb, what, (*own, instance_argument()), has_outcome)


def _made(
    name: str, verb: str, what: str, own: tuple[click.Parameter, ...], has_outcome: bool
) -> click.Command:
    waiting = click.Option(
        ["--wait/--no-wait"], default=True, help="Wait until it is done, or has failed.  [default: wait]"
    )
    return click.Command(
        name,
        callback=functools.partial(_ask, verb),
        params=[
            *own,
            *([waiting] if has_outcome else []),
            click.Option(["--json"], is_flag=True, help="Print JSON."),
            *instance_options(),
            click.Option(
                ["--timeout"],
                type=Seconds(0, least_open=True),
                metavar="S",
                help="Wait for so many seconds at most.",
            ),
        ],
        help=f"{what}\n\n{WHICH}",
        short_help=what,
    )


class _OfUpstreams(Commands):
    """The commands about upstreams; `list` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or [self.default])


COMMAND = Commands(
    name="ctl",
    commands=[
        *(_command(verb) for verb in _VERBS),
        _OfUpstreams(
            default="list",
            name="upstream",
            commands=[_made(name, *rest) for name, rest in _OF_UPSTREAMS.items()],
            help="List the members of upstreams, or change them while the server runs. NAME is what the "
            "[[upstream]] is called, MEMBER is as in `to`.",
            short_help="List or change the members of upstreams.",
        ),
    ],
    help="Ask a server that runs, or have it do something, over its control socket.",
    short_help="Steer a running server.",
)
