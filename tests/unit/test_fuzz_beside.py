"""The fuzz smoke runs beside the other tests: who ends whom, and whose exit code it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import is_alive
from support.waiting import wait_until

FUZZ = Path(__file__).parents[2] / "fuzz"
BESIDE = """
import sys
sys.path.insert(0, sys.argv[1])
from beside import main
sys.exit(main(["sh", "-c", sys.argv[2]], ("sh", "-c", sys.argv[3])))
"""


def beside(command: str, smoke: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", BESIDE, str(FUZZ), command, smoke]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("code", [0, 3])
def test_the_smoke_is_waited_for_and_shown(code: int, tmp_path: Path) -> None:
    done = tmp_path / "done"
    smoke = f"while [ ! -e {done} ]; do sleep 0.01; done; echo the table; exit {code}"
    found = beside(f"echo all passed; touch {done}", smoke)
    assert (found.returncode, found.stdout) == (code, "all passed\nthe table\n")


def test_a_command_that_fails_ends_the_smoke(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    begun = f"while [ ! -s {pid} ]; do sleep 0.01; done"
    found = beside(f"{begun}; exit 2", f"sh -c 'echo $$ > {pid}; exec sleep 1000'; true")
    assert (found.returncode, found.stdout) == (2, "the fuzz smoke was ended, since the command failed\n")
    wait_until(lambda: not is_alive(int(pid.read_text())), what="the end of what the smoke had started")


def test_the_smoke_has_the_lowest_priority() -> None:
    assert beside("true", "nice").stdout == "19\n"
