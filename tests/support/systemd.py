"""A real manager of systemd for tests: `systemd --user`, in a mount namespace and a control group of its own.

It takes root and control groups that can be written to. Nothing of the machine's own systemd, if there is
one, is seen or changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from support.waiting import wait_until

_HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_PROGRAMS = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
# It runs only where there is a /run/systemd/system.
_BEGIN = """
for group in $GROUPS_OF_MANAGER; do echo $$ > $group/cgroup.procs || exit 77; done
mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit 77
exec "$@"
"""


class Systemd:
    """One manager, whose files are in `folder`. Raises OSError or RuntimeError if none can be run here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "systemd.log"
        program = next((name for name in _PROGRAMS if os.access(name, os.X_OK)), None)
        if program is None or shutil.which("systemctl") is None or shutil.which("unshare") is None:
            raise RuntimeError("there is no systemd here, no systemctl or no unshare")
        if os.getuid() != 0:
            raise RuntimeError("a mount namespace takes root")
        name = f"portico-test-{uuid.uuid4().hex}"
        roots = [Path(root) for root in _HIERARCHIES if os.path.exists(f"{root}/cgroup.procs")]
        self._groups = [root / name for root in roots]
        for group in self._groups:
            group.mkdir()
        self.units = folder / "config" / "systemd" / "user"
        self.units.mkdir(parents=True)
        (folder / "run").mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "GROUPS_OF_MANAGER": " ".join(map(str, self._groups)),
            "SYSTEMD_LOG_TARGET": "console",
            "SYSTEMD_LOG_LEVEL": "info",
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _BEGIN, "sh", program, "--user", "--log-target=console"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=folder,
            )
        try:
            wait_until(self._is_there, what="the manager")
        except BaseException:
            self.close()
            raise

    def _is_there(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"systemd --user ends with {self._process.returncode}: {self.log.read_text()}")
        state = self.control("show", "--value", "--property", "SystemState", check=False)
        return state in ("running", "degraded")

    def control(self, *words: str, check: bool = True) -> str:
        """What `systemctl --user` prints."""
        found = subprocess.run(
            ["systemctl", "--user", "--no-pager", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and found.returncode:
            raise AssertionError(
                f"systemctl {' '.join(words)}: {found.stderr}\n{self.log.read_text()[-3000:]}"
            )
        return found.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.control("show", "--value", "--property", name, unit)

    def write(self, name: str, text: str) -> None:
        """Write or replace a unit."""
        (self.units / name).write_text(text)
        self.control("daemon-reload")

    def close(self) -> None:
        """End the manager and all that it has started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
        for group in self._groups:
            for procs in group.rglob("cgroup.procs"):
                for pid in procs.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for group in self._groups:
            wait_until(lambda group=group: _remove(group), what="the end of all processes")


def _remove(group: Path) -> bool:
    """Remove a control group and those in it; whether that was possible."""
    try:
        for inner in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            inner.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True
