"""The command line's last step: bind the sockets, then become the supervisor, in the same process, by exec.

A fresh interpreter leaves the option parser, `socket` and `typing` behind: the supervisor's memory is every
worker's.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import tempfile

from portico import log
from portico.config.addresses import Address, parse_address
from portico.config.check import root_warning
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.config.working_directory import working_directory
from portico.errors import OperatorError
from portico.process.cpus import allowed_cpus
from portico.process.descriptor_limit import check_descriptor_limit, raise_descriptor_limit
from portico.process.dry_run_report import DryRunRequest, take_request
from portico.process.import_path import import_path
from portico.process.inherited import read_activation
from portico.process.invocation import this_invocation
from portico.process.plan import Plan, dump_plan
from portico.process.sockets import bind_all
from portico.process.standard_streams import write_errors_to

# Like `-m portico.process`, but without `runpy` (0.7 MB), and with the import path of this process before
# anything is imported by it.
_BOOTSTRAP = (
    "import marshal, sys; file = open(int(sys.argv.pop(1)), 'rb'); sys.path[:], plan = marshal.load(file); "
    "file.close(); from {module} import main; main(plan)"
)


def launch(settings: Settings, *, started_at_s: float) -> None:
    """Bind and become the supervisor; does not return. Raises OperatorError if a socket cannot be bound.

    In a dry run it reports the plan to the supervisor that has asked for it, and ends the process.
    """
    request = take_request(os.environ)
    plan = make_plan(settings, started_at_s=started_at_s, request=request)
    if request is not None:
        request.report(plan)
    if warning := root_warning(settings):
        log.say(warning)
    become("portico.process.__main__", dump_plan(plan), plan)


def make_plan(settings: Settings, *, started_at_s: float, request: DryRunRequest | None = None) -> Plan:
    """Bind, and return what the next interpreter needs. Raises OperatorError if a socket cannot be bound.

    In a dry run, the sockets of `request` are kept where the settings still ask for them.
    """
    if not sys.executable:
        raise OperatorError("cannot find the Python interpreter: sys.executable is empty")
    check_descriptor_limit(settings)
    directory = working_directory(settings)
    addresses = [absolute(parse_address(text), directory) for text in settings.bind]
    activation = read_activation(os.environ, pid=os.getpid())
    listeners = bind_all(
        addresses,
        backlog=settings.backlog,
        write_timeout_s=settings.write_timeout_s,
        activation=activation,
        kept=request.listeners if request else (),
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
        import_path=import_path(dict(settings.env)),
        invocation=this_invocation(),
        worker_count=worker_count,
        worker_reason=worker_reason,
        started_at_s=started_at_s,
    )


def become(module: str, data: bytes, plan: Plan, *, program: str = "portico") -> None:
    """Replace this process by an interpreter that calls `main(data)` of `module`; does not return.

    `data` is what that makes its `plan` of, whose sockets live on; `program` is the first of its arguments.
    """
    plan_fd = write_plan(marshal.dumps((plan.import_path, data)))
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
        os.execve(sys.executable, command, plan.invocation.variables(dict(plan.settings.env)))
    except BaseException:
        for listener in plan.listeners:
            listener.leave()
        raise


def absolute(address: Address, directory: str) -> Address:
    if address.is_file:
        address.path = os.path.join(directory, address.path)
    return address


def _worker_count(settings: Settings) -> tuple[int, str]:
    if settings.workers is None:
        count, reason = allowed_cpus()
        fewest, most = settings.workers_min or 1, settings.workers_max or 512
        if count < fewest:
            return fewest, f"workers_min; {reason}"
        if count > most:
            return most, f"workers_max; {reason}"
        return count, reason
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
