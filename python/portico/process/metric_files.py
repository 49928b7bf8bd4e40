"""The directory that prometheus_client writes to in an application's processes, so that all count together.

Its multiprocess mode wants one that is empty at the start, a variable that names it before the library is
imported, and to hear of processes that have ended. All of it is the supervisor's, which never imports the
library. Imported where a plan has an admin address, at which the files are read (`portico.admin`).
"""

from __future__ import annotations

import os

from portico import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_OLD_VARIABLE = "prometheus_multiproc_dir"
_SUFFIX = ".metrics"
_FOR_ROOT = "/run/portico-metrics"
# Processes of another user go through it, and cannot see what is in it.
_TO_GO_THROUGH = 0o711
# Of gauges that are to be told of processes that live.
_OF_THE_LIVING = "gauge_live"


def prepared(present: MetricFiles | None, plan: Plan, *, is_upgraded: bool) -> MetricFiles | None:
    """Return the directory for the workers of `plan`, or None if there is to be none.

    An upgrade goes on with that of the supervisor before.
    """
    if VARIABLE in os.environ or _OLD_VARIABLE in os.environ:
        return None  # somebody else has named a directory, and sees to all of it
    try:
        files = present or MetricFiles(is_upgraded=is_upgraded, pool=_pool_file(plan))
        if plan.identity is not None:
            os.chown(files.directory, plan.identity.uid, plan.identity.gid)
    except OSError as error:
        log.warning(
            f"metrics: cannot make a directory for prometheus_client: {error.strerror}; each worker counts "
            "for itself there"
        )
        return None
    return files


class MetricFiles:
    """The directory of this server, in the run directory of its user.

    That of a pool stays as long as the server of all pools, whatever becomes of processes of the pool.
    """

    __slots__ = ("_is_of_pool", "directory")

    def __init__(self, *, is_upgraded: bool, pool: str = "") -> None:
        """Make it, or make it anew; `pool` is what files of the pool are called. Raises OSError."""
        # Here, because most servers know their run directory before they are supervisors.
        from portico.process.control.opening import is_own, run_directory

        user_id = os.geteuid()
        parent = _FOR_ROOT if user_id == 0 else run_directory(os.environ, user_id)
        self._is_of_pool = bool(pool)
        owner = f"{os.getppid()}-{pool}" if pool else str(os.getpid())
        self.directory = os.path.join(parent, f"{owner}{_SUFFIX}")
        if not os.path.isdir(parent):
            os.mkdir(parent, 0o700)
            os.chmod(parent, _TO_GO_THROUGH if user_id == 0 else 0o700)
        if not is_own(parent):
            raise OSError(0, f"{parent} is not a directory that this user alone may write in")
        _remove_stale(parent)
        if not is_upgraded and not pool:
            _remove(self.directory)
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory, 0o700)

    def use_for(self, plan: Plan) -> None:
        """Have the application of this process, which is not imported yet, count there if `plan` wants it."""
        if plan.has_metrics and plan.settings.prometheus_client:
            os.environ[VARIABLE] = self.directory

    def ended(self, pid: int) -> None:
        """Forget the gauges that are told of living processes only; the rest counts for ever."""
        try:
            names = os.listdir(self.directory)
        except OSError:
            return  # somebody has removed it
        for name in names:
            if name.startswith(_OF_THE_LIVING) and name.endswith(f"_{pid}.db"):
                try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
                    os.unlink(os.path.join(self.directory, name))
                except OSError:
                    pass  # the same

    def remove(self) -> None:
        """Remove it, with the server."""
        if not self._is_of_pool:
            _remove(self.directory)
            _remove_of_pools(os.path.dirname(self.directory))


def _pool_file(plan: Plan) -> str:
    """Return what files of the pool of `plan` are called; empty if it is none, or served by hand."""
    pool = plan.settings.pool
    return str(pool["file"]) if pool is not None and "line_fd" in pool else ""


def _remove_of_pools(parent: str) -> None:
    """Remove those of this server's pools, as far as this user may."""
    try:
        for name in os.listdir(parent):
            if name.startswith(f"{os.getpid()}-") and name.endswith(_SUFFIX):
                _remove(os.path.join(parent, name))
    except OSError:
        pass  # somebody has removed it


def _remove(path: str) -> None:
    try:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:
        pass  # it was not there, or somebody has put something else in it


def _remove_stale(parent: str) -> None:
    """Remove what servers have left that were killed."""
    for name in os.listdir(parent):
        number = name.removesuffix(_SUFFIX).partition("-")[0]
        if name.endswith(_SUFFIX) and number.isdecimal() and not os.path.exists(f"/proc/{number}"):
            _remove(os.path.join(parent, name))
