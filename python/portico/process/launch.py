"""The command line's last step: bind the sockets, then become the supervisor, in the same process, by exec.

A fresh interpreter leaves the option parser, `socket` and `typing` behind: the supervisor's memory is every
worker's.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import sys
import tempfile

from portico import log
from portico.config.addresses import Address, parse_address
from portico.config.check import root_warning, working_directory
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.errors import OperatorError
from portico.process.cpus import allowed_cpus
from portico.process.import_path import import_path
from portico.process.inherited import ACTIVATION_VARIABLES, read_activation
from portico.process.plan import Plan, dump_plan
from portico.process.sockets import bind_all
from portico.process.standard_streams import write_errors_to

# Like `-m portico.process`, but without `runpy` (0.7 MB), and with the import path of this process before
# anything is imported by it.
_BOOTSTRAP = (
    "import marshal, sys; file = open(int(sys.argv.pop(1)), 'rb'); sys.path[:], plan = marshal.load(file); "
    "file.close(); from {module} import main; main(plan)"
)
_DESCRIPTORS_OF_THE_APPLICATION = 256
"""Descriptors of a worker besides connections and temporary files: listeners, pipes, the application."""
_LEAST_DESCRIPTORS = 16
"""With fewer a worker that has no connection yet may not come to serve."""
_MOST_TEMPORARY_FILES = 2048
"""As in src/bounds.rs, which gives temporary files a fifth of what there is, at most this many."""


def launch(settings: Settings, *, started_at_s: float) -> None:
    """Bind and become the supervisor; does not return. Raises OperatorError if a socket cannot be bound."""
    plan = make_plan(settings, started_at_s=started_at_s)
    if warning := root_warning(settings):
        log.say(warning)
    become("portico.process.__main__", dump_plan(plan), plan)


def make_plan(settings: Settings, *, started_at_s: float) -> Plan:
    """Bind, and return what the next interpreter needs. Raises OperatorError if a socket cannot be bound."""
    if not sys.executable:
        raise OperatorError("cannot find the Python interpreter: sys.executable is empty")
    _check_descriptor_limit(settings)
    directory = working_directory(settings)
    addresses = [absolute(parse_address(text), directory) for text in settings.bind]
    activation = read_activation(os.environ, pid=os.getpid())
    listeners = bind_all(
        addresses,
        backlog=settings.backlog,
        write_timeout_s=settings.write_timeout_s,
        activation=activation,
    )
    for sentence in activation.unused([listener.fd for listener in listeners]):
        log.say(sentence)
    worker_count, worker_reason = _worker_count(settings)
    if warning := raise_descriptor_limit(settings):
        log.say(warning)
    return Plan(
        settings,
        listeners,
        directory=directory,
        worker_count=worker_count,
        worker_reason=worker_reason,
        started_at_s=started_at_s,
    )


def become(module: str, data: bytes, plan: Plan, *, program: str = "portico") -> None:
    """Replace this process by an interpreter that calls `main(data)` of `module`; does not return.

    `data` is what that makes its `plan` of, whose sockets live on; `program` is the first of its arguments.
    """
    plan_fd = write_plan(marshal.dumps((import_path(dict(plan.settings.env)), data)))
    command = [
        sys.executable,
        *interpreter_options(),
        "-c",
        _BOOTSTRAP.format(module=module),
        str(plan_fd),
        program,
        *sys.argv[1:],
    ]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if plan.settings.error_log != "-":
            write_errors_to(os.path.join(plan.directory, plan.settings.error_log))
        os.execve(sys.executable, command, environment_of(plan.settings))
    except BaseException:
        for listener in plan.listeners:
            listener.close()
        raise


def wanted_descriptors(settings: Settings) -> int:
    """Return how many descriptors a worker may need: the limit that portico wants to run under."""
    wanted = settings.max_connections + _DESCRIPTORS_OF_THE_APPLICATION
    return wanted + min(wanted // 4, _MOST_TEMPORARY_FILES)


def _check_descriptor_limit(settings: Settings) -> None:
    """Raise OperatorError if no worker could serve with the descriptors that a process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    least = _LEAST_DESCRIPTORS + len(settings.bind)
    if hard != resource.RLIM_INFINITY and hard < least:
        raise OperatorError(
            f"a process may only have {hard} descriptors, but to serve takes at least {least}: raise the "
            "limit (ulimit -n, or LimitNOFILE= of systemd)"
        )


def raise_descriptor_limit(settings: Settings) -> str:
    """Raise the soft limit of descriptors as far as max_connections needs; every worker inherits it.

    Returns a sentence for the operator if the hard limit does not allow that, else an empty text.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted_descriptors(settings)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
        except (OSError, ValueError):
            # macOS calls its limit infinite and then refuses.
            reachable = soft
    if reachable >= wanted:
        return ""
    origin = settings.origins[Settings.max_connections.attribute]
    return (
        f"max_connections is {settings.max_connections} ({origin}), but a process may only have {reachable} "
        f"descriptors: raise the limit (ulimit -n, or LimitNOFILE= of systemd) to {wanted}, or expect accept "
        "to pause before"
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment of supervisor and workers.

    Variables for the application are set here already, so that those which the interpreter or the C library
    reads at its start (PYTHONWARNINGS, MALLOC_ARENA_MAX) work too. What systemd has said of sockets was for
    this process only: a program that the application starts would take descriptors of its own for them.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ACTIVATION_VARIABLES}
    return {**kept, **dict(settings.env)}


def absolute(address: Address, directory: str) -> Address:
    if address.is_file:
        address.path = os.path.join(directory, address.path)
    return address


def _worker_count(settings: Settings) -> tuple[int, str]:
    if settings.workers is None:
        return allowed_cpus()
    origin = settings.origins[Settings.workers.attribute]
    return settings.workers, origin if origin != DEFAULT_ORIGIN else "fixed"


def write_plan(data: bytes) -> int:
    """Return a descriptor to read `data` from, which the next interpreter inherits."""
    fd = _file_in_memory()
    if fd < 0:
        fd = _unlinked_file()
    if fd < 0:
        return _pipe_with(data)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    return fd


def _file_in_memory() -> int:
    """Return a descriptor, or -1: other systems have none, and a sandbox may not allow it."""
    with contextlib.suppress(AttributeError, OSError):
        return os.memfd_create("portico-plan")
    return -1


def _unlinked_file() -> int:
    """Return a descriptor, or -1: there may be no folder to write in."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
    return -1


def _pipe_with(data: bytes) -> int:
    """Return the read end of a pipe that has all of `data`: nobody would read while it is written."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    try:
        written = os.write(write_fd, data)
    finally:
        os.close(write_fd)
    if written < len(data):
        raise OperatorError(
            "cannot hand on the settings to the supervisor: there is no memory file (memfd_create) and no "
            "folder for temporary files; let TMPDIR name one"
        )
    os.set_inheritable(read_fd, True)
    return read_fd


def interpreter_options() -> list[str]:
    """Return what stood before the program's name, such as `-X dev -W error`: it holds for workers too."""
    arguments = sys.argv[1:]
    head = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
    if sys.orig_argv[len(sys.orig_argv) - len(arguments) :] != arguments or not head:
        return []
    if head[-2:-1] in (["-m"], ["-c"]):
        return head[:-2]
    return head[:-1]
