"""What a supervisor reads once its first workers serve, while the files of this program are still its own.

Whatever it is told later must not need code from the disk: by then another version may be there, or the link
to a virtual environment may lead elsewhere, which is what upgrades are for. Not at the start, since it would
be in the memory of each of those workers. Most of it is kept as code that does not run before it is needed
(`kept_code.py`); what settings ask for, with whatever that imports, is imported. Runs once, in the
supervisor; imported when it does.
"""

from __future__ import annotations

import os
import sys

from portico import _core
from portico.config.identity import are_privileges_given_up
from portico.process.kept_code import KeptCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.plan import Plan

FOR_ALL = (
    *("portico.process.reread", "portico.process.dry_run", "portico.process.handed_file"),
    *("portico.process.upgrade", "portico.process.reopening", "portico.process.drain_delay"),
    *("portico.process.last_connections", "portico.process.unaccepted", "portico.process.pid_file"),
    *("portico.process.control.actions", "portico.process.control.lasting", "portico.process.scaling"),
    *("portico.process.control.verb_error", "portico.process.control.reports", "portico.process.figures"),
    *("portico.process.resident", "portico.process.saturation", "portico.process.busyness"),
    *("portico.process.control.clients", "portico.process.control.json_lines"),
    *("portico.process.control.verbs", "portico.app_loader.callables"),
    *("portico.process.slow_lines", "portico.process.recent_errors", "encodings.unicode_escape"),
)
"""For signals, control verbs and the end, and for workers that take the place of others; with all that these
import which a supervisor has not."""

_LOOPS = "portico.event_loops"
_FOR_LOOPS = {
    "threads": (),
    "gevent": ("greenlets", "gevent", "stacks"),
    "asyncio": ("greenlets", "asyncio", "stacks"),
    "tornado": ("greenlets", "asyncio", "tornado", "tornado_application", "stacks"),
}
"""For workers whose calls have an event loop, of that package, by the way."""

_TO_TELL = (
    *("portico.process.figures", "portico.process.durations", "portico.process.pools.metric_lines"),
    *("portico.admin.of_application", "portico.process.admin.overview"),
)
"""For what a pool is asked by the server of all pools, and what it has to say at its end."""
_TO_KEEP = ("portico.process.pools.pool_metrics",)
"""For that server."""


def settle(plan: Plan) -> None:
    """Have what may be needed, by the plan of this start; know where packages are, whatever links do.

    Raises OSError if that cannot be read at the moment; then it is to be called again.
    """
    kept = KeptCode()
    for name in FOR_ALL:
        _try(kept.keep, name)
    sys.meta_path.insert(0, kept)
    for name in _by_settings(plan):
        _try(__import__, name)
    # After their package, which is among these.
    for name in _FOR_LOOPS[plan.settings.worker]:
        _try(kept.keep, f"{_LOOPS}.{name}")
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "portico" and hasattr(module, "__path__"):
            module.__path__ = [os.path.realpath(path) for path in module.__path__]
    _core.give_back_memory()


def _try(have: Callable[[str], object], name: str) -> None:
    try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
        have(name)
    except ImportError:
        pass  # it cannot be imported when it is needed, either, and perhaps never is


def _by_settings(plan: Plan) -> list[str]:
    settings = plan.settings
    asked_for = {
        "portico.process.admin.serving": plan.admin,
        "portico.process.statsd.pushing": settings.statsd != "off",
        "portico.process.otlp.serving": settings.otlp != "off",
        "portico.process.hooks": plan.hooks,
        "portico.process.control.upstreams": settings.routes,
        "portico.process.upstreams.members": settings.routes,
        "portico.process.template": settings.preload,
        _LOOPS: _FOR_LOOPS[settings.worker],
        "portico.process.warmup": settings.warmup,
        "portico.process.wrapping": settings.middleware,
        "portico.process.privileges": are_privileges_given_up(settings, plan.identity),
    }
    names = [name for name, is_asked_for in asked_for.items() if is_asked_for]
    if plan.has_metrics and settings.pool is not None:
        names += _TO_TELL
    elif plan.has_metrics and settings.pools is not None:
        names += _TO_KEEP
    return names
