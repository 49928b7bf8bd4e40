"""Every numbered thing that PEP 3333 asks of a server has a test that carries its number."""

from __future__ import annotations

import re
from pathlib import Path

LAST = 52


def test_every_number_has_a_test() -> None:
    sources = Path(__file__).parent.glob("test_pep3333_*.py")
    found = {
        int(number)
        for source in sources
        for number in re.findall(r"^def test_([0-9]{2})_", source.read_text(), re.MULTILINE)
    }
    assert found == set(range(1, LAST + 1))
