"""Django's LiveServerTestCase on `portico.simple_server`, run by Django's own test runner."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .documentation import PROGRAMS
from .embedded import ENVIRONMENT, ROOT

pytest.importorskip("django")


@pytest.mark.parametrize(
    ("tests", "settings", "count"),
    [
        pytest.param("embedding.live_composed", "embedding.django_project", 4, id="composed"),
        pytest.param("embedding.live_replaced", "embedding.django_replaced", 5, id="replaced"),
    ],
)
def test_live_server_test_case_passes(tmp_path: Path, tests: str, settings: str, count: int) -> None:
    (tmp_path / "live_server.py").write_text(PROGRAMS["live_server.py"])
    command = [sys.executable, "-W", "error", "-m", "django", "test", tests, f"--settings={settings}"]
    ended = subprocess.run(
        command,
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(tmp_path)])},
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(rf"^Ran {count} tests in", ended.stderr, re.MULTILINE), ended.stderr
