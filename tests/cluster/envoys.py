"""A real Envoy with the configuration of docs/cluster.md, and how the hosts of its file look to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.raw_client import Connection
from support.reverse_proxies import ForegroundProgram, find_program
from support.server import free_port
from support.waiting import wait_until

from .page import adapted

EDS_FOLDER = "/etc/envoy/eds"
"""Where the file is in the documentation."""
_ADMIN = "\nadmin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}\n"
_DEADLINE_S = 20.0


def find_envoy() -> str:
    """The path of the program; without it the test is skipped."""
    return find_program("envoy", what="portico in a file of Envoy's")


class Envoy:
    """An Envoy that watches `eds_folder`; `folder` is its own. A context manager."""

    def __init__(self, folder: Path, eds_folder: Path) -> None:
        self.port, self._admin_port = free_port(), free_port()
        changes = {
            "address: 0.0.0.0, port_value: 80 ": f"address: 127.0.0.1, port_value: {self.port} ",
            EDS_FOLDER: str(eds_folder),
        }
        file = folder / "eds.yaml"
        file.write_text(adapted("eds.yaml", changes) + _ADMIN.format(port=self._admin_port))
        self.log_path = folder / "envoy.log"
        words = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "info"]
        self.command = [find_envoy(), "-c", str(file), *words]
        self._program = ForegroundProgram(
            "envoy", self.command, folder=folder, log_path=self.log_path, port=self.port
        )

    def __enter__(self) -> Envoy:
        self._program.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._program.__exit__(*error)

    def hosts(self) -> dict[int, str]:
        """How each host stands, by its port: by the file, or PENDING or FAILED by its health check."""
        with Connection(("127.0.0.1", self._admin_port)) as connection:
            listed = json.loads(connection.request("/clusters?format=json").body)
        [shop] = [each for each in listed["cluster_statuses"] if each["name"] == "shop"]
        return dict(map(_standing, shop.get("host_statuses", [])))

    def wait_for(self, expected: dict[int, str]) -> None:
        """Wait until the hosts stand so."""
        wait_until(
            lambda: self.hosts() == expected,
            what=f"the hosts to be {expected}, not {self.hosts()}",
            deadline_s=_DEADLINE_S,
        )

    def get(self) -> str:
        """The body of one response; the status where that is not 200."""
        with Connection(("127.0.0.1", self.port), timeout_s=_DEADLINE_S) as connection:
            response = connection.request("/")
        return response.body.decode() if response.status == 200 else str(response.status)


def _standing(host: dict[str, Any]) -> tuple[int, str]:
    health = host["health_status"]
    by_file = health.get("eds_health_status", "UNKNOWN")
    # The first look is still to come.
    is_pending = health.get("pending_active_hc", False)
    is_failed = health.get("failed_active_health_check", False)
    standing = "PENDING" if is_pending else "FAILED" if is_failed else by_file
    return host["address"]["socket_address"]["port_value"], standing
