"""Where those who run the server look at it."""

from __future__ import annotations

from portico.config.kinds import AdminAddress
from portico.config.setting import Group, Setting
from portico.config.values import Values

_ADMIN = Group("admin", "admin")


class AdminSettings(Values):
    """The rows of the group `admin`."""

    __slots__ = ()

    admin_bind = Setting(
        "admin_bind",
        AdminAddress(),
        "off",
        group=_ADMIN,
        key="bind",
        documentation="Where a process of its own serves /metrics, for Prometheus and those that read the "
        "same: HOST:PORT, or unix:PATH with the options of `bind`; off is nowhere. It tells counts, and "
        "nothing of what is in requests; whoever may connect there may read them. More in "
        "docs/run/metrics.md.",
    )
