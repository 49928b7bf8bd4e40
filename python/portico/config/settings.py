"""The one table of settings: a new one is a row here, and a field in `src/settings.rs` if Rust needs it.

The rows are also the typed attributes of `Settings`, so no setting is listed a second time: the command
line, the environment variables, the help and the documentation are all generated from the rows. Unit and
attribute name go together: a duration ends in `_s`, a size in `_bytes`.

Values are plain built-in types: they cross an exec (process/plan.py).
"""

from __future__ import annotations

from portico.config.kinds import (
    AddressText,
    Assignment,
    Choice,
    Duration,
    Kind,
    NumberOrAuto,
    Size,
    T,
    Text,
    WholeNumber,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, overload
else:
    from portico.config.kinds import Generic

    def overload(function):
        return function


class Setting(Generic[T]):
    """One row: a setting's name, kind, default, flags, environment variables and documentation.

    `separator` is what stands between the values of a setting that can be repeated, in an environment
    variable.
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
        documentation: str,
        short_flag: str = "",
        also_environment: str = "",
        positional: bool = False,
    ) -> None:
        self.name = name
        self.kind: Kind[Any] = kind
        self.default: T = default
        self.documentation = documentation
        self.positional = positional
        self.flags = (
            () if positional else (*([short_flag] if short_flag else []), "--" + name.replace("_", "-"))
        )
        self.environment = (f"PORTICO_{name.upper()}", *([also_environment] if also_environment else []))

    def __set_name__(self, owner: type[Settings], attribute: str) -> None:
        self.attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type[Settings]) -> Setting[T]: ...
    @overload
    def __get__(self, instance: Settings, owner: type[Settings]) -> T: ...  # noqa: F811
    def __get__(  # noqa: F811
        self, instance: Settings | None, owner: type[Settings]
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
        documentation: str,
        short_flag: str = "",
    ) -> None:
        super().__init__(name, kind, default, documentation=documentation, short_flag=short_flag)  # type: ignore[arg-type]
        self.separator = separator

    def show_default(self) -> str:
        return " ".join(self.kind.show(value) for value in self.default)


class Settings:
    """All settings of one server, each with where its value came from.

    `values` and `origins` are keyed by attribute; an origin reads like `--threads on the command line`.
    """

    app = Setting(
        "app",
        Text("APP", "a module and an application, such as shop.wsgi:application"),
        "",
        positional=True,
        documentation="The application: `pkg.mod:attribute` or `pkg.mod:factory()`. "
        "Without an attribute, `application` is taken, or else `app`.",
    )
    bind = ManySetting(
        "bind",
        AddressText(),
        ("127.0.0.1:8000",),
        separator=",",
        short_flag="-b",
        documentation="Where to listen: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or unix:PATH?mode=660. "
        "May be repeated. Port 0 takes any free port. "
        "The environment variable PORT is a short form of 0.0.0.0:PORT.",
    )
    workers = Setting(
        "workers",
        NumberOrAuto(1, 512),
        None,
        short_flag="-w",
        also_environment="WEB_CONCURRENCY",
        documentation="How many processes run the application; auto is one for each CPU that "
        "affinity and the cgroup allow.",
    )
    threads = Setting(
        "threads",
        WholeNumber(1, 1024),
        8,
        documentation="The most calls of the application at the same time in one worker. Threads are started "
        "when calls block; fast applications stay on one. With 1 the application need not be "
        "thread-safe.",
    )
    timeout_s = Setting(
        "timeout",
        Duration(0, 86400),
        60.0,
        short_flag="-t",
        documentation="The longest that one call of the application may take; its worker is replaced after "
        "that, and the stacks are logged. 0 is no limit.",
    )
    graceful_timeout_s = Setting(
        "graceful_timeout",
        Duration(0, 86400),
        30.0,
        documentation="How long a worker that was told to stop may go on answering what is in flight.",
    )
    keep_alive_s = Setting(
        "keep_alive",
        Duration(0, 86400),
        15.0,
        documentation="How long an idle connection is kept for its next request. 0 closes after each answer.",
    )
    max_request_body_bytes = Setting(
        "max_request_body",
        Size(),
        1 << 30,
        documentation="The largest request body; a larger one is refused with status 413. 0 is no limit.",
    )
    body_memory_bytes = Setting(
        "body_memory",
        Size(),
        128 << 10,
        documentation="How much of a request body is kept in memory before it goes to a temporary file.",
    )
    body_spool_bytes = Setting(
        "body_spool",
        Size(),
        256 << 20,
        documentation="How large a request body may be to be received whole before the application is "
        "called; a larger one is streamed to it.",
    )
    backlog = Setting(
        "backlog",
        WholeNumber(1, 65535),
        2048,
        documentation="How many connections may wait to be accepted, for each address.",
    )
    chdir = Setting(
        "chdir",
        Text("DIR", "a directory"),
        "",
        documentation="Work in this directory. It is importable, and all other relative paths start from it.",
    )
    pythonpath = ManySetting(
        "pythonpath",
        Text("DIR", "a directory"),
        (),
        separator=":",
        documentation="A directory to import from, after the working directory. May be repeated.",
    )
    env = ManySetting(
        "env",
        Assignment(),
        (),
        separator=",",
        short_flag="-e",
        documentation="An environment variable for the application. May be repeated.",
    )
    access_log = Setting(
        "access_log",
        Text("PATH|-|off", "a file, - for standard output, or off"),
        "-",
        documentation="Where the access log goes: a file, - for standard output, or off.",
    )
    log_level = Setting(
        "log_level",
        Choice("debug", "info", "warning", "error", "critical"),
        "info",
        documentation="The least important records that the error log keeps.",
    )

    __slots__ = ("origins", "values")

    def __init__(self, values: dict[str, Any], origins: dict[str, str]) -> None:
        self.values = values
        self.origins = origins


TABLE: tuple[Setting[Any], ...] = tuple(row for row in vars(Settings).values() if isinstance(row, Setting))
"""Every row, in the order of the help."""
