"""The reverse proxy of a pairing: nginx, Apache or HAProxy, with the files around its configuration.

As root it runs as another user, as in a real installation: so mode and group of a Unix socket count.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from support.reverse_proxies import APACHE_MODULES, ForegroundProgram, find_program

from reverse_proxies.addresses import PROXY_USER, Addresses
from reverse_proxies.pairings import Pairing

SURROUNDINGS = Path(__file__).parent / "surroundings"
PARAMETER_FILES = ("uwsgi_params", "fastcgi_params", "scgi_params")


def program(name: str) -> str:
    """The path of a reverse proxy; where it is missing the test is skipped, and says so."""
    return find_program(name, what=f"{name} in front of portico")


def reverse_proxy(pairing: Pairing, addresses: Addresses) -> ForegroundProgram:
    """The reverse proxy, ready to be started."""
    folder = addresses.folder / "proxy"
    folder.mkdir()
    log_path = folder / "error.log"
    log_path.touch()
    prepare = {"nginx": _prepare_nginx, "apache": _prepare_apache, "haproxy": _prepare_haproxy}
    words = prepare[pairing.program](folder, addresses.configuration(pairing))
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        identity = {"user": PROXY_USER, "group": PROXY_USER, "extra_groups": []}
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, PROXY_USER, PROXY_USER)
    return ForegroundProgram(
        str(pairing),
        [program(pairing.program), *words],
        folder=folder,
        log_path=log_path,
        port=addresses.port,
        **identity,
    )


def _prepare_nginx(folder: Path, configuration: str) -> list[str]:
    shutil.copy(SURROUNDINGS / "nginx.conf", folder)
    for name in PARAMETER_FILES:
        shutil.copy(f"/etc/nginx/{name}", folder)
    (folder / "site.conf").write_text(configuration)
    return ["-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]


def _prepare_apache(folder: Path, configuration: str) -> list[str]:
    around = (SURROUNDINGS / "apache.conf").read_text()
    around = around.replace("@FOLDER@", str(folder)).replace("@MODULES@", str(APACHE_MODULES))
    (folder / "apache.conf").write_text(around)
    (folder / "site.conf").write_text(configuration)
    return ["-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]


def _prepare_haproxy(folder: Path, configuration: str) -> list[str]:
    (folder / "site.cfg").write_text(configuration)
    return ["-db", "-f", str(SURROUNDINGS / "haproxy.cfg"), "-f", "site.cfg"]
