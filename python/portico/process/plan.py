"""What crosses the exec from command line to supervisor: settings, sockets, how many workers and why.

Written by `marshal`, which is built in; `json` would cost the supervised processes 1.2 MB of memory for one
line of text. A reload gets such a plan from a command line of its own (`dry_run.py`).
"""

from __future__ import annotations

import marshal
import os

from portico.config.address import Address
from portico.config.identity import Identity
from portico.config.values import HandedValues
from portico.process.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, cast

    from portico.config.settings import Settings
else:

    def cast(_, value):
        return value


# One that every Python reads: the other side of a dry run may be another.
MARSHAL_FORMAT = 2
ROUTER = "router"
"""What a server is called that has no application, since the rows of its file need none."""


class Listener:
    """A listening socket: its descriptor, the address with all options, and how log lines name it.

    `asked` is the place that was configured, where a free port is 0. `identity` is device and inode of the
    file that was made for it; an inherited socket has none. `is_stored` is whether the service manager keeps
    the socket through a restart.
    """

    __slots__ = ("address", "asked", "display", "fd", "identity", "is_stored")

    def __init__(
        self,
        fd: int,
        address: Address,
        display: str,
        *,
        asked: str = "",
        identity: tuple[int, int] | None = None,
    ) -> None:
        self.fd = fd
        self.address = address
        self.asked = asked or address.place
        self.display = display
        self.identity = identity
        self.is_stored = False

    def leave(self) -> None:
        """Listen here no longer, at the end of this process; a socket that is kept keeps its file."""
        if self.is_stored:
            os.close(self.fd)
        else:
            self.close()

    def close(self) -> None:
        """Stop listening here, and remove the file that was made for it."""
        os.close(self.fd)
        self.remove_file()

    def remove_file(self) -> None:
        """Remove the file that was made for the socket, unless someone has put another in its place."""
        if self.identity is None:
            return
        try:
            found = os.lstat(self.address.path)
            if (found.st_dev, found.st_ino) == self.identity:
                os.unlink(self.address.path)
        except OSError:
            pass  # already gone, or the directory is no longer ours to change


class Plan:
    """All that the supervisor is told.

    `directory` is where the application works, `import_path` is `sys.path` there. `identity` is who workers
    are, if not who the supervisor is; `hooks` are the names of the hooks that there are. `started_at_s` is on
    the monotonic clock, which outlives an exec. `admin` is the socket of the admin address, if there is one,
    and `control` that of `portico ctl`; `pid_file` is the path of the file that has our process id, or empty.
    """

    __slots__ = (
        "admin",
        "control",
        "directory",
        "hooks",
        "identity",
        "import_path",
        "invocation",
        "listeners",
        "pid_file",
        "settings",
        "started_at_s",
        "worker_count",
        "worker_reason",
    )

    def __init__(
        self,
        settings: Settings,
        listeners: list[Listener],
        *,
        directory: str,
        import_path: list[str],
        invocation: Invocation,
        worker_count: int,
        worker_reason: str,
        started_at_s: float,
        identity: Identity | None = None,
        hooks: tuple[str, ...] = (),
        admin: Sequence[Listener] = (),
        control: Sequence[Listener] = (),
        pid_file: str = "",
    ) -> None:
        self.settings = settings
        self.listeners = listeners
        self.directory = directory
        self.identity = identity
        self.hooks = hooks
        self.import_path = import_path
        self.invocation = invocation
        self.worker_count = worker_count
        self.worker_reason = worker_reason
        self.started_at_s = started_at_s
        self.admin = list(admin)
        self.control = list(control)
        self.pid_file = pid_file

    @property
    def name(self) -> str:
        """What stands for the application in the titles of the processes."""
        return self.settings.name or self.settings.app or ROUTER

    @property
    def has_metrics(self) -> bool:
        """Whether somebody may ask what is counted, or is sent it: here, or of a pool by the server."""
        settings = self.settings
        is_sent = settings.statsd != "off" or settings.otlp != "off"
        return bool(self.admin) or is_sent or bool(settings.pool and settings.pool.get("has_metrics"))

    @property
    def sockets(self) -> list[Listener]:
        """All that a reload may change: those of the workers, and that of the admin address."""
        return [*self.listeners, *self.admin]

    @property
    def fewest_workers(self) -> int:
        """How few workers there may be, in the end."""
        fewest = self.settings.workers_min
        return self.worker_count if fewest is None else min(fewest, self.worker_count)

    @property
    def most_workers(self) -> int:
        """How many workers there may be, in the end."""
        return max(self.worker_count, self.settings.workers_max or 0)

    @property
    def is_scaled(self) -> bool:
        """Whether the number of workers changes with the load."""
        return self.fewest_workers < self.most_workers

    @property
    def has_load_balancers(self) -> bool:
        """Whether there is somebody to tell how this host stands among others."""
        settings = self.settings
        words = (settings.cluster_agent, settings.cluster_eds_file)
        return bool(settings.cluster_haproxy) or words != ("off", "off")

    def take_umask(self) -> None:
        """Let new files of this process, and of those it will fork, have the permissions of this plan."""
        umask = self.settings.umask
        os.umask(self.invocation.umask if umask is None else umask)


def dump_plan(plan: Plan) -> bytes:
    """Return `plan` as bytes for `load_plan`."""
    record: dict[str, Any] = {name: getattr(plan, name) for name in Plan.__slots__}
    settings = plan.settings
    record["settings"] = (settings.values, settings.origins, settings.routes, settings.pools, settings.pool)
    record["invocation"] = tuple(getattr(plan.invocation, name) for name in Invocation.__slots__)
    if plan.identity is not None:
        record["identity"] = tuple(getattr(plan.identity, name) for name in Identity.FIELDS)
    record["listeners"] = dump_listeners(plan.listeners)
    record["admin"] = dump_listeners(plan.admin)
    record["control"] = dump_listeners(plan.control)
    return marshal.dumps(record, MARSHAL_FORMAT)


def load_plan(data: bytes) -> Plan:
    """Return the plan that `dump_plan` wrote; for bytes from this very version only."""
    record: dict[str, Any] = marshal.loads(data)
    settings = handed_settings(*record.pop("settings"))
    listeners, admin, control = (
        load_listeners(record.pop(name)) for name in ("listeners", "admin", "control")
    )
    invocation = Invocation(*record.pop("invocation"))
    if record["identity"] is not None:
        record["identity"] = Identity(*record["identity"])
    return Plan(settings, listeners, admin=admin, control=control, invocation=invocation, **record)


def handed_settings(
    values: dict[str, Any],
    origins: dict[str, str],
    routes: Sequence[Any] = (),
    pools: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
) -> Settings:
    """Return settings that were read elsewhere."""
    handed = HandedValues(values, origins, routes)
    handed.pools, handed.pool = pools, pool
    return cast("Settings", handed)


def dump_listeners(listeners: list[Listener]) -> list[Any]:
    """Return `listeners` as plain values for `load_listeners`."""
    return [
        (
            each.fd,
            {name: getattr(each.address, name) for name in Address.__slots__},
            each.display,
            each.asked,
            each.identity,
        )
        for each in listeners
    ]


def load_listeners(record: list[Any]) -> list[Listener]:
    """Return the listeners that `dump_listeners` wrote; another version knows other parts of an address."""
    return [
        Listener(fd, _known_address(parts), display, asked=asked, identity=identity)
        for fd, parts, display, asked, identity in record
    ]


def _known_address(parts: dict[str, Any]) -> Address:
    return Address(**{name: part for name, part in parts.items() if name in Address.__slots__})
