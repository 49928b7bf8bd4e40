"""docs/deploy.md shows what the tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reverse_proxies.pairings import CONFIGURATIONS, PAIRINGS, Pairing

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(pairing: Pairing) -> str:
    """What stands below the heading of a pairing, up to the next one."""
    _, heading, rest = PAGE.partition(f"\n### {pairing.name}\n")
    assert heading, f"docs/deploy.md has no section {pairing.name}"
    return rest.partition("\n### ")[0]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_a_section_shows_command_and_configuration_as_they_are_tested(pairing: Pairing) -> None:
    blocks = _BLOCK.findall(section(pairing))
    assert blocks[:2] == [("console", f"{pairing.command}\n"), (pairing.program, pairing.configuration)]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_the_table_tells_what_is_tested(pairing: Pairing) -> None:
    assert f"\n{pairing.row}\n" in PAGE


def test_every_configuration_is_shown() -> None:
    assert {path.stem for path in CONFIGURATIONS.iterdir()} == {pairing.name for pairing in PAIRINGS}
    shown = [text for language, text in _BLOCK.findall(PAGE) if language in {"nginx", "apache", "haproxy"}]
    assert shown == [pairing.configuration for pairing in PAIRINGS]
