"""How workers start, and how a reload replaces them."""

from __future__ import annotations

from portico.config.kinds import Duration, FilePath, Flag, NumberOrShare, WarmupUrl, WholeNumber
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_RELOADS = Group("starts and reloads", "reloads")


class ReloadSettings(Values):
    """The rows of the group `starts and reloads`."""

    __slots__ = ()

    boot_timeout_s = Setting(
        "boot_timeout",
        Duration(0, 86400),
        300.0,
        group=_RELOADS,
        documentation="How long a worker may take until it is ready, the import of the application included. "
        "After 5 s, and then now and again, the error log says on which line it is; after this time it is "
        "given up: a start fails, a reload leaves the workers of before. 0 is no limit.",
    )
    warmup = ManySetting(
        "warmup",
        WarmupUrl(),
        (),
        separator=",",
        group=_RELOADS,
        documentation="What a worker asks its application for before it says that it is ready: a path such "
        "as /catalogue, or a URL such as https://shop.example/, where the application looks at the host. It "
        "does not get ready if the application raises, or responds with 500 or more. May be repeated; asked "
        "in this order.",
    )
    preload = Setting(
        "preload",
        Flag(),
        False,
        group=_RELOADS,
        documentation="Whether the application is loaded once, in a process of its own from which the "
        "workers are forked: they share its memory, and start at once. What it must not start or open while "
        "it is loaded is in docs/operations.md; the error log names what it does.",
    )
    refork_after = Setting(
        "refork_after",
        WholeNumber(0, 1_000_000_000),
        0,
        group=_RELOADS,
        documentation="With `preload`: after how many requests of one worker all are forked from that one, "
        "once, so that they share what was loaded and cached while serving. 0 is never.",
    )
    reload_parallel = Setting(
        "reload_parallel",
        NumberOrShare(1, 1000),
        "1",
        group=_RELOADS,
        documentation="How many workers a reload starts at a time, and how many max_requests, max_lifetime "
        "and max_rss replace at a time: a number, or a share of all such as 25%. An old worker leaves when a "
        "new one is ready, whatever this is.",
    )
    touch_reload = ManySetting(
        "touch_reload",
        FilePath(),
        (),
        separator=":",
        group=_RELOADS,
        documentation="Reload when this file changes (its time, or its size), when a link leads to another, "
        "or when it appears or goes; looked at every other second. May be repeated.",
    )
