"""Where those who run the server look at it."""

from __future__ import annotations

from portico.config.kinds import AdminAddress, FilePath, Flag
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
        "same, and a dashboard: HOST:PORT, or unix:PATH with the options of `bind`; off is nowhere. Metrics "
        "are counts, and nothing of what is in requests; the dashboard has paths, and needs "
        "`admin_token_file` where other machines can connect. More in docs/run/metrics.md and "
        "docs/run/dashboard.md.",
    )
    admin_token_file = Setting(
        "admin_token_file",
        FilePath(),
        "",
        group=_ADMIN,
        key="token_file",
        documentation="A file with the token without which nothing is shown at the admin address over TCP: "
        "16 to 256 visible characters. It is read before privileges are given up, and anew at a reload. "
        "Without one, metrics are shown to whoever can connect, and the dashboard at a loopback address or a "
        "Unix socket alone.",
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
