"""Times of a reverse proxy that agree with portico's: the proxy gives up later, lets go earlier.

Pure; seconds, whole ones, because not every reverse proxy knows parts of them.
"""

from __future__ import annotations

import math

from portico.config.setting import Setting
from portico.config.settings import Settings

CONNECT_S = 5
"""To connect: portico always listens, even while no worker is there."""
UNLIMITED_S = 86400
"""What stands for "no limit" where a reverse proxy has to be given one."""
_MARGIN_S = 5
"""How much later than portico a reverse proxy gives up, at least."""
_REPLACED_S = 4
"""How long after `timeout_grace` a worker may be replaced whose interpreter does not come free."""


class ProxyTimes:
    """What a reverse proxy is given for its connection to portico.

    `keep_alive_s` is how long it keeps an idle connection, shorter than portico does, so that no request is
    sent on one that is just being closed; 0 is not at all. `read_s` is how long it waits for the response:
    portico's own error response, or the end of its worker, comes first.
    """

    def __init__(self, settings: Settings) -> None:
        # A third earlier, but at least half a second.
        self.keep_alive_s = math.floor(min(settings.keep_alive_s * 2 / 3, settings.keep_alive_s - 0.5))
        self.keep_alive_s = max(0, self.keep_alive_s)
        self.keep_alive_source = f"less than {shown(settings, Settings.keep_alive_s)}"
        named = f"{_longest_timeout(settings)} + {shown(settings, Settings.queue_timeout_s)}"
        margin_s = max(_MARGIN_S, math.ceil(settings.timeout_grace_s) + _REPLACED_S)
        timeouts = [settings.timeout_s, *(timeout_s for _, timeout_s in settings.route_timeout)]
        if all(timeouts) and settings.queue_timeout_s:
            self.read_s = math.ceil(max(timeouts) + settings.queue_timeout_s) + margin_s
            self.read_source = f"{named} + {margin_s}s"
        else:
            known_s = max(timeouts) + settings.queue_timeout_s
            self.read_s = max(UNLIMITED_S, math.ceil(known_s) + margin_s)
            self.read_source = f"{named}, 0 is no limit: as long as can be"


def _longest_timeout(settings: Settings) -> str:
    """Return the setting by which a call may take longest, as in `timeout 1m`; 0 is longest."""
    routes = Settings.route_timeout
    longest = max(settings.route_timeout, key=lambda route: route[1] or math.inf, default=("", -1.0))
    if (longest[1] or math.inf) <= (settings.timeout_s or math.inf):
        return shown(settings, Settings.timeout_s)
    return f"{routes.name} {routes.kind.show(longest)}"


def shown(settings: Settings, row: Setting[float] | Setting[int]) -> str:
    """Return name and value of a setting, as in `timeout 1m`."""
    return f"{row.name} {row.kind.show(settings.values[row.attribute])}"


def whole_s(duration_s: float) -> int:
    """Return `duration_s` in whole seconds, rounded up: a reverse proxy must not be stricter than portico."""
    return math.ceil(duration_s)


def stop_s(settings: Settings) -> int:
    """Return how long portico may take to stop, with some room: whoever waits less kills it."""
    return math.ceil(settings.drain_delay_s + settings.graceful_timeout_s) + _MARGIN_S


def stop_source(settings: Settings) -> str:
    """Return what that is made of, as in `graceful_timeout 30s + 5s`."""
    parts = [Settings.drain_delay_s] if settings.drain_delay_s else []
    return " + ".join(
        [shown(settings, part) for part in [*parts, Settings.graceful_timeout_s]] + [f"{_MARGIN_S}s"]
    )
