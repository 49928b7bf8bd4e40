"""docs/run/systemd.md shows all of the units that are printed, and nothing that is not; systemd takes its
drop-in."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from runpy import run_path

import pytest
from generate.made import generated, statements
from generate.programs import program
from portico.process.signals import STACKS_SIGNAL
from process.conftest import Start

from .pages import blocks, page

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = [
    shlex.split(line[2:])
    for block in blocks("systemd", "console")
    for line in block.splitlines()
    if " generate systemd " in line
]
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="takes /proc and RTMAX")
DROP_IN = "/etc/systemd/system/shop.service.d/override.conf"
SHOWN = [block for block in blocks("systemd", "ini") if DROP_IN not in block]


def options(command: list[str]) -> list[str]:
    """What follows `generate systemd`, but for where it is written."""
    words = command[command.index("systemd") + 1 :]
    return [word for word in words[: words.index("-o")] if word != "--force"]


@pytest.fixture(scope="module")
def printed() -> str:
    """What the first command of the page writes, both units."""
    as_printed = run_path(str(DOCS / "generate_generate.py"))["printed"]
    return str(as_printed(shlex.join(["systemd", *options(COMMANDS[0])])))


@pytest.mark.parametrize("block", SHOWN, ids=range(len(SHOWN)))
def test_a_block_is_what_is_printed(block: str, printed: str) -> None:
    assert f"\n{block}" in printed


def test_every_line_that_is_printed_is_shown(printed: str) -> None:
    assert [line for line in statements(printed) if line not in statements("".join(SHOWN))] == []


@pytest.mark.parametrize("command", COMMANDS, ids=[command[-1] for command in COMMANDS])
def test_a_command_of_the_page_makes_units(command: list[str], tmp_path: Path) -> None:
    file = Path(command[command.index("-o") + 1])
    assert file.parent == Path("/etc/systemd/system")
    generated("systemd", *options(command), "-o", str(tmp_path / file.name))
    assert {path.name for path in tmp_path.iterdir()} == {file.name, f"{file.stem}.socket"}


def test_systemd_takes_the_drop_in(tmp_path: Path) -> None:
    generated("systemd", *options(COMMANDS[0]), "-o", str(tmp_path / "shop.service"))
    drop_in = next(block for block in blocks("systemd", "ini") if DROP_IN in block)
    assert "CPUQuota=" in drop_in
    folder = tmp_path / "shop.service.d"
    folder.mkdir()
    (folder / "override.conf").write_text(drop_in)
    assert complaints(tmp_path) == ""
    (folder / "override.conf").write_text(drop_in.replace("MemoryMax=2G", "MemoryMax=much"))
    assert "override.conf" in complaints(tmp_path), "the drop-in is not read"


def complaints(folder: Path) -> str:
    """What systemd says against the units in a folder and their drop-ins."""
    units = [str(folder / name) for name in ("shop.service", "shop.socket")]
    found = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *units], capture_output=True, text=True, timeout=60
    )
    return "\n".join(line for line in found.stderr.splitlines() if str(folder) in line or "shop" in line)


@on_linux
def test_the_command_for_stacks_has_them_written(start: Start) -> None:
    (line,) = [
        line[2:] for block in blocks("systemd", "console") for line in block.splitlines() if "RTMAX" in line
    ]
    name = f"shop-{uuid.uuid4().hex}"
    portico = start("def shop(environ, start_response): ...", "--name", name, application="shop:shop")
    portico.wait_ready()
    assert line.count("shop") == 1
    subprocess.run(["bash", "-c", line.replace("shop", name)], check=True, timeout=60)
    portico.wait_for("most recent call first")
    portico.stop()


@on_linux
def test_signals_of_the_page_and_of_the_list_are_those_that_are_taken() -> None:
    assert signal.SIGRTMAX - 1 == STACKS_SIGNAL
    listed = (DOCS / "signals.md").read_text("utf-8")
    assert "\n| RTMAX-1 | | write the stacks" in listed
    assert set(re.findall(r"kill -s (\w+)", page("systemd"))) == {"QUIT", "TTIN"}
