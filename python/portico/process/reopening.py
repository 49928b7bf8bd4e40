"""Opening the files of the logs anew, in the supervisor and its workers: they may have been moved away.

The supervisor opens them and sends the descriptors along with an order, which the engine takes: so a worker
needs no right to the files, and its application may be in a call.
"""

from __future__ import annotations

import os

from portico import log
from portico.config.log_daemon import is_log_daemon
from portico.config.log_file import open_log_file
from portico.process.messages import Reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.process.generations import Generations
    from portico.process.worker_handle import WorkerHandle

_STANDARD_ERROR_FD = 2


def reopen_logs(generations: Generations, workers: Iterable[WorkerHandle]) -> None:
    """Open the files that the current settings name, and have each of `workers` go on with them."""
    generations.open_error_log()
    plan = generations.current
    files: dict[str, int] = {}
    access_log = plan.settings.access_log
    if access_log not in ("-", "off") and not is_log_daemon(access_log):
        files["a"] = _open_access_log(os.path.join(plan.directory, access_log))
    if plan.settings.error_log != "-":
        files["e"] = _STANDARD_ERROR_FD
    opened = {letter: fd for letter, fd in files.items() if fd >= 0}
    letters = "".join(opened) + ("l" if plan.settings.logconfig else "")
    if letters:
        for worker in workers:
            worker.tell(Reopen, letters, [*opened.values()])
    if "a" in opened:
        os.close(opened["a"])


def _open_access_log(path: str) -> int:
    """Return a descriptor, or -1."""
    try:
        return open_log_file(path)
    except OSError as error:
        log.error(f"cannot write the access log {path}: {error.strerror}; going on with the one of before")
        return -1
