"""docs/deploy.md shows what the tests run."""

from __future__ import annotations

import pytest
from support.pages import DOCS, blocks_of

from reverse_proxies.pairings import CONFIGURATIONS, PAIRINGS, Pairing

PAGE = (DOCS / "deploy.md").read_text("utf-8")


def section(pairing: Pairing) -> str:
    """What stands below the heading of a pairing, up to the next one."""
    _, heading, rest = PAGE.partition(f"\n### {pairing.name}\n")
    assert heading, f"docs/deploy.md has no section {pairing.name}"
    return rest.partition("\n### ")[0]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_a_section_shows_command_and_configuration_as_they_are_tested(pairing: Pairing) -> None:
    blocks = [(block.language, block.text) for block in blocks_of(section(pairing))]
    assert blocks[:2] == [("console", f"{pairing.command}\n"), (pairing.program, pairing.configuration)]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_the_table_tells_what_is_tested(pairing: Pairing) -> None:
    assert f"\n{pairing.row}\n" in PAGE


def test_every_configuration_is_shown() -> None:
    assert {path.stem for path in CONFIGURATIONS.iterdir()} == {pairing.name for pairing in PAIRINGS}
    shown = [block.text for block in blocks_of(PAGE) if block.language in {"nginx", "apache", "haproxy"}]
    assert shown == [pairing.configuration for pairing in PAIRINGS]
