"""The command line of a pool: it is called as the one of the whole server was, with `--pool NAME`.

Runs in the process of that command line, before anything of the application's is looked at. Receives the
settings of the pool; where the server of all pools has called, they are those of a pool that serves on the
socket which that has made.
"""

from __future__ import annotations

import os
from typing import Any

from portico.config.accounts import identity_of
from portico.config.settings import Settings
from portico.process.privileges import become
from portico.process.virtual_environment import enter_virtual_environment


def enter_pool(settings: Settings, ways: tuple[int, int, str] | None) -> None:
    """Make `settings`, of a pool, those of the one behind `ways`: its socket, its line, where it is asked.

    Without them it is served by hand. A pool whose files are its user's goes on as that user. Does not return
    where another Python goes on. Raises OperatorError.
    """
    assert settings.pool is not None, "called for a pool"
    pool = settings.pool
    by_hand = pool.pop("by_hand")
    if ways is None:
        settings.values |= by_hand
        pool["has_metrics"] = False
    else:
        listener_fd, pool["line_fd"], control = ways
        changed: dict[str, Any] = {
            Settings.bind.attribute: (f"fd://{listener_fd}",),
            Settings.control.attribute: control,
        }
        settings.values |= changed
        settings.origins |= dict.fromkeys(changed, "the server of all pools")
        if pool["is_own_user"] and (identity := identity_of(settings)):
            become(settings, identity)
            # The run directory of who it was.
            os.environ.pop("XDG_RUNTIME_DIR", None)
    enter_virtual_environment(settings)
