"""The command line's last step: bind the sockets, then become the supervisor, in the same process, by exec.

A fresh interpreter leaves the option parser, `socket` and `typing` behind: the supervisor's memory is every
worker's.
"""

from __future__ import annotations

import marshal
import os
import sys

from portico import log
from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.config.check import warnings
from portico.config.identity import are_privileges_given_up, is_identity_given
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.config.working_directory import working_directory
from portico.errors import OperatorError
from portico.process.control.opening import open_control
from portico.process.descriptor_limit import check_descriptor_limit, raise_descriptor_limit
from portico.process.handed_file import write_file
from portico.process.import_path import import_path
from portico.process.invocation import COUNT_OF_ACTIVATION, DRY_RUN_VARIABLE, this_invocation
from portico.process.pid_file import remove_pid_file, write_pid_file
from portico.process.plan import MARSHAL_FORMAT, Listener, Plan, dump_plan
from portico.process.signals import WORKER_SIGNALS, block_signals
from portico.process.sockets import bind_all
from portico.process.standard_streams import write_errors_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from portico.config.identity import Identity
    from portico.process.dry_run_report import DryRunRequest
    from portico.process.inherited import Activation

# Like `-m portico.process`, but without `runpy` (0.7 MB), and with the import path of this process before
# anything is imported by it. No collection looks at what is imported, meanwhile or later: it stays.
_BOOTSTRAP = (
    "{forget}import marshal, sys; file = open(int(sys.argv.pop(1)), 'rb'); "
    "sys.path[:], plan = marshal.load(file); file.close(); "
    "import gc; gc.disable(); from {module} import main; gc.freeze(); gc.enable(); main(plan)"
)
# Has the dynamic linker find each function of a library at the start (ld.so(8)), and not when it is first
# called: which is in each worker, and written to its own copies of the pages where they are noted. What is
# imported is linked so in any case. Neither the application nor what that starts sees it.
_BIND_NOW = "LD_BIND_NOW"
_FORGET_BIND_NOW = f"import os; os.environ.pop('{_BIND_NOW}', None); "


def launch(settings: Settings, *, started_at_s: float) -> None:
    """Bind and become the supervisor; does not return. Raises OperatorError if a socket cannot be bound.

    In a dry run it reports the plan to the supervisor that has asked for it, and ends the process.
    """
    if settings.pools is not None:
        settings = _in_front_of_pools(settings)
    request = _dry_run()
    plan = make_plan(settings, started_at_s=started_at_s, request=request)
    if request is not None and request.hand_over is not None:
        try_upgrade(request, plan)
    if request is not None:
        request.report(plan)
    for warning in warnings(settings):
        log.say(warning)
    # Until the supervisor hears of them: an interpreter that starts would end with a traceback of its own, or
    # without a word, and leave the files that are made here; the first process of a container would go on.
    block_signals(WORKER_SIGNALS)
    try:
        if settings.pools is not None:
            from portico.process.pools.directory import make_directory

            settings.pools["directory"] = make_directory()
        write_pid_file(plan)
        open_control(plan)
    except BaseException:
        _let_go(plan)
        raise
    become("portico.process.__main__", dump_plan(plan), plan)


def _dry_run() -> DryRunRequest | None:
    if DRY_RUN_VARIABLE not in os.environ:
        return None
    from portico.process.dry_run_report import take_request

    return take_request(os.environ)


def _in_front_of_pools(settings: Settings) -> Settings:
    # Here, because most servers have none.
    from portico.config.pools import router_settings

    return router_settings(settings)


def try_upgrade(request: DryRunRequest, plan: Plan) -> NoReturn:
    """Report what to upgrade to, and become that for a trial: it takes over in thought, and ends."""
    program = Program("portico.process.take_over", plan, program="portico")
    request.send(plan, {"import_path": plan.import_path, **program.__dict__})
    for listener in plan.sockets:
        os.set_inheritable(listener.fd, False)
    hand_over = {**(request.hand_over or {}), "plan": dump_plan(plan), "numbers": {}, "is_trial": True}
    program.execute(marshal.dumps((plan.import_path, hand_over), MARSHAL_FORMAT))


def make_plan(settings: Settings, *, started_at_s: float, request: DryRunRequest | None = None) -> Plan:
    """Bind, and return what the next interpreter needs. Raises OperatorError if a socket cannot be bound.

    In a dry run, the sockets of `request` are kept where the settings still ask for them.
    """
    if not sys.executable:
        raise OperatorError("cannot find the Python interpreter: sys.executable is empty")
    check_descriptor_limit(settings)
    directory = working_directory(settings)
    identity, remark = _identity(settings, directory)
    hooks, remarks = _hooks(settings, directory)
    for sentence in filter(None, [remark, *remarks]):
        log.say(sentence)
    invocation = this_invocation()
    if settings.umask is not None:
        # Before sockets and logs are made.
        os.umask(settings.umask)
    addresses = [absolute(parse_address(text), directory) for text in settings.bind]
    activation = _activation()
    listeners = bind_all(
        addresses,
        backlog=settings.backlog,
        write_timeout_s=settings.write_timeout_s,
        activation=activation,
        kept=request.listeners if request else (),
    )
    if activation is not None:
        for sentence in activation.unused([listener.fd for listener in listeners]):
            log.say(sentence)
    admin = _bind_admin(settings, directory, listeners, request)
    worker_count, worker_reason = _worker_count(settings)
    if warning := raise_descriptor_limit(settings):
        log.say(warning)
    if settings.logconfig:
        # Here, because few have it.
        from portico.process.python_logging.trial import try_logconfig

        settings.values[Settings.logconfig.attribute], remarks = try_logconfig(
            settings, interpreter_options()
        )
        for sentence in remarks:
            log.say(sentence)
    return Plan(
        settings,
        listeners,
        directory=directory,
        import_path=import_path(dict(settings.env)),
        invocation=invocation,
        identity=identity,
        hooks=hooks,
        admin=admin,
        worker_count=worker_count,
        worker_reason=worker_reason,
        started_at_s=started_at_s,
    )


def _identity(settings: Settings, directory: str) -> tuple[Identity | None, str]:
    if not (is_identity_given(settings) or are_privileges_given_up(settings, None)):
        return None, ""
    from portico.process.privilege_trial import try_privileges

    return try_privileges(settings, directory)


def _activation() -> Activation | None:
    if COUNT_OF_ACTIVATION not in os.environ:
        return None
    from portico.process.inherited import read_activation

    return read_activation(os.environ, pid=os.getpid())


def _hooks(settings: Settings, directory: str) -> tuple[tuple[str, ...], list[str]]:
    if not settings.hooks:
        return (), []
    from portico.config.hook_module import hooks_of

    return hooks_of(settings, directory)


def _bind_admin(
    settings: Settings, directory: str, listeners: list[Listener], request: DryRunRequest | None
) -> list[Listener]:
    """Listen at the admin address, if there is one.

    If that fails, those of `listeners` that are new are let go of.
    """
    if settings.admin_bind == "off":
        return []
    kept_fds = {listener.fd for listener in request.listeners} if request else set()
    try:
        return bind_all(
            [absolute(parse_address(settings.admin_bind), directory)],
            backlog=settings.backlog,
            kept=request.admin if request else (),
            option=Settings.admin_bind.flags[-1],
        )
    except BaseException:
        for listener in listeners:
            if listener.fd not in kept_fds:
                listener.leave()
        raise


def become(module: str, data: bytes, plan: Plan, *, program: str = "portico") -> None:
    """Replace this process by an interpreter that calls `main(data)` of `module`; does not return.

    `data` is what that makes its `plan` of, whose sockets live on; `program` is the first of its arguments.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if plan.settings.error_log != "-":
            write_errors_to(os.path.join(plan.directory, plan.settings.error_log))
        Program(module, plan, program=program).execute(marshal.dumps((plan.import_path, data)))
    except BaseException:
        _let_go(plan)
        raise


def _let_go(plan: Plan) -> None:
    """Leave nothing behind of a start that has failed."""
    for listener in (*plan.sockets, *plan.control):
        listener.leave()
    if plan.settings.pools is not None and plan.settings.pools["directory"]:
        from portico.process.pools.directory import remove_directory

        remove_directory(plan.settings.pools["directory"])
    remove_pid_file(plan.pid_file)


class Program:
    """An interpreter that calls `main` of `module`, with what it is handed in a file: how to call it."""

    def __init__(self, module: str, plan: Plan, *, program: str) -> None:
        self.path = sys.executable
        variables = plan.invocation.variables(dict(plan.settings.env))
        self.variables = {_BIND_NOW: "1", **variables}
        forget = "" if _BIND_NOW in variables else _FORGET_BIND_NOW
        bootstrap = _BOOTSTRAP.format(forget=forget, module=module)
        self.before = [self.path, *interpreter_options(), "-c", bootstrap]
        self.after = [program, *sys.argv[1:]]

    def execute(self, data: bytes) -> NoReturn:
        """Replace this process by it. Raises OSError if that cannot be."""
        try:
            os.getcwd()
        except OSError:
            # It was removed, and an interpreter that begins there may not import modules in C (Python 3.13).
            os.chdir(os.sep)
        os.execve(self.path, [*self.before, str(write_file(data)), *self.after], self.variables)


def absolute(address: Address, directory: str) -> Address:
    if address.is_file:
        address.path = os.path.join(directory, address.path)
    return address


def _worker_count(settings: Settings) -> tuple[int, str]:
    if settings.workers is None:
        from portico.process.cpus import allowed_cpus

        count, reason = allowed_cpus()
        fewest, most = settings.workers_min or 1, settings.workers_max or 512
        if count < fewest:
            return fewest, f"workers_min; {reason}"
        if count > most:
            return most, f"workers_max; {reason}"
        return count, reason
    origin = settings.origins[Settings.workers.attribute]
    return settings.workers, origin if origin != DEFAULT_ORIGIN else "fixed"


def interpreter_options() -> list[str]:
    """Return what stood before the program's name, such as `-X dev -W error`: it holds for workers too."""
    arguments = sys.argv[1:]
    head = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
    if sys.orig_argv[len(sys.orig_argv) - len(arguments) :] != arguments or not head:
        return []
    if head[-2:-1] in (["-m"], ["-c"]):
        return head[:-2]
    return head[:-1]
