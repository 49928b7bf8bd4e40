"""The exporting process as itself: be who workers are, and send until the supervisor says so, or is gone.

Runs in a forked process. Its main thread does nothing but take messages out of the socket, so that this has
room; two more threads send (`portico.otlp.delivery`). Signals for people to stop a server are the
supervisor's business: there is something to send until the end.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import sys
import time

from portico import _core, log
from portico.admin import SilentError
from portico.admin.of_application import ApplicationMetrics
from portico.admin.of_pools import with_pools
from portico.errors import EXIT_FINE
from portico.process.admin.question import Question
from portico.process.admin.serving import of_this_process
from portico.process.admin.started import when_started
from portico.process.beside import be_beside
from portico.process.worker import flush_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from opentelemetry.sdk.metrics.export import MetricsData

    from portico.otlp.delivery import SpanDelivery
    from portico.otlp.metrics import MetricsMaker
    from portico.process.admin.sources import Sources
    from portico.process.plan import Plan

_MESSAGE_BYTES = 65536
# The thread that takes messages waits for the others at most so long.
_SWITCH_S = 0.001
# The part of the time at the end that is for the last metrics.
_LAST_METRICS = 0.2
_AWAY_S = 1.5


def export(
    plan: Plan,
    sources: Sources,
    *,
    line_fd: int,
    figures_fd: int,
    spans_fd: int,
    supervisor_pid: int,
    drain_s: float,
) -> NoReturn:
    """Be the exporting process of `plan`; ends the process."""
    gc.enable()
    sys.setswitchinterval(_SWITCH_S)
    be_beside(plan, "otlp")
    # Here, since they are nobody else's.
    from opentelemetry.sdk.metrics.export import MetricExportResult
    from opentelemetry.sdk.trace.export import SpanExportResult

    from portico.otlp.delivery import KeepReason, MetricDelivery, Outage, SpanDelivery
    from portico.otlp.destination import Bounds, metric_exporter, place_of, resource_of, span_exporter
    from portico.otlp.metrics import MetricsMaker
    from portico.otlp.spans import SpanMaker

    settings, bounds = plan.settings, Bounds(plan.settings)
    outage = Outage(place_of(settings), log.warning, log.info)
    _hear_sdk(KeepReason(outage))
    resource = resource_of(settings, plan.name, host=os.uname().nodename, pid=supervisor_pid)
    spans, metrics = span_exporter(settings), metric_exporter(settings)
    delivery = SpanDelivery(
        SpanMaker(resource, _core.__version__).make,
        lambda batch: spans is None or spans.export(batch) is SpanExportResult.SUCCESS,
        outage,
        queue=bounds.queue,
        batch=bounds.batch,
        delay_s=bounds.span_delay_s,
    )
    question = Question(figures_fd, of_this_process(supervisor_pid))
    since_s = when_started(supervisor_pid) or time.time()
    maker = MetricsMaker(resource, _core.__version__, started_at_ns=int(since_s * 1e9))
    of_application = ApplicationMetrics(sources.scoreboard)
    since_ns = time.time_ns()

    def send_metrics() -> bool:
        data = _metrics(maker, question, of_application, delivery, since_ns)
        return metrics is None or data is None or metrics.export(data) is MetricExportResult.SUCCESS

    metric_delivery = MetricDelivery(send_metrics, outage, interval_s=bounds.interval_s)
    delivery.start()
    metric_delivery.start()
    _take_messages(spans_fd, line_fd, delivery.add)
    # One that is away is not waited for.
    until_s = time.monotonic() + (_AWAY_S if outage.is_away else drain_s)
    unsent = delivery.end(until_s - drain_s * _LAST_METRICS)
    if unsent:
        log.warning(
            f"{unsent} spans are lost: the collector at {place_of(settings)} has not taken them in time"
        )
    metric_delivery.end(until_s)
    flush_all()
    _core.flush_log(0.2)
    os._exit(EXIT_FINE)


def _take_messages(spans_fd: int, line_fd: int, add: Callable[[bytes], None]) -> None:
    """Hand on what workers say, until the supervisor says that it is enough, or is gone."""
    poll = select.poll()
    poll.register(spans_fd, select.POLLIN)
    poll.register(line_fd, select.POLLIN)
    is_last = False
    while not is_last:
        # Any order is the one to leave, and so is the supervisor's end. What was said before is taken first.
        is_last = any(fd == line_fd for fd, _ in poll.poll())
        try:
            while message := os.read(spans_fd, _MESSAGE_BYTES):
                add(message)
        except BlockingIOError:
            pass


def _metrics(
    maker: MetricsMaker,
    question: Question,
    of_application: ApplicationMetrics,
    delivery: SpanDelivery,
    since_ns: int,
) -> MetricsData | None:
    """Return the data of all metrics as they are now; None if the supervisor does not say."""
    try:
        samples = question.ask(kept_s=0)
    except SilentError:
        return None
    families, all_samples = with_pools(*of_application.now(), samples)
    return maker.make(
        all_samples,
        families,
        delivery.counts,
        own_since_ns=since_ns,
        now_ns=time.time_ns(),
    )


def _hear_sdk(handler: logging.Handler) -> None:
    """Let what the SDK logs of exports go to `handler` alone; all else, and its client of HTTP, is silent."""
    for name in ("opentelemetry", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    logging.getLogger("opentelemetry.exporter").addHandler(handler)
