"""The table of verbs: what a request may ask for, by the word in its field `verb`."""

from __future__ import annotations

from portico.process.control import PROTOCOL
from portico.process.control.actions import (
    drain,
    flag,
    recycle,
    reload,
    reopen_logs,
    scale,
    set_log_level,
    stop,
    upgrade,
    write_stacks,
)
from portico.process.control.reports import config, errors, requests, slow, status, workers
from portico.process.control.verb_error import VerbError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.process.control.json_lines import Scalar
    from portico.process.control.subject import Subject

    Outcome = Callable[[], dict[str, Any] | None]
    Verb = Callable[[Subject, dict[str, Scalar], float], dict[str, Any] | Outcome]


def _of_upstreams(name: str) -> Verb:
    def verb(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any] | Outcome:
        # Here, because few servers have upstreams.
        from portico.process.control import upstreams

        done: dict[str, Any] | Outcome = getattr(upstreams, name)(subject, request, now_s)
        return done

    return verb


def _profile(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any] | Outcome:
    # Here, because few are asked for one.
    from portico.process.control.profiles import profile

    return profile(subject, request, now_s)


VERBS: dict[str, Verb] = {
    "status": status,
    "workers": workers,
    "requests": requests,
    "slow": slow,
    "errors": errors,
    "config": config,
    "reload": reload,
    "upgrade": upgrade,
    "stop": stop,
    "scale": scale,
    "drain": drain,
    "recycle": recycle,
    "stacks": write_stacks,
    "reopen-logs": reopen_logs,
    "log-level": set_log_level,
    "profile": _profile,
    "upstream": _of_upstreams("upstreams"),
    "upstream-add": _of_upstreams("add"),
    "upstream-drain": _of_upstreams("drain"),
    "upstream-remove": _of_upstreams("remove"),
}
"""Each is given the request and the time, and returns its result, or something to call, again and again, that
does once there is one. Both raise VerbError.
"""


def begin(subject: Subject, request: dict[str, Scalar], now_s: float) -> dict[str, Any] | Outcome:
    """Begin what `request` asks for. Raises VerbError."""
    protocol, word = request.get("protocol"), request.get("verb")
    if protocol is True or protocol != PROTOCOL:
        raise VerbError("bad-request", f"expected protocol {PROTOCOL}, got {protocol!r}")
    verb = VERBS.get(word) if isinstance(word, str) else None
    if verb is None:
        raise VerbError("bad-request", f"expected one of {', '.join(VERBS)}, got {word!r}")
    # Before anything is begun.
    flag(request, "wait", default=True)
    return verb(subject, request, now_s)
