"""This host in a file of endpoints that an Envoy watches (EDS by file system): healthy, draining, and gone.

The file is a DiscoveryResponse with a ClusterLoadAssignment, as JSON (Envoy's "xDS configuration API
overview"). Several hosts may have the same file: each changes what is its own, under a lock, and puts a
whole file in the place of the one before, since Envoy looks when one is moved there. What else stands in it
is left.

    wanted READY             HEALTHY
    wanted DRAINING          DRAINING
    wanted IN_MAINTENANCE    UNHEALTHY
    wanted GONE              no such endpoint
"""

from __future__ import annotations

import fcntl
import json
import os

from portico import log
from portico.errors import quoted
from portico.process.cluster.places import ALL_ADDRESSES, read_place, served_place
from portico.process.cluster.servers import IN_MAINTENANCE, READY
from portico.process.cluster.standing import DRAINING, GONE
from portico.process.loop import NEVER_S, Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.cluster.places import Place
    from portico.process.plan import Plan

_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
_STATUSES = {READY: "HEALTHY", DRAINING: "DRAINING", IN_MAINTENANCE: "UNHEALTHY"}
_UNKNOWN = "unknown"
# Between two looks at whether it is still there.
_LOOK_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 15.0
# While another host has the lock.
_LOCKED_S = 0.02
_MOST_BYTES = 16 << 20


class Endpoint:
    """This host, at `place`, in the file at `path` and its cluster `cluster`; `name` is where in words."""

    __slots__ = ("cluster", "path", "place")

    def __init__(self, path: str, cluster: str, place: Place) -> None:
        self.path = path
        self.cluster = cluster
        self.place = place

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Endpoint) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def name(self) -> str:
        host, port = self.place
        return f"{host}:{port}" if port else host

    @property
    def identity(self) -> tuple[str, str]:
        """What stays the same while this is the same endpoint."""
        return self.path, f"{self.cluster}/{self.name}"

    @property
    def address(self) -> dict[str, Any]:
        """Envoy's Address."""
        host, port = self.place
        return {"socket_address": {"address": host, "port_value": port}} if port else {"pipe": {"path": host}}


def endpoint_of(plan: Plan) -> Endpoint | None:
    """Return what this host is in the file of `plan`; None if it is nowhere."""
    chosen = plan.settings.cluster_address
    place = served_place(plan.listeners) if chosen == "auto" else read_place(chosen)
    if place is None:
        return None
    path = os.path.join(plan.directory, plan.settings.cluster_eds_file)
    return Endpoint(path, plan.settings.cluster_backend, place)


class EdsFile(Duty):
    """Has the endpoint `entry` in its file as is wanted; used as `Member` is."""

    __slots__ = ("_failure", "_next_s", "_pause_s", "_reached", "_tried", "_wanted", "entry")

    has_added = False

    def __init__(self, entry: Endpoint) -> None:
        self.entry = entry
        self._wanted = self._reached = self._tried = _UNKNOWN
        self._failure = ""
        self._pause_s = _FIRST_PAUSE_S
        self._next_s = NEVER_S

    def want(self, wanted: str, now_s: float) -> None:
        """Have the endpoint as `wanted` from now on."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._reached = self._tried = _UNKNOWN
            self._failure = ""
            self._pause_s = _FIRST_PAUSE_S
            self._next_s = now_s

    @property
    def is_settled(self) -> bool:
        """Whether the file says what is wanted, or could not be written."""
        return self._wanted in (_UNKNOWN, self._reached, self._tried)

    @property
    def has_left(self) -> bool:
        """Whether the endpoint is there no longer, or could not be taken out for long."""
        return self._wanted == GONE and (self._reached == GONE or self._pause_s == _LONGEST_PAUSE_S)

    def look(self, now_s: float) -> None:
        if now_s < self._next_s:
            return
        try:
            self._write()
        except BlockingIOError:
            self._next_s = now_s + _LOCKED_S
        except OSError as error:
            self._fail(str(error.strerror), now_s)
        except ValueError as error:
            self._fail(str(error), now_s)
        else:
            self._succeed(now_s)

    def due_s(self) -> float | None:
        return self._next_s

    def close(self) -> None:
        """In a forked process: nothing is open."""

    def report(self) -> dict[str, str]:
        """Return what `portico ctl status` tells of it."""
        is_done = self._wanted == self._reached
        state = self._reached if is_done else f"not {self._wanted} yet"
        return {
            "is": "Envoy",
            "at": self.entry.path,
            "name": self.entry.name,
            "state": state,
            "why": self._failure,
        }

    def _write(self) -> None:
        """Put the endpoint into the file, or take it out; BlockingIOError while another host does so."""
        path, place = self.entry.path, self.entry.place
        if place[0] in ALL_ADDRESSES and self._wanted != GONE:
            raise ValueError(f"{place[0]}, which is no address for Envoy: address says which")
        lock_fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before = _read(path)
            after = changed(before, self.entry, _STATUSES.get(self._wanted))
            if after != before:
                _replace(path, after)
        finally:
            os.close(lock_fd)

    def _succeed(self, now_s: float) -> None:
        if self._reached != self._wanted:
            self._reached = self._wanted
            log.info(f"cluster: {self.entry.path}: {self.entry.name} is {self._wanted} now")
        self._failure = ""
        self._pause_s = _FIRST_PAUSE_S
        self._next_s = NEVER_S if self._wanted == GONE else now_s + _LOOK_S

    def _fail(self, why: str, now_s: float) -> None:
        if why != self._failure:
            self._failure = why
            expected = f"expected {self.entry.name} to be {self._wanted}"
            log.warning(f"cluster: {self.entry.path}: {expected}, got {why}; trying again")
        self._reached, self._tried = _UNKNOWN, self._wanted
        self._next_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def changed(document: dict[str, Any] | None, entry: Endpoint, status: str | None) -> dict[str, Any]:
    """Return `document`, None for a new one, with `entry` as `status`, or without it. Raises ValueError."""
    after: dict[str, Any] = json.loads(json.dumps(document)) if document else {"version_info": "0"}
    resources = _list(after, "resources")
    assignment = next((each for each in resources if each.get("cluster_name") == entry.cluster), None)
    if assignment is None:
        assignment = {"@type": _TYPE, "cluster_name": entry.cluster, "endpoints": []}
        resources.append(assignment)
    groups = _list(assignment, "endpoints")
    found = [
        (group, each)
        for group in groups
        for each in _list(group, "lb_endpoints")
        if isinstance(each.get("endpoint"), dict) and each["endpoint"].get("address") == entry.address
    ]
    for group, each in found[0 if status is None else 1 :]:
        group["lb_endpoints"].remove(each)
    if status is not None and found:
        found[0][1]["health_status"] = status
    elif status is not None:
        if not groups:
            groups.append({"lb_endpoints": []})
        new = {"endpoint": {"address": entry.address}, "health_status": status}
        groups[0]["lb_endpoints"].append(new)
    if after != document:
        number = str(after.get("version_info", "0"))
        after["version_info"] = str(int(number) + 1) if number.isdecimal() else "1"
    return after


def _list(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = table.setdefault(key, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"a file whose {key} is no list of objects")
    return found


def _read(path: str) -> dict[str, Any] | None:
    """Return what is in the file; None if there is none, or nothing in it. Raises ValueError, OSError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(data) if data.strip() else None
    except ValueError:
        raise ValueError(f"{quoted(data[:40].decode('utf-8', 'replace'))}, which is no JSON") from None
    if document is not None and not isinstance(document, dict):
        raise ValueError("a file that is no JSON object")
    return document


def _replace(path: str, document: dict[str, Any]) -> None:
    """Put `document` in the place of the file at once, with the rights of that."""
    try:
        mode = os.stat(path).st_mode & 0o777
    except OSError:
        mode = 0o644
    new = f"{path}.{os.uname().nodename}.{os.getpid()}"
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(fd, "wb") as file:
            file.write(json.dumps(document, indent=2).encode() + b"\n")
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(new, path)
    except OSError:
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            os.unlink(new)
        except OSError:
            pass  # it was not made
        raise
