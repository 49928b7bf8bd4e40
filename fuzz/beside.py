#!/usr/bin/env python3
"""Runs the fuzz smoke beside a command, on what that leaves of the processors: `fuzz/beside.py make suite`.

A command that fails ends the smoke at once; else what the smoke came to is printed after it. Exit code: that
of the command, or of the smoke.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

SMOKE = (sys.executable, str(Path(__file__).resolve().parent / "run.py"), "--smoke")
NICENESS = 19
"""The lowest priority: what is tested meanwhile has deadlines."""


def main(command: list[str], smoke: tuple[str, ...] = SMOKE) -> int:
    """Run both; see above."""
    # SIGTERM leaves through the `finally` too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen(
            ["nice", "-n", str(NICENESS), *smoke], stdout=said, stderr=said, start_new_session=True
        )
        try:
            if code := subprocess.call(command):
                print("the fuzz smoke was ended, since the command failed")
                return code
            code = beside.wait()
            said.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(said.read())
            return code
        finally:
            if beside.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(beside.pid, signal.SIGKILL)
                beside.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
