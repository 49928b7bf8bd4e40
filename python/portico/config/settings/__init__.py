"""The one table of settings: a new one is a row in a file here, and a field of the engine's if Rust needs it.

The rows are also the typed attributes of `Settings`, so no setting is listed a second time: the command
line, the environment variables, the help and the documentation are all generated from the rows (step by
step: docs/contributing/add-a-setting.md). Unit and attribute name go together: a duration ends in `_s`, a
size in `_bytes`. Rows of one group stand together, in one file. The files are few: each process that starts
reads them all.

Values are plain built-in types: they cross an exec (process/plan.py).
"""

from __future__ import annotations

from portico.config.setting import Group, Setting
from portico.config.settings.admin import AdminSettings, OtlpSettings, StatsdSettings
from portico.config.settings.application import ApplicationSettings
from portico.config.settings.care import CareSettings
from portico.config.settings.cluster import ClusterSettings
from portico.config.settings.compression import CompressionSettings, ErrorPageSettings
from portico.config.settings.control import ControlSettings
from portico.config.settings.limits import LimitSettings
from portico.config.settings.listening import ListeningSettings
from portico.config.settings.logs import LogSettings
from portico.config.settings.privileges import PrivilegeSettings
from portico.config.settings.processes import ProcessSettings
from portico.config.settings.reloads import ReloadSettings
from portico.config.settings.reverse_proxies import ReverseProxySettings
from portico.config.settings.scaling import ScalingSettings
from portico.config.settings.times import TimeSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Settings(
    # In the order of the help.
    ApplicationSettings,
    ProcessSettings,
    ScalingSettings,
    ReloadSettings,
    CareSettings,
    PrivilegeSettings,
    ListeningSettings,
    LimitSettings,
    TimeSettings,
    CompressionSettings,
    ErrorPageSettings,
    ReverseProxySettings,
    ClusterSettings,
    LogSettings,
    ControlSettings,
    AdminSettings,
    StatsdSettings,
    OtlpSettings,
):
    """All settings of one server, each with where its value came from."""

    __slots__ = ()


TABLE: tuple[Setting[Any], ...] = tuple(
    row for part in Settings.__bases__ for row in vars(part).values() if isinstance(row, Setting)
)
"""Every row, in the order of the help."""


def by_group() -> dict[Group, list[Setting[Any]]]:
    """Return the rows of each group, both in the order of the help."""
    groups: dict[Group, list[Setting[Any]]] = {}
    for row in TABLE:
        groups.setdefault(row.group, []).append(row)
    return groups
