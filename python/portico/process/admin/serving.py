"""The admin process as itself: be who workers are, and serve until the supervisor says otherwise, or is gone.

Runs in a forked process, on its main thread. It has the sockets of the admin address, the end of a line that
the engine hears orders over as in a worker (`messages.py`), and one over which it asks for figures. Signals
for people to stop a server are the supervisor's business: what is told here is of use until the end.
"""

from __future__ import annotations

import gc
import os
import sys

from portico import _core, log
from portico.admin.access import Access, read_token
from portico.admin.application import AdminApplication
from portico.admin.of_application import ApplicationMetrics
from portico.admin.of_prometheus_client import ClientMetrics
from portico.app_loader.modules import extend_path
from portico.config.reach import is_reached_from_elsewhere
from portico.errors import EXIT_FINE, quoted
from portico.process.admin.question import Question
from portico.process.admin.started import when_started
from portico.process.beside import be_beside
from portico.process.messages import Ready, encode
from portico.process.plan import handed_settings
from portico.process.worker import WorkerListener, flush_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from portico.admin import Samples
    from portico.process.admin.sources import Sources
    from portico.process.plan import Plan
    from portico.types import (
        EngineListener,
        EngineRouting,
        ErrorLog,
        EventLoop,
        OnInterrupt,
        OnResponse,
        WSGIApplication,
    )

_SETTINGS: dict[str, Any] = {
    "script_name": "",
    "strict": False,
    # Two for metrics, of which one may wait for the supervisor. Each who watches the dashboard (8: see
    # portico.admin.dashboard.watching), and who has a profile made, has another, started when it is needed.
    "worker": "threads",
    "threads": 11,
    "graceful_timeout_s": 2.0,
    "max_request_body_bytes": 4096,
    "max_connections": 128,
    "max_in_flight": 64,
    "health_paths": (),
    "static_directories": (),
    "x_sendfile": (),
    "x_accel_redirect": (),
    "error_pages": (),
    "compress": (),
}
"""What is said of the application that is served has no meaning here. Limits and times of connections do."""


class AdminEngineProcess:
    """What the engine is told of this process (`portico.types.EngineProcess`)."""

    def __init__(self, plan: Plan, supervisor_fd: int) -> None:
        self.listeners: list[EngineListener] = [WorkerListener(listener) for listener in plan.admin]
        self.signal_fd = self.wakeup_fd = self.wakeup_read_fd = self.gate_fd = self.access_log_fd = -1
        self.spans_fd = -1
        self.supervisor_fd = supervisor_fd
        self.ready_frame = encode(Ready())
        self.multiprocess = False
        self.access_log_colour = False
        self.errors: ErrorLog = log.ErrorStream()
        self.has_metrics = False
        self.application_name = "portico.admin"
        self.innermost: WSGIApplication | None = None
        self.has_middleware = False
        self.on_interrupt: OnInterrupt | None = None
        self.on_response: OnResponse | None = None
        self.event_loop: EventLoop | None = None
        self.routing: EngineRouting | None = None


def serve_admin(
    plan: Plan,
    sources: Sources,
    *,
    supervisor_fd: int,
    figures_fd: int,
    supervisor_pid: int,
) -> NoReturn:
    """Be the admin process of `plan`; ends the process."""
    gc.enable()
    # Before privileges are given up: what the application runs as need not be able to read it.
    access = _access(plan)
    be_beside(plan, "admin")
    question = Question(figures_fd, of_this_process(supervisor_pid))
    # Where the library of the application may be.
    extend_path([os.path.join(plan.directory, path) for path in plan.settings.pythonpath])
    settings = handed_settings({**plan.settings.values, **_SETTINGS}, plan.settings.origins)
    process = AdminEngineProcess(plan, supervisor_fd)
    application = AdminApplication(
        question,
        access,
        _write,
        of_application=ApplicationMetrics(sources.scoreboard).now,
        of_client=ClientMetrics(sources.metrics_directory).text,
    )
    _core.serve(application, settings, process, _core.Scoreboard(1), 0)
    flush_all()
    os._exit(EXIT_FINE)


def _access(plan: Plan) -> Access:
    """Return who may read what at the address of `plan`; ends the process if its token cannot be read."""
    file, token = plan.settings.admin_token_file, ""
    try:
        if file:
            token = read_token(os.path.join(plan.directory, file))
    except (OSError, ValueError) as error:
        # It was there at the start.
        log.error(f"cannot read the admin token in {quoted(file)}: {error}")
        flush_all()
        os._exit(1)
    return Access(
        is_unix=all(not listener.address.host for listener in plan.admin),
        is_exposed=any(is_reached_from_elsewhere(listener.address) for listener in plan.admin),
        token=token,
    )


def _write(value: Any) -> bytes:
    # Here, because metrics are none.
    from portico.process.control.json_lines import write_line

    return write_line(value)


def of_this_process(supervisor_pid: int) -> Samples:
    """Return what stays the same while this process lives."""
    python = sys.version.partition(" ")[0]
    samples: Samples = {"portico_build_info": [((_core.__version__, python), 1)]}
    started_at_s = when_started(supervisor_pid)
    if started_at_s is not None:
        samples["process_start_time_seconds"] = [((), started_at_s)]
    return samples
