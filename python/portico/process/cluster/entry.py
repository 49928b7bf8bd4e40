"""What this host is to be in one HAProxy, by the settings and the sockets that there are, and the commands
that make it so (HAProxy's Management Guide, "Unix Socket commands")."""

from __future__ import annotations

import os

from portico.process.cluster.places import reached, read_place, served_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.cluster.places import Place
    from portico.process.cluster.servers import Server
    from portico.process.plan import Plan

_SIGNS = ".:_-"


class Entry:
    """A server of the backend `backend` of the HAProxy at `address`, the text of a setting.

    `place` is where it is, perhaps on all addresses; `options` are the words that it is added with, and
    `agent` where its agent is, if it has one.
    """

    __slots__ = ("address", "agent", "api", "backend", "options", "place", "server")

    def __init__(self, plan: Plan, address: str, place: Place) -> None:
        settings = plan.settings
        self.address = address
        host, port = read_place(address)
        self.api: Place = (host, port) if port else (os.path.join(plan.directory, host), 0)
        self.backend = settings.cluster_backend
        self.place = place
        self.server = _machine_name(place) if settings.cluster_server == "auto" else settings.cluster_server
        self.options = settings.cluster_options
        self.agent = None if settings.cluster_agent == "off" else read_place(settings.cluster_agent)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def name(self) -> str:
        """The server as commands name it."""
        return f"{self.backend}/{self.server}"

    @property
    def identity(self) -> tuple[str, str]:
        """What stays the same while this is the same server, wherever it is."""
        return self.address, self.name

    def is_at(self, server: Server, end: Place) -> bool:
        """Say whether `server` has this host's address; of a Unix socket HAProxy does not tell it.

        `end` is our end of a connection to HAProxy.
        """
        return server.place is None or server.place == reached(self.place, end)

    def joining(self, server: Server | None, end: Place) -> list[str]:
        """Return the commands that make it ready, where HAProxy has `server`, or no such server yet."""
        ready = f"set server {self.name} state ready"
        if server is None:
            return [*self._adding(end), ready]
        host, port = reached(self.place, end)
        return (
            [ready] if self.is_at(server, end) else [f"set server {self.name} addr {host} port {port}", ready]
        )

    def draining(self) -> list[str]:
        """Return the commands that let no new client come."""
        return [f"set server {self.name} state drain"]

    def leaving(self, *, is_deleted: bool) -> list[str]:
        """Return the commands that let nobody come; with `is_deleted`, such a server is there no longer."""
        return [f"set server {self.name} state maint", *([f"del server {self.name}"] if is_deleted else [])]

    def looking(self) -> list[str]:
        """Return the commands whose response servers.py reads."""
        return ["show info", f"show servers state {self.backend}"]

    def _adding(self, end: Place) -> list[str]:
        words = ["add server", self.name, _written(reached(self.place, end)), self.options]
        # Checks are off until they are enabled.
        enabling = [f"enable health {self.name}"]
        if self.agent is not None:
            host, port = reached(self.agent, end)
            words.append(f"agent-check agent-inter 2s agent-addr {host} agent-port {port}")
            enabling.append(f"enable agent {self.name}")
        return [" ".join(words), *enabling]


def entries(plan: Plan) -> list[Entry]:
    """Return what this host is to be in each HAProxy of `plan`."""
    chosen = plan.settings.cluster_address
    place = served_place(plan.listeners) if chosen == "auto" else read_place(chosen)
    if place is None:
        return []
    return [Entry(plan, address, place) for address in plan.settings.cluster_haproxy]


def _written(place: Place) -> str:
    host, port = place
    if not port:
        return f"unix@{host}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _machine_name(place: Place) -> str:
    machine = "".join(
        each if each.isascii() and (each.isalnum() or each in _SIGNS) else "_" for each in os.uname().nodename
    )
    return f"{machine}-{place[1]}" if place[1] else machine
