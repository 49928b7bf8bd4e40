"""Verbs that tell, and change nothing."""

from __future__ import annotations

import os
import sys

from portico import _core
from portico.process.figures import COUNTERS
from portico.process.resident import rss_bytes
from portico.process.worker_handle import BOOTING, KILLED, LEAVING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.control.json_lines import Scalar
    from portico.process.control.subject import Subject
    from portico.process.worker_handle import WorkerHandle

_COUNTED = ("requests", "errors", "connections", "connections_total", "bytes_sent")


def status(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any]:
    """Return who this server is, and sums over its workers.

    With `durations` also how many requests have taken how long, as `durations.counts_of_requests`, since the
    start; so do `workers`, each of its own. Nothing is counted without an admin address.
    """
    plan = subject.generations.current
    figures = subject.figures().numbers(now_s)
    workers = [_worker(subject, worker, now_s) for worker in subject.worker_set.workers.values()]
    durations = {"durations": subject.figures().request_counts()} if request.get("durations") else {}
    return {
        "pid": os.getpid(),
        "version": _core.__version__,
        "python": sys.version.partition(" ")[0],
        "name": plan.name,
        "app": plan.settings.app,
        "directory": plan.directory,
        "started_in": plan.invocation.directory,
        "uptime_s": round(now_s - subject.started_at_s, 3),
        "stage": subject.life.stage,
        # People count from one.
        "generation": subject.generations.number + 1,
        "reloading": subject.life.readings.done < subject.life.readings.asked,
        "listeners": [listener.display for listener in subject.generations.listeners],
        "workers_wanted": subject.life.wanted,
        "workers": {
            state: len(subject.worker_set.in_state(state)) for state in (BOOTING, READY, LEAVING, KILLED)
        },
        "running": sum(each["running"] for each in workers),
        **{name: sum(each[name] for each in workers) for name in _COUNTED},
        # Of workers that are no more, too, since the start.
        "total": {name: figures[metric][0][1] for name, metric in COUNTERS.items()},
        "threads": _by_label(figures["portico_worker_threads"]),
        "accept_backlog": figures["portico_accept_backlog"][0][1],
        # Of pools each has its own.
        "saturation": round(figures["portico_saturation"][0][1], 4)
        if "portico_saturation" in figures
        else None,
        "restarts": _by_label(figures["portico_worker_restarts_total"]),
        "rss_bytes": rss_bytes(os.getpid()),
        "workers_rss_bytes": sum(each["rss_bytes"] for each in workers),
        "control": plan.control[0].address.path if plan.control else "",
        "pid_file": plan.pid_file,
        "cluster": [] if (cluster := subject.cluster()) is None else cluster.report(),
        "pools": [] if (pools := subject.pools()) is None else pools.report(),
        **durations,
    }


def workers(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any]:
    """Return each worker."""
    handles = sorted(subject.worker_set.workers.values(), key=lambda worker: worker.slot)
    if not request.get("durations"):
        return {"workers": [_worker(subject, worker, now_s) for worker in handles]}
    from portico.process.durations import counts_of_requests

    return {
        "workers": [
            {
                **_worker(subject, worker, now_s),
                "durations": counts_of_requests(subject.scoreboard.durations(worker.slot)),
            }
            for worker in handles
        ]
    }


def requests(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any]:
    """Return what runs in the application now, the longest first."""
    found = []
    for worker in subject.worker_set.workers.values():
        for call in subject.scoreboard.read(worker.slot).calls:
            method, _, path = call.what.partition(" ")
            found.append(
                {
                    "pid": worker.pid,
                    "slot": worker.slot + 1,
                    "method": method,
                    "path": path,
                    "seconds": round(call.elapsed_s, 3),
                    "silent_s": round(call.silent_s, 3),
                    "web_socket": call.is_web_socket,
                }
            )
    return {"requests": sorted(found, key=lambda call: -float(call["seconds"]))}


def slow(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any]:
    """Return the lines that have held most of the time of slow calls, and the latest of those."""
    return subject.totals.slow_lines.report()


def errors(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any]:
    """Return the requests that have failed last, of those that are alike the latest, with their number."""
    return {"errors": subject.totals.recent_errors.report()}


def config(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any]:
    """Return the settings that new workers are made by, with their origins."""
    settings = subject.generations.current.settings
    return {"values": settings.values, "origins": settings.origins}


def _by_label(samples: list[tuple[tuple[str, ...], float]]) -> dict[str, float]:
    return {label: number for (label,), number in samples}


def _worker(subject: Subject, worker: WorkerHandle, now_s: float) -> dict[str, Any]:
    counted = subject.scoreboard.read(worker.slot)
    return {
        "pid": worker.pid,
        "slot": worker.slot + 1,
        "state": worker.state,
        # Of none, if it is to be replaced.
        "generation": worker.generation + 1 if worker.generation >= 0 else None,
        "age_s": round(now_s - worker.forked_at_s, 3),
        "workers_before": subject.totals.workers_before(worker.slot),
        "threads": worker.settings.most_calls,
        "running": len(counted.calls),
        **{name: getattr(counted, name) for name in _COUNTED},
        "rss_bytes": rss_bytes(worker.pid),
    }
