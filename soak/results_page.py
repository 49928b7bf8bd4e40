"""Writes what `run.py` has recorded and `verdicts.py` says of it: RESULTS.md and the picture."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Sequence
from statistics import median

from curves import Curve, Mark, Panel, drawing
from judgement import BY_MOMENT, BY_WORKER, LOST, Verdict, blame
from record import SoakRecord
from serving import SOAK
from verdicts import blames, verdicts

PAGE = SOAK / "RESULTS.md"
PICTURE = SOAK.parent / "docs" / "soak.svg"
SUPERVISOR, SPARED, WORKER, KILLED, RELOADED = "#c0392b", "#1f5fa8", "#7fb2e5", "#e67e22", "#27ae60"


def written(record: SoakRecord) -> tuple[str, str, bool]:
    """The page, the picture, and whether everything held."""
    judged = verdicts(record)
    is_fine = all(verdict.held is not False for verdict in judged) and not record.problems
    return _page(record, judged, is_fine), _picture(record), is_fine


# -- the page


def _page(record: SoakRecord, judged: Sequence[Verdict], is_fine: bool) -> str:
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    words = {True: "held", False: "**missed**", None: "too short to say"}
    honest = record.honest
    requests = honest.get("requests", 0)
    options = f", server options `{record.options}`" if record.options else ""
    table = _table(
        ("what", "bar", "measured", ""),
        [(one.what, one.bar, one.measured, words[one.held]) for one in judged],
    )
    problems = "".join(f"* **problem: {problem}**\n" for problem in record.problems)
    seconds = max(1.0, record.ended_s - record.began_s)
    return f"""# The soak

Written by `soak/run.py` ({date}, {seconds / 60:.1f} minutes, two workers with four threads each{options};
{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}).
**{"Everything held." if is_fine else "Not everything held."}**

{problems}{table}

## Honest clients

{requests} requests ({requests / seconds:.0f} per second) on {honest.get("connections", 0)} connections,
{honest.get("body_bytes", 0) / 1e6:.0f} MB of responses, every byte compared.
{honest.get("closed_while_idle", 0)} connections were closed by the server between two requests.

{_statuses(record)}

{_latencies(record)}

## Responses that did not come

{_missing(record)}

## Faults

{len(record.kills)} workers killed with `kill -9`, {len(record.reloads_s)} reloads (`HUP`).

{_respawns(record)}

## Memory and descriptors

![RSS and descriptors over time](../docs/soak.svg)

{_weights(record)}

## Hostile clients

{_hostile(record)}
"""


def _table(heading: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _statuses(record: SoakRecord) -> str:
    return _table(("status", "responses"), list(record.honest.get("statuses", {}).items()))


def _latencies(record: SoakRecord) -> str:
    latencies = record.honest.get("latency_ms", {})
    routes = record.honest.get("routes", {})
    rows = [
        (route, count, *(f"{latencies[route][name]:.1f}" for name in ("p50", "p99", "max")))
        for route, count in routes.items()
    ]
    note = "With the client's own waiting: all clients share one CPU, and the workers use it too."
    return _table(("route", "responses", "p50 ms", "p99 ms", "most ms"), rows) + f"\n\n{note}"


def _missing(record: SoakRecord) -> str:
    found = blames(record)
    total = record.honest.get("missing_count", 0)
    rows: list[tuple[object, ...]] = [
        ("in flight in a worker that was killed (told by `X-Worker`)", found[BY_WORKER]),
        ("on a new connection, under way at the moment of a kill", found[BY_MOMENT]),
        ("**lost**: anything else", found[LOST]),
    ]
    if total != sum(found.values()):
        rows.append(("not recorded one by one, counted as lost", total - sum(found.values())))
    parts = [_table(("where", "responses"), rows)]
    errors = Counter(
        f"{one['error'].partition(';')[0]} ({one['route']}"
        + (", its head had come" if one["response_begun"] else "")
        + (", first on its connection)" if one["first_on_connection"] else ")")
        for one in record.honest.get("missing", [])
        if blame(began_s=one["began_s"], ended_s=one["ended_s"], worker=one["worker"], kills=record.kills)
        == LOST
    )
    parts += [f"* lost: {error}: {count}" for error, count in errors.most_common(20)]
    parts += [f"* wrong: {wrong}" for wrong in record.honest.get("wrong", [])[:20]]
    return "\n\n".join(parts)


def _respawns(record: SoakRecord) -> str:
    times = sorted(kill.respawn_s for kill in record.kills if kill.respawn_s is not None)
    if not times:
        return "No worker was replaced."
    words = f"median {median(times):.2f} s, slowest {times[-1]:.2f} s"
    return f"From the kill to the readiness of the next worker: {words}."


def _weights(record: SoakRecord) -> str:
    rows = []
    for pid, name in ((record.supervisor, "supervisor"), (record.spared, "worker that was spared")):
        samples = record.samples.get(pid or 0, [])
        if samples:
            rss = [sample.rss_bytes / 1e6 for sample in samples]
            descriptors = [sample.descriptors for sample in samples]
            rows.append(
                (
                    name,
                    f"{(samples[-1].at_s - samples[0].at_s) / 60:.1f}",
                    f"{rss[0]:.1f} / {max(rss):.1f} / {rss[-1]:.1f}",
                    f"{descriptors[0]} / {max(descriptors)} / {descriptors[-1]}",
                )
            )
    others = [
        samples for pid, samples in record.samples.items() if pid not in (record.supervisor, record.spared)
    ]
    if others:
        most = max(sample.rss_bytes for samples in others for sample in samples) / 1e6
        rows.append(
            (
                f"{len(others)} other workers",
                "",
                f"- / {most:.1f} / -",
                f"- / {max(sample.descriptors for samples in others for sample in samples)} / -",
            )
        )
    return _table(
        ("process", "minutes", "RSS MB first / most / last", "descriptors first / most / last"), rows
    )


def _hostile(record: SoakRecord) -> str:
    rows = []
    for kind, tally in record.hostile.items():
        others = ", ".join(f"{name} {count}" for name, count in tally.items() if name != "opened")
        rows.append((f"`{kind}`", tally.get("opened", 0), others))
    return _table(("kind", "connections", "what became of them"), rows)


# -- the picture


def _picture(record: SoakRecord) -> str:
    def colour(pid: int) -> str:
        return {record.supervisor: SUPERVISOR, record.spared or 0: SPARED}.get(pid, WORKER)

    # The worker that was spared is drawn last, above the others.
    processes = sorted(record.samples.items(), key=lambda item: (item[0] == record.spared, item[0]))
    rss = [
        Curve([(s.at_s / 60, s.rss_bytes / 1e6) for s in samples], colour(pid)) for pid, samples in processes
    ]
    descriptors = [
        Curve([(s.at_s / 60, float(s.descriptors)) for s in samples], colour(pid))
        for pid, samples in processes
    ]
    marks = [Mark((kill.sent_s - record.began_s) / 60, KILLED) for kill in record.kills]
    marks += [Mark((at_s - record.began_s) / 60, RELOADED) for at_s in record.reloads_s]
    legend = (
        ("supervisor", SUPERVISOR),
        ("worker that was spared", SPARED),
        ("other workers", WORKER),
        ("kill -9", KILLED),
        ("reload", RELOADED),
    )
    return drawing([Panel("RSS in MB", rss), Panel("file descriptors", descriptors)], marks, legend)
