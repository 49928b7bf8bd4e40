"""What `portico profile` costs the server while it samples: CPU time per request, on and off in turns.

    python bench/profile_cost.py [--application examples.hello:application] [--pairs 8] [--hz 100]

One worker under wrk. A round is so many seconds without a profile and as many with one, one after the other
on the same server, so that what else the machine does is in both. Writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PORT = 18931


def ask(path: str, verb: str, **fields: Any) -> dict[str, Any]:
    """Return what the server says to `verb`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"protocol": 1, "verb": verb, **fields}).encode() + b"\n")
        response = json.loads(connection.makefile().readline())
    assert response["ok"], response
    result: dict[str, Any] = response["result"]
    return result


def cpu_s(pid: int) -> float:
    """Return the seconds that all threads of a process have run, to the nanosecond."""
    # CPUCLOCK_SCHED of another process (clock_getcpuclockid(3)), with the threads of it that have ended.
    return time.clock_gettime((~pid << 3) | 2)


def round_us(path: str, pid: int, seconds: int, hz: int) -> float:
    """Return the CPU microseconds of a request in `seconds`, with a profile unless `hz` is 0."""
    before, began_s = ask(path, "workers")["workers"][0]["requests"], cpu_s(pid)
    if hz:
        ask(path, "profile", seconds=seconds, hz=hz)
    else:
        time.sleep(seconds)
    ended_s, after = cpu_s(pid), ask(path, "workers")["workers"][0]["requests"]
    return (ended_s - began_s) / (after - before) * 1e6


def main() -> None:
    """Measure, and print each pair and the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--application", default="examples.hello:application")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--hz", type=int, default=100)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--path", default="/")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        control = os.path.join(folder, "c.sock")
        address = f"127.0.0.1:{_PORT}"
        program = [sys.executable, "-m", "portico", "run", wishes.application, "-b", address, "-w", "1"]
        server = subprocess.Popen([*program, "--control", control, "--access-log", "off"], cwd=ROOT)
        try:
            while not os.path.exists(control) or not ask(control, "status")["workers"]["ready"]:
                time.sleep(0.05)
            pid = ask(control, "workers")["workers"][0]["pid"]
            duration_s = wishes.pairs * (2 * wishes.seconds + 1) + 10
            load = subprocess.Popen(
                [
                    "wrk",
                    "-t1",
                    f"-c{wishes.connections}",
                    f"-d{duration_s}",
                    f"http://{address}{wishes.path}",
                ],
                stdout=subprocess.DEVNULL,
            )
            try:
                time.sleep(2)
                measure(control, pid, wishes)
            finally:
                load.terminate()
                load.wait()
        finally:
            server.terminate()
            server.wait()


def measure(control: str, pid: int, wishes: argparse.Namespace) -> None:
    """Print each pair, and what all say together."""
    ratios, offs = [], []
    for number in range(wishes.pairs):
        # Who is first changes, too.
        order = (0, wishes.hz) if number % 2 else (wishes.hz, 0)
        measured = {hz: round_us(control, pid, wishes.seconds, hz) for hz in order}
        offs.append(measured[0])
        ratios.append(measured[wishes.hz] / measured[0] - 1)
        print(f"off {measured[0]:7.2f} us   on {measured[wishes.hz]:7.2f} us   {ratios[-1]:+.1%}")
    spread = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.0
    print(
        f"median off {statistics.median(offs):.2f} us; a profile at {wishes.hz} Hz costs "
        f"{statistics.median(ratios):+.1%} (mean {statistics.mean(ratios):+.1%}, standard error {spread:.1%})"
    )


if __name__ == "__main__":
    main()
