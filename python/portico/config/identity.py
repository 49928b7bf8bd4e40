"""Who the workers are, by number. Made by accounts.py, crosses the exec in the plan; imports nothing."""

from __future__ import annotations

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
