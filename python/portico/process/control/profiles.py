"""The verb `profile`: workers sample what their calls do, and their parts are joined without being read.

Each worker gets an end of a socket with its order, and sends its part through that. The end of file without a
whole part is the end of a worker; the worker sees the end of the supervisor, or of who has asked, in the same
way. Nobody is waited for, and what comes is bounded.
"""

from __future__ import annotations

import os
import time

from portico import _core
from portico.errors import quoted
from portico.process.control.actions import expect_serving, say
from portico.process.control.json_lines import Written, read_line
from portico.process.control.lasting import Lasting
from portico.process.control.verb_error import VerbError
from portico.process.messages import Profile
from portico.process.worker_handle import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.control.json_lines import Scalar
    from portico.process.control.subject import Subject
    from portico.process.worker_handle import WorkerHandle

MOST_SECONDS = 600
MOST_HZ = 1000
# As much as all workers may send together: what a client takes, with room for escapes and the rest.
MOST_BYTES = 8 * 1024 * 1024
# After its time a worker has to put its part into words, perhaps while others compute.
_PATIENCE_S = 15.0
_READ_BYTES = 262144
_MOST_ROUTE_CHARACTERS = 1000
_SUMS = ("ticks", "missed", "idle", "dropped")


class _Part:
    """What comes from one worker."""

    __slots__ = ("data", "fd", "worker")

    def __init__(self, worker: WorkerHandle, fd: int) -> None:
        self.worker = worker
        self.fd = fd
        self.data: list[bytes] = []


class _Running(Lasting):
    """A profile that is made."""

    __slots__ = ("_hz", "_parts", "_route", "_seconds", "_subject")

    def __init__(
        self, subject: Subject, workers: list[WorkerHandle], *, seconds: int, hz: int, route: str
    ) -> None:
        super().__init__(time.monotonic() + seconds + _PATIENCE_S)
        self._subject = subject
        self._seconds, self._hz, self._route = seconds, hz, route
        self._parts: list[_Part] = []
        text = f"{seconds} {hz} {MOST_BYTES // len(workers)} {route}"
        for worker in workers:
            try:
                own, others = _core.socket_pair()
            except OSError as error:
                self.end()
                raise VerbError("failed", f"no socket can be made for {worker}: {error.strerror}") from None
            os.set_blocking(own, False)
            part = _Part(worker, own)
            self._parts.append(part)
            subject.loop.watch(own, lambda now_s, part=part: self._read(part))  # type: ignore[misc]
            worker.tell(Profile, text, [others])
            os.close(others)

    def __call__(self) -> dict[str, Any] | None:
        if any(part.fd >= 0 for part in self._parts) and time.monotonic() < self.until_s:
            return None
        self.end()
        return self._result()

    def end(self) -> None:
        for part in self._parts:
            self._close(part)
        if self._subject.profile is self:
            self._subject.profile = None

    def _read(self, part: _Part) -> None:
        try:
            data = os.read(part.fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and sum(map(len, part.data)) <= 2 * MOST_BYTES:
            part.data.append(data)
        else:
            self._close(part)

    def _close(self, part: _Part) -> None:
        if part.fd >= 0:
            self._subject.loop.forget(part.fd)
            os.close(part.fd)
            part.fd = -1

    def _result(self) -> dict[str, Any]:
        sums = dict.fromkeys(_SUMS, 0)
        routes: list[str] = []
        samples: list[str] = []
        heard: list[int] = []
        partial: list[dict[str, Any]] = []
        tells_lock = True
        for part in self._parts:
            pid = part.worker.pid
            lines = b"".join(part.data).decode("ascii", "replace").split("\n")
            part.data.clear()
            if len(lines) != 4:
                partial.append({"worker": pid, "seconds": 0.0, "why": _why(part.worker)})
                continue
            try:
                head = read_line(lines[0].encode())
                numbers = [int(head[name] or 0) for name in (*_SUMS, "ms")]
            except (KeyError, ValueError):
                # The application is in the same process, and may write anything anywhere.
                partial.append({"worker": pid, "seconds": 0.0, "why": "what it has told is no profile"})
                continue
            *counts, elapsed_ms = numbers
            heard.append(pid)
            for name, count in zip(_SUMS, counts, strict=True):
                sums[name] += count
            tells_lock = tells_lock and bool(head.get("tells_lock"))
            if elapsed_ms < self._seconds * 1000 - 1000 // self._hz - 100:
                seconds = elapsed_ms / 1000
                partial.append({"worker": pid, "seconds": seconds, "why": "it has left before the end"})
            routes += filter(None, lines[1:2])
            samples += filter(None, lines[2:3])
        plan = self._subject.generations.current
        return {
            "name": plan.name,
            "app": plan.settings.app,
            "seconds": self._seconds,
            "hz": self._hz,
            "route": self._route,
            "workers": heard,
            "partial": partial,
            **sums,
            "tells_lock": tells_lock,
            "routes": Written(f"[{', '.join(routes)}]"),
            "samples": Written(f"[{', '.join(samples)}]"),
        }


def profile(subject: Subject, request: dict[str, Scalar], now_s: float) -> Lasting:
    """Sample calls for `seconds`, `hz` times a second: of `worker` (a process id or slot), of `route`."""
    expect_serving(subject)
    seconds = _number(request, "seconds", 10, MOST_SECONDS)
    hz = _number(request, "hz", 100, MOST_HZ)
    route = request.get("route") or ""
    if not isinstance(route, str) or len(route) > _MOST_ROUTE_CHARACTERS:
        raise VerbError("bad-request", f"route: expected a text, got {quoted(str(route))}")
    pools = subject.pools()
    if pools is not None:
        names = ", ".join(str(pool["name"]) for pool in pools.report())
        raise VerbError(
            "rejected", f"the applications run in pools, each by itself: --pool says which ({names})"
        )
    if subject.profile is not None:
        raise VerbError("busy", "another profile is being made, and there is one at a time")
    workers = _workers(subject, request)
    say(f"profile {', '.join(str(worker.pid) for worker in workers)} for {seconds} s at {hz} Hz")
    subject.profile = running = _Running(subject, workers, seconds=seconds, hz=hz, route=route)
    return running


def _workers(subject: Subject, request: dict[str, Scalar]) -> list[WorkerHandle]:
    ready = sorted(subject.worker_set.in_state(READY), key=lambda worker: worker.slot)
    if not ready:
        raise VerbError("rejected", "no worker is ready")
    number = request.get("worker")
    if number is None:
        return ready
    found = [worker for worker in ready if number in (worker.pid, worker.slot + 1)]
    if not found or isinstance(number, bool):
        there = ", ".join(f"{worker.slot + 1} is {worker.pid}" for worker in ready)
        raise VerbError(
            "rejected", f"worker: expected the number or the process id of one ({there}), got {number!r}"
        )
    return found


def _number(request: dict[str, Scalar], name: str, default: int, most: int) -> int:
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise VerbError("bad-request", f"{name}: expected a whole number from 1 to {most}, got {value!r}")
    return value


def _why(worker: WorkerHandle) -> str:
    return "it has ended" if worker.message_fd < 0 else "it has not told anything"
