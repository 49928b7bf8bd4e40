"""How many workers there are when that is not one number: growth, shrinking, none at all."""

from __future__ import annotations

from portico.config.kinds import Duration, NumberOrAuto
from portico.config.setting import Group, Setting
from portico.config.values import Values

_SCALING = Group("scaling", "scaling")


class ScalingSettings(Values):
    """The rows of the group `scaling`."""

    __slots__ = ()

    workers_min = Setting(
        "workers_min",
        NumberOrAuto(0, 512),
        None,
        group=_SCALING,
        documentation="The fewest workers; auto is as many as `workers`. With fewer, workers leave one by "
        "one after a minute in which fewer would have done. With 0 all leave after `idle_timeout`, and the "
        "next connection starts one.",
    )
    workers_max = Setting(
        "workers_max",
        NumberOrAuto(1, 512),
        None,
        group=_SCALING,
        documentation="The most workers; auto is as many as `workers`. With more, workers start when those "
        "there are have little left: of their threads, or of a CPU each.",
    )
    idle_timeout_s = Setting(
        "idle_timeout",
        Duration(1, 86400),
        300.0,
        group=_SCALING,
        documentation="With `workers_min` 0: how long no connection may have been open until all workers "
        "leave.",
    )
