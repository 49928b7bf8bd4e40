"""`portico report` as a user calls it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from process.conftest import start as start

Report = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Call `portico report` in `tmp_path`; it has to end with `exit_code`."""

    def call(
        *arguments: str, stdin: bytes = b"", exit_code: int = 0, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "portico", "report", *arguments],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
        )
        printed = subprocess.CompletedProcess(
            ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
        )
        assert printed.returncode == exit_code, printed.stderr
        return printed

    return call
