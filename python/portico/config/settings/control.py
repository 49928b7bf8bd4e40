"""How a running server is found and asked."""

from __future__ import annotations

from portico.config.kinds import LogFile
from portico.config.setting import Group, Setting
from portico.config.values import Values

_CONTROL = Group("control", "control")


class ControlSettings(Values):
    """The rows of the group `control`."""

    __slots__ = ()

    control = Setting(
        "control",
        LogFile("auto, off, or the path of a socket", ("auto", "off")),
        "auto",
        group=_CONTROL,
        documentation="The Unix socket by which `portico ctl` asks and steers this server; only its own user "
        "and root may. auto is a file of its own in /run/portico for root, in $XDG_RUNTIME_DIR/portico for "
        "others, in /tmp/portico-UID where there is no such variable; off is none. A socket that cannot be "
        "made is a warning. Takes a restart.",
    )
    pid_file = Setting(
        "pid_file",
        LogFile("a file, or off", ("off",)),
        "off",
        group=_CONTROL,
        documentation="A file that has the process id of the supervisor while it runs. One that a killed "
        "server has left is taken over; where the process runs, the start fails. Takes a restart.",
    )
