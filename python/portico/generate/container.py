"""What of the settings is different in a container: shared by the image and by the pod that runs it.

Nobody outside a container reaches its loopback, nothing passes sockets on to it, its logs are what it prints,
and the folders of this machine are not there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.config.check import check_app
from portico.config.setting import Setting
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import OperatorError, quoted
from portico.generate.command import words
from portico.generate.deployment import Deployment
from portico.generate.upstream import ALLOW_FROM, covers

_HEALTH_PATH = "/healthz"
_EVERYWHERE = {"127.0.0.1": "0.0.0.0", "localhost": "0.0.0.0", "::1": "::"}
_THIS_MACHINE = ("127.0.0.0/8", "::1", "unix", "none")
_WITHOUT = ("user", "group", "groups", "capabilities")
"""What nobody but root could do, who does not run in such a container."""
USER_ID = 10001
"""Who portico runs as; no system user has this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contained:
    """How portico runs in a container. `changes` are sentences on what is different there.

    `health_path` is empty if no listener speaks plain HTTP, so that nobody could ask.
    """

    command: tuple[str, ...]
    addresses: tuple[Address, ...]
    health_path: str
    changes: tuple[str, ...]

    @property
    def asked(self) -> Address:
        """The listener that a health check asks: the first with plain HTTP over TCP, or else the first."""
        return next((address for address in self.addresses if speaks_http(address)), self.addresses[0])


def contain(deployment: Deployment) -> Contained:
    """Return how the settings run in a container; raises OperatorError where they cannot."""
    settings = deployment.settings
    check_app(settings)
    changes: list[str] = []
    addresses = [_listener(settings, text, changes) for text in settings.bind]
    replaced = {
        "bind": [str(address) for address in addresses],
        "pythonpath": [_inside(settings, Settings.pythonpath, path) for path in settings.pythonpath],
    }
    if settings.chdir:
        replaced["chdir"] = [_inside(settings, Settings.chdir, settings.chdir)]
    if settings.access_log not in ("-", "off"):
        replaced["access_log"] = ["-"]
        changes.append(f"The access log goes to standard output instead of {settings.access_log}.")
    if settings.error_log != "-":
        replaced["error_log"] = ["-"]
        changes.append(f"The error log goes to standard error instead of {settings.error_log}.")
    if settings.user or settings.group or settings.groups or settings.capabilities:
        changes.append(
            f"All of portico runs as user {USER_ID}, which can neither become another nor keep more."
        )
    health_path = next(iter(settings.health_paths), "")
    if not any(speaks_http(address) for address in addresses):
        health_path = ""
    elif not health_path:
        health_path = _HEALTH_PATH
        replaced["health_path"] = [_HEALTH_PATH]
        changes.append(f"portico serves {_HEALTH_PATH} itself, because there was no --health-path.")
    if any(address.scheme == "http" and not address.path for address in addresses):
        changes.append(
            "A reverse proxy is another machine here: X-Forwarded-* headers are believed from "
            f"{' '.join(settings.forwarded_allow_ips)} (forwarded_allow_ips), so its network has to be among "
            "them."
        )
    return Contained(
        command=("portico", "run", *words(settings, without=_WITHOUT, replaced=replaced)),
        addresses=tuple(addresses),
        health_path=health_path,
        changes=tuple(changes),
    )


def speaks_http(address: Address) -> bool:
    """Say whether a health check by HTTP can be made there."""
    return address.scheme == "http" and not address.path and not address.proxy


def check_program(contained: Contained) -> str:
    """Return a program of Python, in one line, that fails unless portico responds inside its container."""
    address = contained.asked
    if address.path:
        path = f"\0{address.path}" if address.is_abstract else address.path
        return f"import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect({path!r})"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    if not contained.health_path:
        return f"import socket; socket.create_connection(({host!r}, {address.port}), 2)"
    return (
        f"import http.client; c = http.client.HTTPConnection({host!r}, {address.port}, timeout=2); "
        f"c.request('GET', {contained.health_path!r}); raise SystemExit(c.getresponse().status != 200)"
    )


def _listener(settings: Settings, text: str, changes: list[str]) -> Address:
    origin = settings.origins[Settings.bind.attribute]
    address = parse_address(text)
    if address.is_inherited:
        raise OperatorError(
            f"{origin}: nothing passes a socket on to a container, so {text} would not be there"
        )
    if address.path:
        return address
    if not address.port:
        raise OperatorError(f"{origin}: {text}: nobody would know which port that is; give one")
    if address.host in _EVERYWHERE:
        address.host = _EVERYWHERE[address.host]
        changes.append(
            f"It listens on {address} instead of {text}, which only the container itself could reach."
        )
    rows: list[Setting[tuple[str, ...]]] = (
        [ALLOW_FROM[address.scheme]] if address.scheme in ALLOW_FROM else []
    )
    if address.proxy:
        rows.append(Settings.proxy_allow_from)
    for row in rows:
        _check_reach(settings, row, address)
    return address


def _check_reach(settings: Settings, row: Setting[tuple[str, ...]], address: Address) -> None:
    entries: Sequence[str] = settings.values[row.attribute]
    if all(entry in _THIS_MACHINE or covers(("127.0.0.0/8", "::1"), entry) for entry in entries):
        raise OperatorError(
            f"{row.name} is {' '.join(entries)} ({settings.origins[row.attribute]}), but who uses {address} "
            f"comes to a container from elsewhere: give {row.flags[-1]} with the network of the reverse proxy"
        )


def _inside(settings: Settings, row: Setting[str] | Setting[tuple[str, ...]], path: str) -> str:
    """Return `path` below the folder that the image is built from, which is the current one."""
    root = os.getcwd()
    start = root if row is Settings.chdir else working_directory(settings)
    found = os.path.relpath(os.path.realpath(os.path.join(start, path)), os.path.realpath(start))
    below = os.path.relpath(os.path.realpath(os.path.join(start, path)), os.path.realpath(root))
    if below == ".." or below.startswith("../"):
        raise OperatorError(
            f"{settings.origins[row.attribute]}: {quoted(path)} is outside of the folder {quoted(root)}, "
            "which the image is made of"
        )
    return found
