"""The comment at the head of a generated file: how it was made, and for which settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from portico import _core
from portico.generate.deployment import Deployment
from portico.generate.layout import Derived, comment, listing
from portico.generate.upstream import Upstream, believed


def made_by(deployment: Deployment) -> str:
    """Return a paragraph that names the command which makes the same file again."""
    # A comment ends with its line; nobody needs the command to run if a word of it has several.
    command = "".join(
        character if character.isprintable() else "?" for character in shlex.join(deployment.command)
    )
    return (
        f"Made by portico {_core.__version__}:\n  {command}\n"
        "Make it again when portico's settings change; it was made for these."
    )


def head_comment(
    deployment: Deployment,
    upstream: Upstream,
    *,
    proxy: str,
    place: str,
    derived: Sequence[Derived],
) -> str:
    """Return the comment at the head of a reverse proxy's file.

    It says how the file was made and where it belongs, which listener it uses, which setting each value in
    `derived` comes from, and whom portico has to believe.
    """
    paragraphs = [
        made_by(deployment),
        place,
        "",
        f"{proxy} passes requests on to the listener {upstream.bind}. From these settings of portico:",
        listing(derived),
        "",
        believed(deployment.settings, upstream, proxy=proxy),
    ]
    return comment("\n".join(paragraphs))


def join_lines(lines: Iterable[object]) -> str:
    """Return `lines` as the value of a field that has a line of its own."""
    return "\n".join(str(line) for line in lines)
