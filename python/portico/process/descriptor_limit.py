"""How many descriptors a worker may need, and the limit that is raised for it."""

from __future__ import annotations

import resource

from portico.config.settings import Settings
from portico.errors import OperatorError

_DESCRIPTORS_OF_THE_APPLICATION = 256
"""Descriptors of a worker besides connections and temporary files: listeners, pipes, the application."""
_LEAST_DESCRIPTORS = 16
"""With fewer a worker that has no connection yet may not come to serve."""
_MOST_TEMPORARY_FILES = 2048
"""As in src/bounds.rs, which gives temporary files a fifth of what there is, at most this many."""


def wanted_descriptors(settings: Settings) -> int:
    """Return how many descriptors a worker may need: the limit that portico wants to run under."""
    wanted = settings.max_connections + _DESCRIPTORS_OF_THE_APPLICATION
    return wanted + min(wanted // 4, _MOST_TEMPORARY_FILES)


def check_descriptor_limit(settings: Settings) -> None:
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
