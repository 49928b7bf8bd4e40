"""Who the workers are, by number. Made by accounts.py, crosses the exec in the plan; imports nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.settings import Settings

UNCHANGED = -1
"""As chown(2) and setresuid(2) take it."""


class Identity:
    """A user, a group and supplementary groups by number, and the variables that go with the user.

    A number is UNCHANGED where it stays what it is.
    """

    __slots__ = FIELDS = ("uid", "gid", "groups", "variables")

    def __init__(self, uid: int, gid: int, groups: list[int], variables: dict[str, str]) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.variables = variables


def is_identity_given(settings: Settings) -> bool:
    """Say whether it is said who workers are to be (accounts.py)."""
    return bool(settings.user or settings.group or settings.groups)


def are_privileges_given_up(settings: Settings, identity: Identity | None) -> bool:
    """Say whether a worker has to give up anything (process/privileges.py)."""
    return bool(
        identity is not None
        or settings.limits
        or settings.capabilities
        or settings.no_new_privs
        or settings.read_only
    )
