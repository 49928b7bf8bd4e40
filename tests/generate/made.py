"""What `portico generate` prints, and what stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from click.testing import CliRunner
from portico.commands.all import commands
from portico.config.settings import TABLE

_SETTINGS_OF_OTHERS = {name: None for row in TABLE for name in (*row.environment, "PORT")}


def generated(target: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """The standard output of `portico generate TARGET ARGUMENTS`, which has to succeed."""
    found = CliRunner().invoke(
        commands, ["generate", target, *arguments], env={**_SETTINGS_OF_OTHERS, **(environment or {})}
    )
    if found.exception is not None:
        raise found.exception
    return found.stdout


def statements(text: str) -> list[str]:
    """The lines of `text` that are no comments, without the spaces around them."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def value_of(text: str, name: str) -> str:
    """What follows the directive `name`, wherever it stands in a line; every time the same."""
    found = re.findall(
        rf"(?:^|\s){re.escape(name)}[ =]\s*([^;\n]*?);?(?:\n|$)", "\n".join(statements(text)) + "\n"
    )
    assert found, f"no {name} in\n{text}"
    assert len(set(found)) == 1, f"{name}: {found}"
    return str(found[0])


def option_of(line: str, name: str) -> str:
    """The value of `name=VALUE` or `name VALUE` in a line of options."""
    found = re.search(rf"(?:^|\s){re.escape(name)}[= ](\S+)", line)
    assert found, f"no {name} in {line}"
    return found[1]


def seconds(text: str) -> float:
    """A duration as reverse proxies write it."""
    if text.endswith("ms"):
        return float(text.removesuffix("ms")) / 1000
    return float(text.removesuffix("s"))


def in_bytes(text: str) -> int:
    """A size as reverse proxies write it."""
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def head_of(text: str) -> str:
    """The comment that `text` begins with, without the signs of a comment."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[2:])
    return "\n".join(lines)
