"""Threads of a free-threaded Python against processes: CPU-bound Flask and Django, on one CPU and on two.

    make test-pythons PYTHONS='python3.14 /opt/python-3.14t/bin/python3'    # builds portico for both
    python bench/free_threaded.py target/pythons/3.14/bin/python target/pythons/3.14t/bin/python

Each Python has portico, Flask and Django. It serves a page that computes (computing.py) as one process with
threads, and as a process for each CPU. The figures are those of compare.py; ratios in parentheses are to the
best of the processes. With two CPUs the load generator is on one of them, too. Prints tables, writes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import computing
import machine
import peers
import report
import results
from cases import Case, Row
from drive import Round, measured
from running import Running, ServerFailed, running
from servers import ROOT, Command, Launch, Role, Server

THREADS = 8
CONNECTIONS = 16
ASK = """
import importlib.metadata, sys, sysconfig
is_free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
print(f"{sys.version_info[0]}.{sys.version_info[1]}{'t' if is_free_threaded else ''}", end="")
for name in ("portico-server", "flask", "django"):
    print(f" {name} {importlib.metadata.version(name)}", end="")
"""
COLUMNS = ("rps", "cpu_us", "p50_ms", "p99_ms", "pss_mb")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("python", nargs="*", type=Path, default=[ROOT / ".venv/bin/python"])
    parser.add_argument("--rounds", type=int, default=5, help="rounds per table (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load per round (default 3)")
    options = parser.parse_args()
    versions = {asked(python): python for python in options.python}
    for version in versions:
        print(version)
    for framework in ("Flask", "Django"):
        for cpus in ("0", "0,1"):
            case = Case(
                "free-threaded",
                f"{framework}, a page that computes, on {'two CPUs' if ',' in cpus else 'one CPU'}",
                f"bench.computing:{framework.lower()}_app()",
                computing.EXPECTED,
                connections=CONNECTIONS,
                columns=COLUMNS,
            )
            outcome = one_table(case, versions, cpus, options.rounds, options.seconds)
            print(f"\n{report.heading(case, outcome)}\n\n{report.table(case, outcome)}", flush=True)


def asked(python: Path) -> str:
    """Return the version of a Python, and of what is served with it; leave where something is missing."""
    done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"free_threaded.py: {python}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def one_table(case: Case, versions: dict[str, Path], cpus: str, count: int, seconds: int) -> results.Outcome:
    """Measure every Python in both ways, in rounds that begin with another each time."""
    wanted = [row for version, python in versions.items() for row in rows(version.split()[0], python, cpus)]
    rounds: dict[str, list[Round]] = {row.label: [] for row in wanted}
    for number in range(count):
        first = number % len(wanted)
        for row in wanted[first:] + wanted[:first]:
            peers.say(f"{case.title}: round {number + 1} of {count}, {row.label}")
            rounds[row.label].append(one_round(case, row, cpus, seconds))
    lines = [results.medians(row.label, row.server.role, rounds[row.label]) for row in wanted]
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return results.Outcome(case.name, date, machine.commit(), count, seconds, lines)


def rows(version: str, python: Path, cpus: str) -> Iterator[Row]:
    """One process with threads, which on one CPU is all there is; and a process for each CPU."""
    count = len(cpus.split(","))
    processes = [(1, Role.PORTICO)] if count > 1 else []
    for workers, role in [*processes, (count, Role.PEER)]:
        label = f"{version}, {workers} x {THREADS} threads"
        yield Row(label, Server(label, role, "portico-server", _command(python, workers)), THREADS, False)


def one_round(case: Case, row: Row, cpus: str, seconds: int) -> Round:
    """Start the server, measure it, and ask whether it had the interpreter's lock."""
    try:
        with running(case, row, cpus) as server:
            found = measured(case, row, server, seconds)
            found.problems.append(f"the interpreter's lock is {_lock(server)}")
            return found
    except ServerFailed as failure:
        return Round(problems=[str(failure)])


def _command(python: Path, workers: int) -> Callable[[Launch], Command]:
    def command(launch: Launch) -> Command:
        argv = [str(python), "-m", "portico", "run", launch.app, "-w", str(workers)]
        argv += ["--threads", str(launch.threads), "-b", f"127.0.0.1:{launch.port}", "--access-log", "off"]
        return Command(argv)

    return command


def _lock(server: Running) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/lock", timeout=5) as response:
        return str(response.read().decode())


if __name__ == "__main__":
    main()
