"""The application at the admin address: what those who run a server want to know of it.

A WSGI application, served by the engine in a process of its own (`portico.process.admin`). `application.py`
has its paths, `access.py` says who may ask for which; `families.py` is the table of all metrics,
`of_application.py` has those of an application's own, by `keys.py`, `of_prometheus_client.py` those that it
counts by that library, `of_pools.py` those of applications in pools, and `exposition.py` writes them as text,
in the format that is asked for; `dashboard/` is a page for people, which is imported when one of them comes.
It is given what the supervisor tells, and imports nothing of that.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol, TypeAlias

    Samples: TypeAlias = dict[str, list[tuple[tuple[str, ...], float | Sequence[float]]]]
    """Of each metric, by its name, the values: each with those of the labels that the table has for it.

    That of a histogram is how many there are in each bucket (`_core.DURATION_BOUNDS_S`), and not in one
    before it, and the sum of all in nanoseconds.
    """

    class Source(Protocol):
        """Who tells what there is to show. All of it raises SilentError."""

        def ask(self, *, kept_s: float = 1.0) -> Samples:
            """Return the figures, no older than `kept_s`."""

        def overview(self) -> dict[str, Any]:
            """Return what the verbs `status`, `workers`, `requests` and `slow` tell, and `has_profile`."""

        def begin_profile(self, line: bytes) -> dict[str, Any]:
            """Have a profile made, by a line of JSON; return the same as `profile`."""

        def profile(self) -> dict[str, Any]:
            """Return `result`, or `error` and `message`; nothing while it is being made."""


class SilentError(Exception):
    """The supervisor does not tell anything at the moment."""
