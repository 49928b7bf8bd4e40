"""What the workers may do: who they are, what they may use, where they may write."""

from __future__ import annotations

from portico.config.kinds import Choice, FilePath, Flag
from portico.config.privileges import Account, Capability, ResourceLimit, Umask
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_PRIVILEGES = Group("privileges", "privileges")


class PrivilegeSettings(Values):
    """The rows of the group `privileges`."""

    __slots__ = ()

    user = Setting(
        "user",
        Account("USER", "a user"),
        "",
        short_flag="-u",
        group=_PRIVILEGES,
        documentation="Who the workers are, and with them the application, where portico is started as root. "
        "The supervisor, which calls none of your code, stays what it was started as: it opens logs and "
        "addresses again after a reload. HOME, USER and LOGNAME of the workers are those of this user. More "
        "in docs/operations.md.",
    )
    group = Setting(
        "group",
        Account("GROUP", "a group"),
        "",
        short_flag="-g",
        group=_PRIVILEGES,
        documentation="The group of the workers. Without it, the first group of `user`.",
    )
    groups = ManySetting(
        "groups",
        Account("GROUP", "a group"),
        (),
        separator=",",
        group=_PRIVILEGES,
        documentation="The supplementary groups of the workers, or none. Without it, all groups that `user` "
        "is in. May be repeated.",
    )
    umask = Setting(
        "umask",
        Umask(),
        None,
        group=_PRIVILEGES,
        documentation="Permissions that new files do not get, in octal: those of the application, logs, and "
        "Unix sockets that have no mode in their address. Without it, what portico is started with.",
    )
    limits = ManySetting(
        "limit",
        ResourceLimit(),
        (),
        key="limits",
        separator=",",
        group=_PRIVILEGES,
        documentation="What a worker may use, as setrlimit(2) says it: `nofile=4096`, `core=0`, `as=2G`, "
        "`nproc=64:128` (soft and hard limit), `core=unlimited`. In the file a table, "
        '`limits = { nofile = 4096, as = "2G" }`. May be repeated.',
    )
    no_new_privs = Setting(
        "no_new_privs",
        Flag(),
        False,
        group=_PRIVILEGES,
        documentation="Whether programs that the application starts can gain nothing by their file, such as "
        "sudo does (PR_SET_NO_NEW_PRIVS).",
    )
    capabilities = ManySetting(
        "capabilities",
        Capability(),
        (),
        separator=",",
        group=_PRIVILEGES,
        documentation="The capabilities that workers keep, such as net_bind_service, or none; programs that "
        "the application starts can have no others. Without it a worker of another `user` has none, and one "
        "of root has all. May be repeated.",
    )
    read_only = Setting(
        "read_only",
        Flag(),
        False,
        group=_PRIVILEGES,
        documentation="Whether the application, and what it starts, may write to no file but those of "
        "`writable`, /dev and the directory for temporary files (Landlock of Linux 5.13 and later). "
        "`no_new_privs` goes with it.",
    )
    writable = ManySetting(
        "writable",
        FilePath(),
        (),
        separator=":",
        group=_PRIVILEGES,
        documentation="A file, or a directory and all below it, that can be written although `read_only` is "
        "on. May be repeated.",
    )
    landlock = Setting(
        "landlock",
        Choice("require", "try"),
        "require",
        group=_PRIVILEGES,
        documentation="What happens to `read_only` where the kernel has no Landlock: portico does not start, "
        "or with `try` says so and serves without it.",
    )
