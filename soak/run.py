"""The soak: `make soak`, or `python soak/run.py --minutes 2`.

A portico with two workers, honest clients that check every byte, hostile clients of every kind, `kill -9`
of workers and reloads, for half an hour. Writes RESULTS.md and docs/soak.svg; ends with code 1 if a response
was lost or wrong, or if memory or descriptors leak. Everything it starts ends with it, also at Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import clients
import processes
import results_page
from faults import Fault, Moment, timetable
from judgement import Kill
from record import SoakRecord
from serving import READY, SOAK, ServerFailed, Serving, serving

WORKERS, THREADS = 2, 4
HOSTILE = {
    "silent": 150,
    "slow-head": 100,
    "slow-body": 100,
    "slow-upload": 20,
    "slow-chunks": 50,
    "slow-read": 100,
    "slow-read-stream": 50,
    "zero-window": 50,
    "half-closed": 50,
    "resets": 30,
    "garbage": 30,
    "pipeliner": 5,
    "connect-flood": 50,
}
"""Connections of each kind (per second, of the passing ones): all at the same time, beside honest clients
that share the machine."""
SAMPLE_EVERY_S = 1.0
RESPAWN_S = 10.0
LEAVE_S = 15.0
AFTERWARDS_S = 5.0
"""The server alone, for the end of the curves."""


def main() -> None:
    """Parse, soak, judge, write."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    seconds = options.minutes * 60
    record = SoakRecord(seconds, options.server)
    try:
        _soak(record, options, timetable(seconds, options.kill_every or min(30.0, seconds / 6)))
    except (ServerFailed, clients.ClientFailed) as failure:
        record.problems.append(str(failure))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    page, picture, is_fine = results_page.written(record)
    print(page)
    if not options.no_write:
        results_page.PAGE.write_text(page)
        results_page.PICTURE.write_text(picture)
    sys.exit(0 if is_fine else 1)


def _options() -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    parser.add_argument("--minutes", type=float, default=30, help="of load (default 30)")
    parser.add_argument(
        "--kill-every", type=float, metavar="S", help="seconds between kills (default 30, less in short runs)"
    )
    parser.add_argument("--visitors", type=int, default=24, help="honest clients (default 24)")
    parser.add_argument(
        "--without", action="append", default=[], choices=list(HOSTILE), metavar="KIND", help="leave it out"
    )
    parser.add_argument("--server", default="", metavar="OPTIONS", help="more options of `portico run`")
    parser.add_argument(
        "--no-write", action="store_true", help="leave RESULTS.md and the picture as they are"
    )
    options = parser.parse_args()
    if not 0.2 <= options.minutes <= 24 * 60:
        parser.error("--minutes is between 0.2 and 1440")
    return options


def _soak(record: SoakRecord, options: argparse.Namespace, moments: list[Moment]) -> None:
    hostile = [f"{kind}={number}" for kind, number in HOSTILE.items() if kind not in options.without]
    load_cpu = max(os.sched_getaffinity(0))
    with serving(workers=WORKERS, threads=THREADS, options=shlex.split(options.server)) as server:
        os.sched_setaffinity(0, {load_cpu})
        record.supervisor = server.pid
        _warm_up(server.port)
        record.descriptors_before = _descriptors(server)
        record.began_s = time.monotonic()
        limit_s = record.seconds + 60
        with _honest(record, server.port, options.visitors, limit_s):
            with clients.hostile(server.port, hostile, seconds=limit_s, cpu=load_cpu) as load:
                _go_on(record, server, load, moments)
            record.hostile = load.tallies
        record.ended_s = time.monotonic()
        _see_clients_off(record, server)
        record.panics = server.count_panics()
        record.stopped_in_s = server.stop()


def _warm_up(port: int) -> None:
    """Let what is opened at first use be open before descriptors are counted."""
    for _ in range(3):
        clients.drive_few(port, 40)


def _go_on(record: SoakRecord, server: Serving, load: clients.Hostile, moments: list[Moment]) -> None:
    """Sample every second, do the faults when they are due, until the time is over."""
    chance = random.Random(1)
    due = list(moments)
    log = _Log(server)
    next_s = record.began_s
    while (now_s := time.monotonic()) < record.began_s + record.seconds:
        if load.process.poll() is not None:
            raise clients.ClientFailed("the hostile clients ended early")
        if due and now_s >= record.began_s + due[0].at_s:
            moment = due.pop(0)
            if moment.fault is Fault.RELOAD:
                record.reloads_s.append(now_s)
                # Those of before may go on for a while, with clients that do not read.
                log.current.clear()
                os.kill(server.pid, signal.SIGHUP)
            else:
                is_last_generation = not any(one.fault is Fault.RELOAD for one in due)
                _kill(record, log, chance, spare=is_last_generation)
        if now_s >= next_s:
            next_s += SAMPLE_EVERY_S
            record.sample([server.pid, *server.workers()])
            log.read()
            server.trim_logs()
        time.sleep(min(0.1, max(0.0, next_s - time.monotonic())))


def _kill(record: SoakRecord, log: _Log, chance: random.Random, *, spare: bool) -> None:
    log.read()
    workers = list(log.current)
    if spare and workers and record.spared not in workers:
        if record.spared is not None:
            record.problems.append(f"the spared worker {record.spared} has ended")
        record.spared = workers[0]
    victims = [pid for pid in workers if pid != record.spared]
    if not victims:
        record.problems.append("there was no worker to kill")
        return
    victim = chance.choice(victims)
    sent_s = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    gone_s = ready_s = None
    while time.monotonic() < sent_s + RESPAWN_S and (gone_s is None or ready_s is None):
        if gone_s is None and not processes.is_alive(victim):
            gone_s = time.monotonic()
        if ready_s is None and log.read():
            ready_s = time.monotonic()
        time.sleep(0.002)
    record.kills.append(Kill(victim, sent_s, gone_s or time.monotonic(), ready_s))


class _Log:
    """The error log as it grows, and the workers of the present generation as it tells of them."""

    def __init__(self, server: Serving) -> None:
        self._path = server.error_log
        self._position = self._path.stat().st_size
        self.current = server.workers()

    def read(self) -> int:
        """Take in what is new; return how many workers have become ready."""
        if self._path.stat().st_size < self._position:
            self._position = 0  # it was trimmed
        with self._path.open("rb") as file:
            file.seek(self._position)
            new = file.read()
        # The last line may not be complete yet.
        new = new[: new.rfind(b"\n") + 1]
        self._position += len(new)
        ready = [int(pid) for pid in READY.findall(new)]
        self.current = [pid for pid in self.current + ready if processes.is_alive(pid)]
        return len(ready)


@contextmanager
def _honest(record: SoakRecord, port: int, visitors: int, limit_s: float) -> Iterator[None]:
    argv = [sys.executable, str(SOAK / "honest.py"), "--port", str(port)]
    argv += ["--seconds", str(limit_s), "--visitors", str(visitors)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield
        process.terminate()
        text, _ = process.communicate(timeout=40)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0 or not text.strip():
        raise clients.ClientFailed(f"the honest clients ended with code {process.returncode}")
    record.honest = json.loads(text)


def _descriptors(server: Serving) -> dict[str, int]:
    counts = [weight.descriptors for weight in map(processes.weigh, server.workers()) if weight is not None]
    supervisor = processes.weigh(server.pid)
    return {
        "supervisor": supervisor.descriptors if supervisor is not None else 0,
        "worker": max(counts, default=0),
    }


def _see_clients_off(record: SoakRecord, server: Serving) -> None:
    """Wait until no descriptor is left of them, and sample a little longer."""
    end_s = time.monotonic() + LEAVE_S
    while time.monotonic() < end_s:
        record.descriptors_after = _descriptors(server)
        if all(record.descriptors_after[who] <= before for who, before in record.descriptors_before.items()):
            break
        time.sleep(0.1)
    end_s = time.monotonic() + AFTERWARDS_S
    while time.monotonic() < end_s:
        record.sample([server.pid, *server.workers()])
        time.sleep(SAMPLE_EVERY_S)


if __name__ == "__main__":
    main()
