"""Where those who run the server look at it."""

from __future__ import annotations

from portico.config.kinds import AdminAddress, Flag
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
    prometheus_client = Setting(
        "prometheus_client",
        Flag(),
        True,
        group=_ADMIN,
        documentation="Whether what the application counts by the library prometheus_client is told at the "
        "admin address, of all workers together: its multiprocess mode is set up, by "
        "PROMETHEUS_MULTIPROC_DIR, unless that variable is set already.",
    )
