"""`make compare-lifecycle`: every event on every server, under a load that counts each request, as a table.

    python -m lifecycle.compare [--server NAME]... [--event WORDS]... [--no-write]

Writes between the markers of docs/reliability.md. Takes six minutes; the peers are those of the benchmark.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from lifecycle.events import EVENTS, Event
from lifecycle.load import Load, Tally
from lifecycle.running import Running, ServerFailed, running
from lifecycle.servers import BY_NAME, ROOT, SERVERS, Server

sys.path.append(str(ROOT / "bench"))

import machine
import peers

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- what `make compare-lifecycle` has measured -->\n"
END = "<!-- the end of it -->\n"
STARTS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """What an event has cost the clients of a server."""

    tally: Tally
    ends: bool
    is_gone: bool
    """The server serves nobody any more, though nobody has told it to stop."""

    def __str__(self) -> str:
        tally = self.tally
        words = [f"{tally.lost} / {tally.stall_s:.2f}"]
        if tally.stale:
            words.append(f"{tally.stale} stale")
        if tally.never_accepted and not self.ends:
            words.append(f"{tally.never_accepted} refused")
        if self.is_gone:
            words.append("**gone**")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Weight:
    """Seconds from the command to the first response, and memory before and after reloads."""

    ready_s: float
    before_bytes: int
    after_bytes: int


def say(line: str) -> None:
    """A line about the progress."""
    print(line, file=sys.stderr, flush=True)


def measured(server: Server, event: Event) -> Cell | str:
    """Let `event` happen to a new server under load; a word where it cannot."""
    if not event.is_for(server):
        return "-"
    try:
        with running(server, event.limit) as run:
            run.workers()
            with Load(run.port, new_per_s=event.new_per_s, kept=16, kept_per_s=100, patience_s=5) as load:
                event.happen(run)
            is_gone = not event.ends and run.ask() is None and run.ask() is None
    except ServerFailed as failure:
        say(str(failure))
        return "did not start"
    cell = Cell(load.tally, event.ends, is_gone)
    say(f"{server.name:10} {event.name:60} {cell}   ({load.tally.summary()})")
    return cell


def weighed(server: Server) -> Weight | None:
    """Start the server some times, and weigh the last before and after a reload."""
    ready_s = []
    try:
        for _ in range(STARTS):
            with running(server) as run:
                ready_s.append(run.ready_s)
        with running(server) as run:
            return _weighed_here(run, statistics.median(ready_s))
    except ServerFailed as failure:
        say(str(failure))
        return None


def _weighed_here(run: Running, ready_s: float) -> Weight:
    reload = EVENTS[0].happen
    run.workers()
    before = run.pss_bytes()
    reload(run)
    weight = Weight(ready_s, before, run.pss_bytes())
    mb = [round(size / 1e6, 1) for size in (before, weight.after_bytes)]
    say(f"{run.server.name:10} {ready_s * 1e3:.0f} ms to the first response, {mb[0]} MB, then {mb[1]} MB")
    return weight


def table(servers: Sequence[Server], events: Sequence[Event]) -> str:
    """Measure everything, and return it as Markdown."""
    versions = peers.versions()
    names = [f"{server.name} {versions.get(server.package, '')}".strip() for server in servers]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(servers)}"]
    for event in events:
        cells = [str(measured(server, event)) for server in servers]
        lines.append(f"| {event.name} | {' | '.join(cells)} |")
    weights = [weighed(server) for server in servers]
    for what, values in (
        ("first response after the command, ms", [w and f"{w.ready_s * 1e3:.0f}" for w in weights]),
        ("PSS when ready, MB", [w and f"{w.before_bytes / 1e6:.1f}" for w in weights]),
        ("PSS after three reloads, MB", [w and f"{w.after_bytes / 1e6:.1f}" for w in weights]),
    ):
        lines.append(f"| {what} | {' | '.join(value or '-' for value in values)} |")
    where = machine.description()
    lines += ["", f"Python {where['python']}, {where['machine']}, commit {machine.commit()}.", ""]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put `text` between the markers of the page."""
    page = PAGE.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has lost its markers")
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--server", action="append", choices=list(BY_NAME), help="only these")
    parser.add_argument("--event", action="append", help="only those whose names contain these words")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    servers = [server for server in SERVERS if not options.server or server.name in options.server]
    events = [e for e in EVENTS if not options.event or any(words in e.name for words in options.event)]
    peers.install([server.package for server in servers if server.package in peers.PACKAGES])
    text = table(servers, events)
    print(text)
    if not options.no_write and not options.server and not options.event:
        write(text)


if __name__ == "__main__":
    main()
