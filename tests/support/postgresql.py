"""A PostgreSQL of a test's own: made, started, asked, and stopped; it listens on a Unix socket alone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.waiting import wait_until

_USER = "postgres"
_START_DEADLINE_S = 30.0
_STOP_DEADLINE_S = 15.0


def programs() -> Path:
    """The folder of the newest one that is installed; skips if there is none."""
    # Debian keeps each version apart.
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.skip("postgresql is missing")
    return Path(on_path).parent


class PostgreSQL:
    """A server that runs; `environment` is what libpq wants to find it."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"PGHOST": str(folder), "PGUSER": _USER, "PGDATABASE": "postgres"}

    def connect(self) -> Any:
        """A connection of the test's own."""
        psycopg = pytest.importorskip("psycopg")
        return psycopg.connect(
            host=self.environment["PGHOST"], user=_USER, dbname="postgres", autocommit=True
        )

    def waiting(self) -> int:
        """How many sessions wait for a lock."""
        with self.connect() as connection:
            row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        return int(row[0])


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Make an empty cluster in a folder of its own, and serve it until the block is left."""
    bin = programs()
    folder = Path(tempfile.mkdtemp(prefix="portico-postgresql-"))
    # It refuses to run as root.
    somebody: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam(_USER)
        somebody = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    try:
        subprocess.run(
            [
                bin / "initdb",
                "-D",
                folder / "data",
                "-U",
                _USER,
                "-A",
                "trust",
                "--no-sync",
                "--no-locale",
                "-E",
                "UTF8",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **somebody,
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [bin / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-c", "fsync=off"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                **somebody,
            )
        try:
            server = PostgreSQL(folder)
            wait_until(
                lambda: _is_ready(bin, folder, process), what="PostgreSQL", deadline_s=_START_DEADLINE_S
            )
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_ready(bin: Path, folder: Path, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, (folder / "log").read_text(errors="replace")
    asked = subprocess.run([bin / "pg_isready", "-h", folder, "-q"], check=False)
    return asked.returncode == 0
