"""`ServerTiming`: how long a response took, and what for, in a header that browsers show (W3C Server Timing).

Receives environ, hands it on with `portico.server_timing`, where the application adds entries. Runs on the
thread of the call.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from portico.types import Environ, ExcInfo, StartResponse, Write, WSGIApplication

ENVIRON_KEY = "portico.server_timing"

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""What a name is made of (RFC 9110 5.6.2)."""


class Timings:
    """The entries of one response; `environ["portico.server_timing"]`."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[str] = []

    def add(self, name: str, duration_s: float | None = None, description: str = "") -> None:
        """Add an entry: a name, how long it took in seconds, if that is meant, and what it is.

        Raises ValueError for a name that is no token, and for a duration that is negative or not finite. What
        is not visible ASCII in `description` becomes `?`.
        """
        self._entries.append(entry(name, duration_s, description))

    def measure(self, name: str, description: str = "") -> Measurement:
        """Return a context manager that adds an entry with the duration of its block.

        with environ["portico.server_timing"].measure("db"):
            rows = connection.execute(query).fetchall()
        """
        return Measurement(self, name, description)

    def value(self) -> str:
        """Return the value of a Server-Timing header."""
        return ", ".join(self._entries)


class Measurement:
    """One entry whose duration is being measured."""

    __slots__ = ("_description", "_name", "_started_at_s", "_timings")

    def __init__(self, timings: Timings, name: str, description: str) -> None:
        self._timings = timings
        self._name = name
        self._description = description
        self._started_at_s = 0.0

    def __enter__(self) -> None:
        self._started_at_s = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timings.add(self._name, time.perf_counter() - self._started_at_s, self._description)


class ServerTiming:
    """Add a Server-Timing header: the time from the call of the application until it starts its response.

    That entry is called `name`; those before it the application adds by `environ["portico.server_timing"]`, a
    `Timings`, until it calls `start_response`. Headers of the same name that the application sends stay.

    Everybody can read the header: who must not know how long what takes must not get it.

    Raises ValueError for a name that is no token.
    """

    def __init__(self, app: WSGIApplication, *, name: str = "total", description: str = "") -> None:
        entry(name, None, description)
        self.app = app
        self._name = name
        self._description = description

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        timings = environ[ENVIRON_KEY] = Timings()
        started_at_s = time.perf_counter()

        def start(status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /) -> Write:
            total = entry(self._name, time.perf_counter() - started_at_s, self._description)
            value = ", ".join(filter(None, [timings.value(), total]))
            try:
                return start_response(
                    status, [*headers, ("Server-Timing", value)], *([exc_info] if exc_info else [])
                )
            finally:
                exc_info = None  # PEP 3333 "Error Handling": no circle of frames

        return self.app(environ, start)


def entry(name: str, duration_s: float | None, description: str) -> str:
    """Return one metric as the header has it: `name;dur=milliseconds;desc="description"`.

    Raises ValueError as `Timings.add` does (W3C Server Timing, "The Server-Timing Header Field").
    """
    if not name or not _TOKEN.issuperset(name):
        raise ValueError(f"expected a token as the name of a timing, such as db, got {name!r}")
    parts = [name]
    if duration_s is not None:
        if not 0 <= duration_s < float("inf"):
            raise ValueError(f"expected a duration in seconds for the timing {name}, got {duration_s!r}")
        parts.append(f"dur={duration_s * 1000:.3f}")
    if description:
        visible = "".join(character if " " <= character <= "~" else "?" for character in description)
        escaped = visible.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(f'desc="{escaped}"')
    return ";".join(parts)
