"""What hostile clients cost an honest one: `python soak/pressure.py`.

For each kind of `hostile_kinds.py` a fresh portico with one worker and *one* thread on one CPU, and on
another CPU wrk and the hostile clients. Rounds of three are interleaved: wrk alone ("without"), wrk beside
hostile clients that have no server ("harmless": what they take from wrk's CPU), and under the hostile load
("with"), each in windows of a second. A shared machine stands still for milliseconds now and then, which
only ever adds: we compare the lower quartile of the windows' p99, for which hostile clients,
who are there in every window, get no discount. Writes PRESSURE.md. With one thread, a single held crew
thread would end all responses.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import clients
import processes
from hostile_kinds import KINDS
from serving import SOAK, ServerFailed, Serving, serving

PAGE = SOAK / "PRESSURE.md"
BAR = 2.0
PROBE_BAR_MS = 1000
CONNECTIONS = 8
"""Of the honest client: few, so that its p99 is not its own queue."""
WARM_UP_S = 1
WINDOW_S = 1
"""The shortest that wrk can."""
READY_S = 10
QUIET_S = 3.0
RETURN_S = 5.0
QUIET_LOAD = 0.5
SPARE_DESCRIPTORS = 2
"""A connection of the probe may be open when they are counted."""
WITHOUT, HARMLESS, WITH = "without", "harmless", "with"


@dataclass(slots=True)
class Phase:
    """The windows of one of the three."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    requests_per_s: list[float] = field(default_factory=list)
    client_cpu: list[float] = field(default_factory=list)
    """Share of a CPU that the hostile clients took."""
    errors: int = 0


@dataclass(slots=True)
class KindOutcome:
    """One kind."""

    load: str
    phases: dict[str, Phase] = field(
        default_factory=lambda: {name: Phase() for name in (WITHOUT, HARMLESS, WITH)}
    )
    pss_mb: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Before, the most during, after."""
    tcp_mb: float = 0.0
    worst_probe_ms: float = 0.0
    failed_probes: int = 0
    remarks: set[str] = field(default_factory=set)

    def p99_ms(self, phase: str) -> float:
        """The lower quartile of the windows' p99."""
        windows = sorted(self.phases[phase].p99_ms)
        return windows[(len(windows) - 1) // 4] if windows else 0.0

    def ratio(self, to: str) -> float:
        """p99 under the load against p99 in another phase."""
        # A p99 of 0: nobody got a response.
        both = self.p99_ms(WITH) and self.p99_ms(to)
        return self.p99_ms(WITH) / self.p99_ms(to) if both else float("inf")

    def keeps_crew_free(self) -> bool:
        """Whether every new connection was answered within a second."""
        return not self.failed_probes and self.worst_probe_ms <= PROBE_BAR_MS

    def held(self) -> bool:
        """Whether the bar was held, with no error and no request left waiting."""
        return bool(self.ratio(WITHOUT) <= BAR and self.phases[WITH].errors == 0 and self.keeps_crew_free())


def main() -> None:
    """Parse, measure, print, write."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        clients.check_wrk()
    except clients.ClientFailed as failure:
        raise SystemExit(f"pressure.py: {failure}") from None
    load_before = os.getloadavg()[0]
    if load_before > QUIET_LOAD:
        print(
            f"!!! the machine is busy (load {load_before:.1f}): its noise is in all figures", file=sys.stderr
        )
    server_cpu, client_cpu = _cpus()
    os.sched_setaffinity(0, {client_cpu})
    end_s = time.monotonic() + options.minutes * 60
    outcomes = []
    for name in options.kind or list(KINDS):
        if time.monotonic() > end_s:
            print(f"left out for want of time: {name}", file=sys.stderr)
            continue
        number = _number(name, options.connections)
        outcome = KindOutcome(f"{name}={number}")
        outcomes.append(outcome)
        try:
            _measure(outcome, options, server_cpu, client_cpu, end_s)
        except (ServerFailed, clients.ClientFailed) as failure:
            outcome.remarks.add(str(failure))
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        print(_progress(outcome), file=sys.stderr, flush=True)
    page = _page(outcomes, options, load_before)
    print(page)
    if not options.no_write:
        PAGE.write_text(page)
    sys.exit(0 if all(outcome.held() for outcome in outcomes) else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", choices=list(KINDS), metavar="NAME", help="only this kind")
    parser.add_argument("--connections", type=int, help="instead of each kind's own number")
    parser.add_argument("--rounds", type=int, default=4, help="per kind (default 4)")
    parser.add_argument(
        "--windows", type=int, default=3, help="of 1 s in each of a round's parts (default 3)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the server (default 1)")
    parser.add_argument("--minutes", type=float, default=12, help="no new round after this (default 12)")
    parser.add_argument("--server", default="", metavar="OPTIONS", help="more options of `portico run`")
    parser.add_argument("--no-write", action="store_true", help="leave PRESSURE.md as it is")
    options = parser.parse_args()
    if options.rounds < 1 or options.windows < 1 or (options.connections or 1) < 1:
        parser.error("--rounds, --windows and --connections are at least 1")
    return options


def _cpus() -> tuple[int, int]:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("!!! only one CPU: server and clients share it, the ratios say little", file=sys.stderr)
    return cpus[0], cpus[-1]


def _number(name: str, connections: int | None) -> int:
    kind = KINDS[name]
    # A kind with few by its nature (each of them is thousands of requests) stays with them.
    is_usual = not kind.passing and kind.default == KINDS["silent"].default
    return connections if connections and is_usual else kind.default


def _measure(
    outcome: KindOutcome, options: argparse.Namespace, server_cpu: int, client_cpu: int, end_s: float
) -> None:
    extra = ["--log-level", "critical", *shlex.split(options.server)]
    with serving(workers=1, threads=options.threads, options=extra, cpu=server_cpu) as server:
        clients.drive_wrk(server.port, WARM_UP_S, CONNECTIONS)
        before = processes.weigh_all([server.pid, *server.workers()])
        outcome.pss_mb[0] = before.pss_bytes / 1e6
        for _ in range(options.rounds):
            if time.monotonic() > end_s:
                outcome.remarks.add("fewer rounds for want of time")
                break
            _load(outcome.phases[WITHOUT], server, options.windows)
            for phase in (HARMLESS, WITH):
                seconds = READY_S + QUIET_S + 2 * options.windows * WINDOW_S + 30
                with clients.hostile(
                    server.port, [outcome.load], seconds=seconds, cpu=client_cpu, harmless=phase == HARMLESS
                ) as load:
                    _under(outcome, phase, load, server, options.windows)
            _wait_returned(outcome, server, before.descriptors)
        outcome.pss_mb[2] = processes.weigh_all([server.pid, *server.workers()]).pss_bytes / 1e6
        if server.count_panics():
            outcome.remarks.add("the engine panicked")


def _under(outcome: KindOutcome, phase: str, load: clients.Hostile, server: Serving, windows: int) -> None:
    load.wait_ready(READY_S)
    if not load.was_ready:
        outcome.remarks.add("not all hostile connections were opened")
    _wait_quiet(server)
    began_s, spent_s = time.monotonic(), load.cpu_s()
    probe = _load(outcome.phases[phase], server, windows)
    took_s = time.monotonic() - began_s
    outcome.phases[phase].client_cpu.append((load.cpu_s() - spent_s) / took_s)
    if phase == WITH:
        outcome.worst_probe_ms = max([outcome.worst_probe_ms, *probe.waits_ms])
        outcome.failed_probes += probe.failures
        outcome.tcp_mb = max(outcome.tcp_mb, processes.tcp_memory_bytes() / 1e6)
        during = processes.weigh_all([server.pid, *server.workers()]).pss_bytes / 1e6
        outcome.pss_mb[1] = max(outcome.pss_mb[1], during)


def _load(phase: Phase, server: Serving, windows: int) -> clients.Probe:
    # The probe asks in each phase, for it takes from wrk's CPU as well.
    with clients.Probe(server.port) as probe:
        for _ in range(windows):
            latencies = clients.drive_wrk(server.port, WINDOW_S, CONNECTIONS)
            phase.p50_ms.append(latencies.p50_ms)
            phase.p99_ms.append(latencies.p99_ms)
            phase.requests_per_s.append(latencies.requests_per_s)
            phase.errors += latencies.errors
    return probe


def _wait_quiet(server: Serving) -> None:
    """Let the server finish what it does for connections that have just come."""
    end_s = time.monotonic() + QUIET_S
    while time.monotonic() < end_s:
        spent_s = sum(map(processes.cpu_s, server.workers()))
        time.sleep(0.1)
        if sum(map(processes.cpu_s, server.workers())) - spent_s < 0.02:
            return


def _wait_returned(outcome: KindOutcome, server: Serving, descriptors: int) -> None:
    """Wait until the server has let go of the hostile connections."""
    end_s = time.monotonic() + RETURN_S
    left = 0
    while time.monotonic() < end_s:
        now = processes.weigh_all([server.pid, *server.workers()]).descriptors
        left = now - descriptors
        if left <= SPARE_DESCRIPTORS:
            return
        time.sleep(0.05)
    outcome.remarks.add(f"{left} descriptors still open {RETURN_S:g} s after the clients left")


def _progress(outcome: KindOutcome) -> str:
    verdict = "held" if outcome.held() else "MISSED"
    return (
        f"{outcome.load}: p99 x {outcome.ratio(WITHOUT):.2f}, {verdict} {'; '.join(sorted(outcome.remarks))}"
    )


# -- the page

HEADINGS = (
    "load",
    "p50 ms without / harmless / with",
    "p99 ms without / harmless / with",
    "median of all windows",
    "with : without",
    "with : harmless",
    "requests/s without / with",
    "clients' CPU harmless / with",
    "worst new connection ms",
    "PSS MB before / during / after",
    "TCP MB",
    "",
    "remarks",
)


def _page(outcomes: Sequence[KindOutcome], options: argparse.Namespace, load_before: float) -> str:
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    rows = [HEADINGS, tuple("---" for _ in HEADINGS), *(_row(outcome) for outcome in outcomes)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    kinds = "\n".join(
        f"* `{name}`: {kind.says} ({kind.default}{' per second' if kind.passing else ' connections'})"
        for name, kind in KINDS.items()
    )
    extra = f", server options `{options.server}`" if options.server else ""
    missed = [outcome.load for outcome in outcomes if not outcome.held()]
    verdict = "**Held for every kind.**" if not missed else f"**Missed for: {', '.join(missed)}.**"
    return f"""# The honest client under pressure

Written by `soak/pressure.py` ({date}, {options.rounds} rounds of {options.windows} windows
of {WINDOW_S} s, one worker with {options.threads} thread(s) on one CPU; wrk with {CONNECTIONS} connections
and the hostile clients on another;
{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}{extra};
the machine's load before it began was {load_before:.1f}).

The bar: p99 with the load at most {BAR} times the p99 without it, no error, and every new connection
answered within {PROBE_BAR_MS} ms (asked ten times a second, besides wrk; where the server has one thread, a
held thread would leave it without a response).
{verdict}

{table}

Medians over the windows; *p99* is the lower quartile of the windows' p99. A shared machine stands still for
milliseconds now and then, with hostile clients or without, and spoils the p99 of such a window. *harmless*:
the same hostile process with the same work, connected to itself, so that what it takes from wrk's CPU is not
taken for the server's. *TCP MB*: what all TCP sockets of the machine held in the kernel, both ends. *PSS*:
supervisor and worker.

{kinds}
"""


def _row(outcome: KindOutcome) -> tuple[str, ...]:
    phases = outcome.phases
    errors = phases[WITH].errors + phases[WITHOUT].errors
    remarks = sorted(outcome.remarks) + ([f"{errors} errors of wrk"] if errors else [])
    if outcome.failed_probes:
        remarks.append(f"{outcome.failed_probes} new connections without a response")
    return (
        f"`{outcome.load}`",
        " / ".join(f"{median(phase.p50_ms or [0]):.2f}" for phase in phases.values()),
        " / ".join(f"{outcome.p99_ms(name):.2f}" for name in phases),
        " / ".join(f"{median(phase.p99_ms or [0]):.2f}" for phase in phases.values()),
        f"{outcome.ratio(WITHOUT):.2f}",
        f"{outcome.ratio(HARMLESS):.2f}",
        " / ".join(f"{median(phases[name].requests_per_s or [0]):.0f}" for name in (WITHOUT, WITH)),
        " / ".join(f"{median(phases[name].client_cpu or [0]):.0%}" for name in (HARMLESS, WITH)),
        f"{outcome.worst_probe_ms:.0f}",
        " / ".join(f"{value:.0f}" for value in outcome.pss_mb),
        f"{outcome.tcp_mb:.0f}",
        "held" if outcome.held() else "**missed**",
        "; ".join(remarks),
    )


if __name__ == "__main__":
    main()
