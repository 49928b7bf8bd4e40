"""A worker of `portico dev` as itself: load today's code, or make a page of why that fails, report, serve.

Runs in a process that the loop has forked, on its main thread; beyond that it is a worker as any other
(process/worker.py), with standard input, so that a debugger can be talked to.
"""

from __future__ import annotations

from importlib import import_module

from portico import log
from portico.dev.application import DevelopmentApplication
from portico.dev.modules import Reporter, files_of_failure, forget_bytecode, imported_files
from portico.dev.templates import template_globs
from portico.errors import OperatorError
from portico.process.loaded import Loaded
from portico.process.loading import enter, load, prepare_event_loop
from portico.process.signals import WORKER_SIGNALS
from portico.process.tracebacks import traceback_of
from portico.process.worker import (
    Assignment,
    WorkerProcess,
    begin,
    configure_logging,
    fail,
    find_static_files,
    hand_on_records,
    open_access_log,
    serve_and_leave,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from portico.dev.options import Options
    from portico.types import WSGIApplication


class DevelopmentAssignment:
    """What a forked process takes over from the loop to become a worker.

    `gate_fd` is its end of the gate (`DevelopmentHandle.let_in`). `access_fd` takes access lines, where the
    loop is to show them. `changed` are the files of the change that it is made for. With a `failure`, which
    says why a worker before it has died, nothing is loaded.
    """

    __slots__ = ("access_fd", "changed", "failure", "gate_fd", "options", "report_fd", "worker")

    def __init__(
        self,
        worker: Assignment,
        options: Options,
        *,
        report_fd: int,
        gate_fd: int,
        access_fd: int,
        changed: Iterable[str],
        failure: str,
    ) -> None:
        self.worker = worker
        self.options = options
        self.report_fd = report_fd
        self.gate_fd = gate_fd
        self.access_fd = access_fd
        self.changed = changed
        self.failure = failure


def run_development_worker(assignment: DevelopmentAssignment) -> NoReturn:
    """Be a worker until told to stop; ends the process."""
    signals = begin(assignment.worker)
    configure_logging(assignment.worker)
    hand_on_records(assignment.worker)
    loaded = _load(assignment)
    signals.watch_what_is_free(WORKER_SIGNALS)
    is_shown = assignment.worker.plan.settings.access_log == "-"
    process = WorkerProcess(
        assignment.worker,
        loaded,
        signals=signals,
        access_log_fd=assignment.access_fd if is_shown else open_access_log(assignment.worker.plan),
    )
    process.gate_fd = assignment.gate_fd
    if is_shown:
        process.access_log_colour = False  # the loop colours its own lines
    serve_and_leave(loaded, process, assignment.worker)


def _load(assignment: DevelopmentAssignment) -> Loaded:
    """Return the application; or what responds in its place, with an empty name."""
    plan, options = assignment.worker.plan, assignment.options
    heading = f"{plan.settings.app} cannot be loaded"
    reporter = Reporter(assignment.report_fd)
    if assignment.failure:
        reporter.report([], has_failed=True)
        return Loaded(_page(heading, assignment.failure), "")
    forget_bytecode(assignment.changed)
    try:
        enter(plan.directory, plan.settings.pythonpath)
        event_loop = prepare_event_loop(plan.directory, plan.settings)
        if options.source is None:
            loaded = load(plan.directory, plan.settings)
            find_static_files(loaded, assignment.worker)
        else:
            module, function, arguments = options.source
            loaded = Loaded(getattr(import_module(module), function)(**arguments), plan.settings.app)
    except OperatorError as error:
        _give_up_unless_reloading(assignment, error.message)
        log.error(f"{heading}: {error.message}")
        reporter.report([], failed_files=files_of_failure(error), has_failed=True)
        return Loaded(_page(heading, error.message), "")
    except BaseException as error:
        # SystemExit and KeyboardInterrupt too: whatever an import raises, the next save may mend it.
        _give_up_unless_reloading(assignment, traceback_of(error))
        from portico.dev.error_page import page_of_exception

        log.error(f"{heading}\n{traceback_of(error)}")
        reporter.report([], failed_files=files_of_failure(error), has_failed=True)
        return Loaded(page_of_exception(heading, error, shows_locals=options.shows_locals), "")
    loaded.event_loop = event_loop
    reporter.report(template_globs(loaded.innermost, set(imported_files())))
    loaded.application = DevelopmentApplication(
        loaded.application, loaded.name, reporter, shows_locals=options.shows_locals
    )
    return loaded


def _give_up_unless_reloading(assignment: DevelopmentAssignment, why: str) -> None:
    if not assignment.options.reloads:
        fail(assignment.worker, why)


def _page(heading: str, text: str) -> WSGIApplication:
    from portico.dev.error_page import page_of_text

    return page_of_text(heading, text)
