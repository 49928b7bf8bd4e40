"""The kinds of value of the settings about privileges, and the names that the kernel has for these.

Beside kinds.py, for the sake of the tables of names. Runs in the process of the command line.
"""

from __future__ import annotations

from portico.config.capabilities import CAPABILITIES, NONE
from portico.config.kinds import Kind
from portico.config.units import format_size, parse_size

INHERIT = "inherit"
UNLIMITED = "unlimited"
INFINITY = -1
"""How a limit that is none crosses the exec, and what setrlimit(2) takes for it."""

_SIZES = ("as", "core", "data", "fsize", "memlock", "msgqueue", "rss", "stack")
_COUNTS = ("cpu", "locks", "nice", "nofile", "nproc", "rtprio", "rttime", "sigpending")
_MOST = 1 << 62


class Umask(Kind["int | None"]):
    """Permissions that new files do not get, in octal; None, `inherit`, is what portico is started with."""

    metavar = "MODE"
    expected = 'permissions in octal digits, such as "027", or inherit'

    def parse(self, text: str) -> int | None:
        text = text.strip().lower().removeprefix("0o")
        if text == INHERIT:
            return None
        if not 1 <= len(text) <= 4 or not set(text) <= set("01234567"):
            raise ValueError
        umask = int(text, 8)
        if umask > 0o777:
            raise ValueError
        return umask

    def show(self, value: int | None) -> str:
        return INHERIT if value is None else f"{value:03o}"


class Account(Kind[str]):
    """A user or a group, by name or by number."""

    def __init__(self, metavar: str, expected: str) -> None:
        self.metavar = metavar
        self.expected = f"{expected}, by name or by number"

    natives = (str, int)

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text or any(character.isspace() or character in ":," for character in text):
            raise ValueError
        if text.isdecimal() and not int(text) < (1 << 32) - 1:
            raise ValueError
        return text

    def split(self, text: str) -> list[str]:
        return text.split(",")


class Capability(Kind[str]):
    """A capability (capabilities(7)) as `net_bind_service`, or none."""

    metavar = "NAME"
    expected = "a capability such as net_bind_service, or none"

    def parse(self, text: str) -> str:
        name = text.strip().lower().removeprefix("cap_")
        if name != NONE and name not in CAPABILITIES:
            raise ValueError
        return name

    def split(self, text: str) -> list[str]:
        return text.split(",")


class ResourceLimit(Kind["tuple[str, int, int]"]):
    """A limit of the kernel (setrlimit(2)): its name, the soft limit, the hard limit."""

    metavar = "NAME=LIMIT"
    expected = (
        "the name of a limit of setrlimit(2) and its value, such as nofile=4096, as=2G, core=0:unlimited"
    )
    table_natives = (int, str)

    def parse(self, text: str) -> tuple[str, int, int]:
        name, equals, value = text.partition("=")
        name = name.strip().lower()
        if not equals or name not in _SIZES + _COUNTS:
            raise ValueError
        soft_text, colon, hard_text = value.partition(":")
        soft = _limit(name, soft_text)
        hard = _limit(name, hard_text) if colon else soft
        if hard != INFINITY and not 0 <= soft <= hard:
            raise ValueError
        return name, soft, hard

    def split(self, text: str) -> list[str]:
        return text.split(",")

    def show(self, value: tuple[str, int, int]) -> str:
        name, soft, hard = value
        return f"{name}={self.shown(name, soft)}" + (f":{self.shown(name, hard)}" if hard != soft else "")

    @staticmethod
    def shown(name: str, limit: int) -> str:
        """Return `limit` of the kind `name` as the user would write it."""
        if limit == INFINITY:
            return UNLIMITED
        return format_size(limit) if name in _SIZES else str(limit)


def _limit(name: str, text: str) -> int:
    text = text.strip().lower()
    if text in (UNLIMITED, "infinity"):
        return INFINITY
    if name in _SIZES:
        limit = parse_size(text)
    elif text.isascii() and text.isdigit() and len(text) <= 18:
        limit = int(text)
    else:
        raise ValueError
    if not 0 <= limit < _MOST:
        raise ValueError
    return limit
