"""docs/listeners.md: its addresses, settings and units are ones that portico and systemd take."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from portico.config.address import SCHEMES
from portico.config.addresses import parse_address
from portico.config.settings import TABLE
from support.pages import DOCS, blocks_of

PAGE = (DOCS / "listeners.md").read_text("utf-8")
UNITS = dict(
    zip(("shop.socket", "shop.service"), (block.text for block in blocks_of(PAGE, "ini")), strict=True)
)


def cells(title: str, column: int) -> list[str]:
    """What is set as code in this column (from 0) of the table under this heading."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [text for row in rows[1:] for text in re.findall("`([^`]+)`", row[column])]


def test_every_address_is_one() -> None:
    given = {text for text in re.findall(r"--bind '?([^\s'`]+)", PAGE)}
    places = cells("Places", 1)
    spoken = [text for column in (1, 2, 3) for text in cells("Schemes", column)]
    assert (len(given), len(places), len(spoken)) == (10, 8, 12)
    assert all(parse_address(text).scheme == "http" for text in places)
    assert [parse_address(text).scheme for text in spoken] == [*SCHEMES] * 3
    for text in given:
        parse_address(text)


def test_names_every_option() -> None:
    options = [text.removeprefix("| ") for text in cells("Options", 0)]
    samples = {
        "mode=660": "unix:/a",
        "owner=NAME": "unix:/a",
        "group=NAME": "unix:/a",
        "proxy=required": ":80",
        "persistent=on": "uwsgi://:80",
        "stderr=on": "fastcgi://:80",
    }
    assert options == list(samples)
    for option, place in samples.items():
        assert str(parse_address(f"{place}?{option}")).endswith(f"?{option}")


def test_every_setting_is_one() -> None:
    names = {row.name for row in TABLE}
    flags = {flag for row in TABLE for flag in row.flags}
    assert set(re.findall(r"`(\w+_(?:allow_from|allow_ips|size|timeout|variables))`", PAGE)) <= names
    assert set(re.findall(r"(?<!\S)--[a-z-]+", "\n".join(re.findall(r"(?m)^\$ portico .*", PAGE)))) <= flags
    for name in ("uwsgi", "fastcgi", "scgi", "proxy"):
        assert f"`{name}_allow_from`" in PAGE


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "portico"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, text in UNITS.items():
        found = re.sub(r"^ExecStart=\S+", f"ExecStart={program}", text, flags=re.MULTILINE)
        (tmp_path / name).write_text(found)
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # It looks at other units of the machine as well.
    ours = [line for line in (ended.stdout + ended.stderr).splitlines() if "shop" in line]
    assert (ended.returncode, ours) == (0, [])
