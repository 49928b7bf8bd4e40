"""Drives a running server from the other CPU: verifies its responses, then measures one round."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import idle
import lateness
import measure
import saving
import starting
from cases import Case, Client, DriveKind, Row
from running import Running, ServerFailed
from servers import SPIN, Role

BENCH = Path(__file__).resolve().parent
WARM_UP_S = 0.4
SETTLE_S = 0.05
VERIFY_S = 5
PIPELINE_S = 2
NEARLY_ALL = 0.95
"""Share of the requests: of those that must be in an access log, for example."""


@dataclass(slots=True)
class Round:
    """What one round of one row gave."""

    metrics: dict[str, float] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    """What was counted during the load."""
    problems: list[str] = field(default_factory=list)
    """What else is to be said, in words."""


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What one load generator reported."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]


def measured(case: Case, row: Row, running: Running, seconds: int) -> Round:
    """Verify, warm up, and measure `seconds` of load (or of idleness)."""
    result = Round()
    if case.kind is DriveKind.START:
        result.metrics |= starting.measured(case, running)
        result.metrics["pss_mb"] = measure.pss_bytes(running.pid) / 1e6
        if row.server.role is Role.PORTICO:
            result.metrics["import_ms"] = starting.import_ms()
        return result
    if case.kind is DriveKind.SAVE:
        result.metrics |= saving.measured(running)
        return result
    # The limit sends as many bytes, but not these.
    expected = case.expected if row.server.role is not Role.LIMIT else None
    result.metrics["keeps_alive"] = verify(case, running.port, expected)
    if case.depth > 1:
        verify_pipelining(case, running.port)
    if case.kind is DriveKind.IDLE:
        if not result.metrics["keeps_alive"]:
            raise ServerFailed("closes each connection after its response")
        _load(case, running, [case.path], WARM_UP_S)
        result.metrics |= idle.measured(running)
        result.metrics["pss_mb"] = measure.pss_bytes(running.pid) / 1e6
        return result
    paths = ["/slow", "/"] if case.kind is DriveKind.MIX else [case.path]
    _load(case, running, paths, WARM_UP_S)
    log_start = _lines(running.access_log)
    before = measure.cpu_s(running.pid)
    outcomes = _load(case, running, paths, seconds)
    time.sleep(SETTLE_S)
    spent_s = measure.cpu_s(running.pid) - before
    result.metrics["pss_mb"] = measure.pss_bytes(running.pid) / 1e6
    requests = sum(outcome.requests for outcome in outcomes)
    if requests == 0:
        raise ServerFailed("completed no request under load")
    result.metrics["cpu_us"] = spent_s * 1e6 / requests
    prefixes = ["slow_", "fast_"] if case.kind is DriveKind.MIX else [""]
    for prefix, outcome in zip(prefixes, outcomes, strict=True):
        result.metrics[f"{prefix}rps"] = outcome.requests / outcome.seconds
        result.metrics[f"{prefix}p50_ms"] = outcome.p50_ms
        result.metrics[f"{prefix}p99_ms"] = outcome.p99_ms
        errors = {name: count for name, count in outcome.errors.items() if count}
        if not result.metrics["keeps_alive"] and errors.get("read", 0) >= NEARLY_ALL * outcome.requests:
            # wrk counts such an end as a complete response and, as well, as a read error.
            del errors["read"]
            result.problems.append("its bodies end with the connection")
        result.errors |= {f"{prefix}{name} errors": count for name, count in errors.items()}
    if running.access_log is not None:
        logged = _lines(running.access_log) - log_start
        if logged < NEARLY_ALL * requests:
            result.errors["requests missing in the access log"] = requests - logged
    if case.lateness and row.server.role is not Role.LIMIT:
        try:
            result.metrics |= lateness.measured(running.port)
        except ServerFailed as failure:
            result.problems.append(str(failure))
    return result


def verify(case: Case, port: int, expected: bytes | None) -> bool:
    """Ask twice, as the load will; a wrong response ends the row. True: the connection was kept."""
    headers = dict(line.split(": ", 1) for line in case.headers)
    body = b"p" * case.body_bytes if case.body_bytes else None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=VERIFY_S)
    kept = True
    try:
        for _ in range(2):
            connection.request("POST" if body else "GET", case.path, body, headers)
            response = connection.getresponse()
            received = response.read()
            kept = kept and connection.sock is not None
            if response.status != 200:
                raise ServerFailed(f"responded with {response.status} {response.reason}")
            if len(received) != len(case.expected) or expected not in (None, received):
                raise ServerFailed(f"wrong body: {len(received)} bytes {received[:40]!r}")
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"gave no valid response: {error!r}") from error
    finally:
        connection.close()
    return kept


def verify_pipelining(case: Case, port: int) -> None:
    """Ask as often as the load will before reading; fewer responses than that end the row."""
    request = f"GET {case.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PIPELINE_S) as connection:
            connection.sendall(request * case.depth)
            while received.count(case.expected) < case.depth and (block := connection.recv(65536)):
                received += block
    except OSError:
        pass
    if (count := received.count(case.expected)) < case.depth:
        raise ServerFailed(f"sends {count} responses to {case.depth} pipelined requests")


def _load(case: Case, running: Running, paths: Sequence[str], seconds: float) -> list[ClientReport]:
    """One load generator per path, at the same time."""
    start = _spin if case.client is Client.SPIN else _wrk
    clients = [start(case, running.port, path, seconds) for path in paths]
    try:
        # wrk knows whole seconds only, but stops well when interrupted.
        if seconds < 1 and case.client is Client.WRK:
            time.sleep(seconds)
            for client in clients:
                client.send_signal(signal.SIGINT)
        return [_outcome(client, seconds) for client in clients]
    finally:
        for client in clients:
            client.kill()
            client.wait()


def _wrk(case: Case, port: int, path: str, seconds: float) -> subprocess.Popen[str]:
    # Beside a slow one, the fast load generator would use up the CPU they share, and what the slow one
    # then waits for that CPU would be shown as the server's latency: so it goes behind.
    behind = ["nice", "-n", "19"] if case.kind is DriveKind.MIX and path == case.path else []
    argv = [*behind, "wrk", "-t1", f"-c{case.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s"]
    for header in case.headers:
        argv += ["-H", header]
    argv += ["-s", str(BENCH / "wrk.lua"), f"http://127.0.0.1:{port}{path}"]
    argv += ["--", "POST" if case.body_bytes else "GET", str(case.body_bytes)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _spin(case: Case, port: int, path: str, seconds: float) -> subprocess.Popen[str]:
    argv = [str(SPIN), str(port), str(case.connections), str(seconds), path, str(case.depth), *case.headers]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _outcome(client: subprocess.Popen[str], seconds: float) -> ClientReport:
    try:
        text, _ = client.communicate(timeout=seconds + 20)
    except subprocess.TimeoutExpired as error:
        raise ServerFailed("the load generator did not finish") from error
    line = next((line for line in text.splitlines() if line.startswith("OUTCOME ")), None)
    if line is None:
        raise ServerFailed(f"the load generator said: {text.strip()[-200:]}")
    values = json.loads(line.removeprefix("OUTCOME "))
    errors = {name: values[name] for name in ("connect", "read", "write", "status", "timeout")}
    return ClientReport(values["requests"], values["seconds"], values["p50_ms"], values["p99_ms"], errors)


def _lines(log: Path | None) -> int:
    if log is None:
        return 0
    with log.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
