"""A worker gives up what it has no need of: it becomes another user, and may use, do and write less.

Runs in a process with one thread: in a worker right after the fork, before anything of the application is
imported, and in a child of the command line that tries it (`privilege_trial.py`). The order matters: limits
may only be raised, and groups and users only be changed, by who still may.
"""

from __future__ import annotations

import os
import stat

from portico import _core
from portico.config.identity import UNCHANGED
from portico.errors import OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.config.identity import Identity
    from portico.config.settings import Settings

_ROOT = 0
_STANDARD_FDS = (0, 1, 2)
# Written to by programs of all kinds; who may is for the modes of its files to say.
_DEVICES = "/dev"
_TEMPORARY = "/tmp"


def give_up(settings: Settings, identity: Identity | None, directory: str) -> str:
    """Make this process what a worker of `settings` may be; return a sentence if that is less than asked for.

    `directory` is what relative paths start from. Raises OperatorError, naming the setting, if it cannot be.
    """
    _limit(settings)
    kept = _kept(settings)
    if settings.capabilities:
        _do(settings, "capabilities", lambda: _core.bound_capabilities(kept))
    if identity is not None:
        become(settings, identity)
    if settings.capabilities or (identity is not None and identity.uid > _ROOT):
        _do(settings, "capabilities", lambda: _core.hold_capabilities(kept))
    if settings.no_new_privs or settings.read_only:
        _do(settings, "no_new_privs", _core.gain_no_privileges)
    if settings.read_only:
        return _restrict_writes(settings, directory)
    return ""


def _kept(settings: Settings) -> list[int]:
    """Return the numbers of the capabilities that stay."""
    if not settings.capabilities:
        return []
    # Here, because few name any.
    from portico.config.capabilities import CAPABILITIES, NONE

    return [CAPABILITIES.index(name) for name in settings.capabilities if name != NONE]


def _limit(settings: Settings) -> None:
    if not settings.limits:
        return
    # Here, because few have limits: the module costs memory.
    import resource

    for name, soft, hard in settings.limits:
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        origin = settings.origins["limits"]
        if number is None:
            raise OperatorError(f"{origin}: this system has no limit {name}")
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError) as error:
            # `resource` says in words of its own that only root can raise a hard limit.
            reason = getattr(error, "strerror", None) or error
            raise OperatorError(f"{origin}: cannot set the limit {name}: {reason}") from None


def become(settings: Settings, identity: Identity) -> None:
    """Make this process that of another user; raises OperatorError, naming the setting, if it cannot be."""
    _give_pipes_to(identity.uid)
    if sorted(os.getgroups()) != sorted(identity.groups):
        _do(settings, "groups", lambda: os.setgroups(identity.groups))
    if identity.gid != UNCHANGED:
        _do(settings, "group", lambda: os.setresgid(identity.gid, identity.gid, identity.gid))
    if identity.uid != UNCHANGED:
        _do(settings, "user", lambda: os.setresuid(identity.uid, identity.uid, identity.uid))
    os.environ.update(identity.variables)


def _give_pipes_to(uid: int) -> None:
    """Let standard streams that are pipes be opened anew by `uid`: /dev/stdout, and the logs, which wait so.

    Not files and terminals: who may read and write these is not for a worker to change.
    """
    for fd in _STANDARD_FDS:
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.fchown(fd, uid, UNCHANGED)
        except OSError:
            pass  # a pipe of somebody else: it serves, but cannot be opened


def _restrict_writes(settings: Settings, directory: str) -> str:
    temporary = os.environ.get("TMPDIR") or _TEMPORARY
    writable = [os.path.join(directory, path) for path in settings.writable]
    for path in writable:
        if not os.path.exists(path):
            raise OperatorError(f"{settings.origins['writable']}: there is no {path}")
    counted = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    usual = [path for path in (_DEVICES, temporary, counted) if os.path.exists(path)]
    try:
        is_restricted = _core.restrict_writes([*writable, *usual])
    except OSError as error:
        raise OperatorError(f"{settings.origins['read_only']}: cannot restrict writing: {error}") from None
    if is_restricted:
        return ""
    sentence = (
        f"{settings.origins['read_only']}: this kernel has no Landlock (Linux 5.13 and later have it, where "
        "landlock is among the modules that it was started with)"
    )
    if settings.landlock == "try":
        return f"{sentence}: the workers may write wherever their user may"
    raise OperatorError(f"{sentence}; leave read_only out, or go without it by --landlock try")


def _do(settings: Settings, attribute: str, step: Callable[[], None]) -> None:
    """Take one step that only some may take."""
    try:
        step()
    except OSError as error:
        raise OperatorError(_why_not(settings, attribute, error)) from None


def _why_not(settings: Settings, attribute: str, error: OSError) -> str:
    origin = settings.origins[attribute]
    if attribute in ("groups", "group") and settings.user and not getattr(settings, attribute):
        origin = settings.origins["user"]
    what = {
        "capabilities": "cannot change the capabilities",
        "groups": "cannot change the supplementary groups",
        "group": "cannot change the group",
        "user": "cannot become another user",
    }.get(attribute, f"cannot set {attribute}")
    if not isinstance(error, PermissionError):
        return f"{origin}: {what}: {error.strerror or error}"
    if os.geteuid() != _ROOT:
        return f"{origin}: {what}: only root can, and portico runs as the user {os.geteuid()}"
    takes = {"capabilities": "CAP_SETPCAP", "groups": "CAP_SETGID", "group": "CAP_SETGID"}.get(
        attribute, "CAP_SETUID"
    )
    return (
        f"{origin}: {what}: this container, or user namespace, does not let root do it, which takes {takes}; "
        "let it be started as that user instead, and leave the setting out"
    )
