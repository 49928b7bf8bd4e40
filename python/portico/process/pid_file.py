"""The file that has the supervisor's process id (the setting `pid_file`).

Written by the command line, whose process becomes the supervisor, and removed by the supervisor at its end.
"""

from __future__ import annotations

import os
import stat

from portico.errors import OperatorError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan

_MODE = 0o644
# A path is of use when it is whole.
_LONGEST_SHOWN = 400
# More is no process id.
_MOST_BYTES = 32
# Of /proc/PID/stat: the field 22 (proc_pid_stat(5)), counted from the third, after the name.
_START = 22 - 3
# The kernel tells starts in ticks, and when it was booted in whole seconds.
_MARGIN_S = 2.0


def write_pid_file(plan: Plan) -> None:
    """Write the id of this process where the settings of `plan` say, and note that there.

    Raises OperatorError if the process runs whose id is there, or if the file cannot be written.
    """
    if plan.settings.pid_file == "off":
        return
    path = os.path.join(plan.directory, plan.settings.pid_file)
    temporary = f"{path}.{os.getpid()}"
    try:
        _check_is_free(path)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            os.write(fd, f"{os.getpid()}\n".encode())
        finally:
            os.close(fd)
        # At once: whoever reads finds a whole number.
        os.rename(temporary, path)
    except OSError as error:
        raise OperatorError(
            f"pid_file: cannot write {quoted(path, longest=_LONGEST_SHOWN)}: {error.strerror}"
        ) from None
    plan.pid_file = path


def remove_pid_file(path: str) -> None:
    """Remove the file at `path`, if there is one and it has the id of this process."""
    try:
        if path and read_pid(path) == os.getpid():
            os.unlink(path)
    except (OSError, ValueError):
        pass  # already gone, another's by now, or the directory is no longer ours to change


def read_pid(path: str) -> int:
    """Return the process id in the file at `path`, 0 if that is empty.

    Raises OSError, or ValueError if something else is there.
    """
    if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
        # A device, which a file of ours would take the place of, or a pipe, which nobody may write to.
        raise ValueError
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1).strip()
    if not data:
        return 0
    if len(data) > _MOST_BYTES or not data.isdigit():
        raise ValueError
    return int(data)


def _check_is_free(path: str) -> None:
    shown = quoted(path, longest=_LONGEST_SHOWN)
    try:
        pid = read_pid(path)
    except FileNotFoundError:
        return
    except ValueError:
        raise OperatorError(
            f"pid_file: expected a process id in {shown}, got something else; choose another file"
        ) from None
    if pid and pid != os.getpid() and _is_alive(pid) and not _began_after(pid, os.stat(path).st_mtime):
        raise OperatorError(
            f"pid_file: the process {pid}, which {shown} names, runs; stop it, or choose another file"
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _began_after(pid: int, moment_s: float) -> bool:
    """Say whether the process is younger than that: ids are given anew, after a boot for example."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[_START])
        with open("/proc/stat", "rb") as file:
            booted_s = next(int(line.split()[1]) for line in file if line.startswith(b"btime"))
    except (OSError, ValueError, IndexError, StopIteration):
        return False
    return booted_s + ticks / os.sysconf("SC_CLK_TCK") > moment_s + _MARGIN_S
