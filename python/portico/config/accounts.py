"""Who the workers are to be: names of users and groups to numbers, by the databases of this machine.

Runs in the process of the command line, which has `pwd` and `grp` and whatever these load; the numbers cross
the exec in the plan.
"""

from __future__ import annotations

import os
import pwd

from portico.config.capabilities import NONE
from portico.config.identity import UNCHANGED, Identity, is_identity_given
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.errors import quoted, raise_mistakes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.config.setting import Setting


def identity_of(settings: Settings) -> Identity | None:
    """Return who the workers of `settings` are; None if they are who portico runs as anyway.

    Raises OperatorError with a sentence for each user and group that there is none of.
    """
    if not is_identity_given(settings):
        return None
    mistakes: list[str] = []
    entry = _user(settings, mistakes)
    uid = entry.pw_uid if entry else int(settings.user) if settings.user.isdecimal() else UNCHANGED
    gid = _group(settings, Settings.group, settings.group, mistakes) if settings.group else UNCHANGED
    if not settings.group and settings.user and not mistakes:
        if entry is None:
            mistakes.append(
                f"{settings.origins[Settings.user.attribute]}: no user has the number {settings.user}, so "
                "the group has to be named, too, by --group"
            )
        else:
            gid = entry.pw_gid
    groups = _groups(settings, entry, gid, mistakes)
    raise_mistakes(mistakes)
    if os.geteuid() and uid in (UNCHANGED, os.geteuid()) and gid in (UNCHANGED, os.getegid()):
        is_in_all = set(groups) <= {os.getegid(), *os.getgroups()}
        if is_in_all or settings.origins[Settings.groups.attribute] == DEFAULT_ORIGIN:
            return None
    names = ("HOME", "USER", "LOGNAME")
    variables = dict(zip(names, (entry.pw_dir, entry.pw_name, entry.pw_name), strict=True)) if entry else {}
    # What is said for the application is.
    for name, _ in settings.env:
        variables.pop(name, None)
    return Identity(uid, gid, groups, variables)


def _user(settings: Settings, mistakes: list[str]) -> pwd.struct_passwd | None:
    user = settings.user
    if not user:
        return None
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        if not user.isdecimal():
            mistakes.append(f"{settings.origins[Settings.user.attribute]}: there is no user {quoted(user)}")
        return None


def _group(settings: Settings, row: Setting[Any], group: str, mistakes: list[str]) -> int:
    if group.isdecimal():
        return int(group)
    # Here, because few name any.
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        mistakes.append(f"{settings.origins[row.attribute]}: there is no group {quoted(group)}")
        return UNCHANGED


def _groups(settings: Settings, entry: pwd.struct_passwd | None, gid: int, mistakes: list[str]) -> list[int]:
    if settings.groups:
        named = [group for group in settings.groups if group != NONE]
        return [_group(settings, Settings.groups, group, mistakes) for group in named]
    if entry is not None:
        return os.getgrouplist(entry.pw_name, entry.pw_gid if gid == UNCHANGED else gid)
    return [] if gid == UNCHANGED else [gid]
