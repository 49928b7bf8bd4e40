"""Measures portico beside its peers and the C limit: `python bench/compare.py`.

For each case, several interleaved rounds: every server is started alone on one CPU, verified,
warmed up and driven from another CPU. README.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import bars
import closing
import idle
import machine
import peers
import report
import results
from cases import CASES, Case, DriveKind, Row, rows
from drive import Round, measured
from running import ServerFailed, running
from servers import BY_NAME, SERVERS, Server, baseline

FEW_ROUNDS = 3
"""Enough where memory is weighed: it varies little."""


def main() -> None:
    """Parse, prepare, measure, print, write."""
    options = _options()
    if options.list:
        print("cases:", *(f"  {case.name:10} {case.title}" for case in CASES), sep="\n")
        print("servers:", *(f"  {server.name}" for server in SERVERS), sep="\n")
        return
    # Turned into SystemExit, so that every server is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        peers.prepare()
    except peers.MissingTool as missing:
        raise SystemExit(f"compare.py: {missing}") from None
    server_cpu, client_cpu = _cpus()
    os.sched_setaffinity(0, {client_cpu})
    servers = _present([BY_NAME[name] for name in options.server] if options.server else list(SERVERS))
    if options.baseline:
        servers = (*servers, baseline(options.baseline))
    cases = [case for case in CASES if not options.case or case.name in options.case]
    commit = machine.commit()
    outcomes = {}
    for case in cases:
        is_loaded = case.kind in (DriveKind.LOAD, DriveKind.MIX)
        count = options.rounds if is_loaded else min(options.rounds, FEW_ROUNDS)
        lines = _measure(case, servers, count, options.seconds, server_cpu)
        date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        outcome = results.Outcome(case.name, date, commit, count, options.seconds, lines)
        outcomes[case.name] = outcome
        print(f"\n{case.name}: {report.heading(case, outcome)}\n\n{report.table(case, outcome)}", flush=True)
    print(f"\nBARS\n\n{report.bars_table(bars.verdicts(outcomes, measured_only=True))}")
    if options.no_write or options.server or options.baseline:
        print("\nRESULTS.md was left as it was (it wants all servers and no other, and no --no-write).")
        return
    outcomes = results.load() | outcomes
    results.save(outcomes)
    report.RESULTS.write_text(report.document(outcomes, machine.description()))
    print(f"\nwritten: {os.path.relpath(report.RESULTS)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure portico beside other WSGI servers.")
    names = [case.name for case in CASES]
    parser.add_argument(
        "--case", action="append", choices=names, metavar="NAME", help="only this case (repeatable)"
    )
    parser.add_argument(
        "--server", action="append", choices=list(BY_NAME), metavar="NAME", help="only this server"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds per case (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load per round (default 3)")
    parser.add_argument(
        "--baseline", type=Path, metavar="PORTICO", help="executable of another build, as a row of its own"
    )
    parser.add_argument("--list", action="store_true", help="name the cases and servers, and leave")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return options


def _cpus() -> tuple[int, int]:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        peers.say("!!! only one CPU: server and load generator share it, trust the CPU column alone")
    return cpus[0], cpus[-1] if len(cpus) < 2 else cpus[1]


def _present(servers: list[Server]) -> tuple[Server, ...]:
    installed = peers.versions()
    present = []
    for server in servers:
        if server.program.exists() if server.program else server.package.lower() in installed:
            present.append(server)
        else:
            peers.say(f"\n!!! {server.name} IS NOT INSTALLED, its row is missing\n")
    return tuple(present)


def _measure(
    case: Case, servers: tuple[Server, ...], count: int, seconds: int, cpu: int
) -> list[results.Line]:
    wanted = list(rows(case, servers))
    rounds: dict[str, list[Round]] = {row.label: [] for row in wanted}
    for number in range(count):
        # Each round begins with another server, so that nobody always follows the same neighbour.
        first = number % max(1, len(wanted))
        for row in wanted[first:] + wanted[:first]:
            peers.say(f"{case.name}: round {number + 1} of {count}, {row.label}")
            rounds[row.label].append(_one_round(case, row, seconds, cpu))
    if case.needs_close:
        for row in wanted:
            if rounds[row.label][0].metrics:
                rounds[row.label][0].problems += closing.problems(row, cpu)
    return [results.medians(row.label, row.server.role, rounds[row.label]) for row in wanted]


def _one_round(case: Case, row: Row, seconds: int, cpu: int) -> Round:
    try:
        with (
            idle.descriptors() if _is_many(case) else nullcontext(),
            running(case, row, cpu) as server,
        ):
            return measured(case, row, server, seconds)
    except ServerFailed as failure:
        peers.say(f"    {row.label}: {failure}")
        return Round(problems=[str(failure)])


def _is_many(case: Case) -> bool:
    # The usual limit of 1,024 descriptors is of the server and of the load generator each.
    return case.kind is DriveKind.IDLE or case.connections >= 1000


if __name__ == "__main__":
    main()
