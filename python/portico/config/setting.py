"""One row of the table of settings: its name, kind, default, flags, variables and documentation.

Made once at import by config/settings/; read by everything that is generated from the table. Holds no
value of a running server: that is `Values`.
"""

from __future__ import annotations

from portico.config.kinds import Kind, T
from portico.config.values import Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Generic, overload
else:
    from portico.config.kinds import Generic

    def overload(function):
        return function


class Group:
    """Rows that stand together: under `title` in the help, in `table` of the configuration file."""

    __slots__ = ("table", "title")

    def __init__(self, title: str, table: str) -> None:
        self.title = title
        self.table = table


def is_one_row(group: Group, rows: Sequence[Setting[Any]]) -> bool:
    """Say whether the table of `group` in the file is the value of its only row."""
    return [row.key for row in rows if row.kind.table_natives] == [group.table] and len(rows) == 1


class Setting(Generic[T]):
    """One row.

    `key` is its name in the configuration file. `summary` is for those that most people need: what a line of
    the short help says of it. `separator` is what stands between the values of a setting that can be
    repeated, in an environment variable.
    """

    many = False
    separator = ""
    attribute: str

    def __init__(
        self,
        name: str,
        kind: Kind[T],
        default: T,
        *,
        group: Group,
        documentation: str,
        short_flag: str = "",
        also_environment: str = "",
        positional: bool = False,
        key: str = "",
        summary: str = "",
    ) -> None:
        self.name = name
        self.key = key or name
        self.kind: Kind[Any] = kind
        self.default: T = default
        self.group = group
        self.documentation = documentation
        self.summary = summary
        self.positional = positional
        self.flags = (
            () if positional else (*([short_flag] if short_flag else []), "--" + name.replace("_", "-"))
        )
        self.environment = (f"PORTICO_{name.upper()}", *([also_environment] if also_environment else []))

    def __set_name__(self, owner: type[Values], attribute: str) -> None:
        self.attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type[Values]) -> Setting[T]: ...
    @overload
    def __get__(self, instance: Values, owner: type[Values]) -> T: ...  # noqa: F811
    def __get__(  # noqa: F811
        self, instance: Values | None, owner: type[Values]
    ) -> Setting[T] | T:
        if instance is None:
            return self
        value: T = instance.values[self.attribute]
        return value

    def show_default(self) -> str:
        """Return the default as the user would write it."""
        return self.kind.show(self.default)


class ManySetting(Setting["tuple[T, ...]"]):
    """A row whose flag may be repeated; its value is a tuple."""

    many = True

    def __init__(
        self,
        name: str,
        kind: Kind[T],
        default: tuple[T, ...],
        *,
        separator: str,
        group: Group,
        documentation: str,
        short_flag: str = "",
        also_environment: str = "",
        key: str = "",
        summary: str = "",
    ) -> None:
        super().__init__(
            name,
            kind,  # type: ignore[arg-type]
            default,
            group=group,
            documentation=documentation,
            short_flag=short_flag,
            also_environment=also_environment,
            key=key,
            summary=summary,
        )
        self.separator = separator

    def show_default(self) -> str:
        return " ".join(self.kind.show(value) for value in self.default)
