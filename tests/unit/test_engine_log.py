"""The engine's error log: the date it computes itself, and the levels it keeps."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest


def logged(threshold: str, level: str) -> str:
    program = (
        "import sys; from portico._core import *; configure_log(sys.argv[1], False); log(sys.argv[2], 'x')"
    )
    arguments = [sys.executable, "-c", program, threshold, level]
    return subprocess.run(arguments, stderr=subprocess.PIPE, text=True, check=True).stderr


def test_an_entry_begins_with_the_time_in_utc() -> None:
    entry = logged("info", "info")
    written = datetime.strptime(entry[1 : entry.index("]")], "%Y-%m-%d %H:%M:%S %z")
    assert abs(datetime.now(timezone.utc) - written) < timedelta(minutes=1)


@pytest.mark.parametrize(("threshold", "level", "kept"), [("info", "debug", False), ("debug", "debug", True)])
def test_only_entries_of_the_threshold_and_above_are_written(threshold: str, level: str, kept: bool) -> None:
    assert bool(logged(threshold, level)) is kept
