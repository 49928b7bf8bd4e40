"""The application at the admin address: what those who run a server want to know of it.

A WSGI application, served by the engine in a process of its own (`portico.process.admin`). `application.py`
has its paths; `families.py` is the table of all metrics, `of_application.py` has those of an application's
own, by `keys.py`, `of_prometheus_client.py` those that it counts by that library, and `exposition.py` writes
them as text, in the format that is asked for. It is given what the supervisor tells, and imports nothing of
that.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Samples: TypeAlias = dict[str, list[tuple[tuple[str, ...], float | Sequence[float]]]]
    """Of each metric, by its name, the values: each with those of the labels that the table has for it.

    That of a histogram is how many there are in each bucket (`_core.DURATION_BOUNDS_S`), and not in one
    before it, and the sum of all in nanoseconds.
    """


class SilentError(Exception):
    """The supervisor does not tell anything at the moment."""
