"""docs/observability.md: its server starts, and each of its commands says something of the shop."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from process.conftest import Start
from support.package import ROOT
from support.server import free_port
from support.waiting import wait_until

from .conftest import SHOP, busy

PAGE = (ROOT / "docs" / "observability.md").read_text()
COMMANDS = re.findall(r"^\$ portico (.*)$", PAGE, re.MULTILINE)
SAID = {
    "top --once": r"threads \d of 8 busy",
    "ctl slow": r"ask_the_warehouse +/stock +time\.sleep",
    "profile --seconds 3": r"samples .*in 3",
    "profile --route /prices": r"samples .*in 1",
    "report access.json": r"GET /basket",
}


def test_the_commands_are_those_that_are_tried() -> None:
    assert COMMANDS[0].startswith("run slow_shop ")
    assert len(COMMANDS) == 1 + len(SAID)
    for command, start in zip(COMMANDS[1:], SAID, strict=True):
        assert command.startswith(start)


def test_pictures_are_there() -> None:
    for picture in re.findall(r"!\[[^]]+\]\((.*)\)", PAGE):
        assert (ROOT / "docs" / picture).stat().st_size < 200_000, picture


def test_each_command_tells(start: Start, tmp_path: Path) -> None:
    (tmp_path / "slow_shop.py").write_text(SHOP.read_text())
    options = shlex.split(COMMANDS[0].removeprefix("run slow_shop "))
    options = [f"127.0.0.1:{free_port()}" if each.startswith("127.0.0.1:") else each for each in options]
    shop = start("", *options, "--pid-file", "pid", application="slow_shop")
    shop.wait_ready()

    def tell(command: str) -> str:
        # The page has one server; here there are others.
        which = [] if command.startswith("report") else ["--pid-file", str(tmp_path / "pid")]
        done = subprocess.run(
            [sys.executable, "-m", "portico", *shlex.split(command), *which],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        # A server that is busy may be found a moment later.
        return done.stdout + done.stderr if done.returncode == 0 else ""

    with busy(shop):
        for command, said in zip(COMMANDS[1:], SAID.values(), strict=True):
            wait_until(
                lambda command=command, said=said: re.search(said, tell(command)),
                what=f"{said} of {command}",
                deadline_s=60,
            )
    assert "price_with_discounts" in (tmp_path / "prices.txt").read_text()
    assert "price_with_discounts" in (tmp_path / "profile.html").read_text()
    shop.stop()


@pytest.mark.parametrize("name", re.findall(r"`([a-z_]+(?:\.py)?)`", PAGE))
def test_names_are_those_of_the_shop_or_of_settings(name: str) -> None:
    pages = [ROOT / "docs" / page for page in ("settings.md", "run/metrics.md", "run/top.md")]
    assert any(name in page.read_text() for page in (SHOP, *pages))
