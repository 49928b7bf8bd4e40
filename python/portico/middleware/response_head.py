"""The head of a response on its way through middleware, which may read and change it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.types import Environ


class ResponseHead:
    """The head of a response, to be read and changed: `environ` of its request, `status` and `headers`."""

    __slots__ = ("environ", "headers", "status")

    def __init__(self, environ: Environ, status: str, headers: list[tuple[str, str]]) -> None:
        self.environ = environ
        self.status = status
        self.headers = headers

    @property
    def code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])

    def get(self, name: str) -> str | None:
        """Return the value of the first header called `name` (in any case), or None."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def set(self, name: str, value: str) -> None:
        """Have one header called `name`."""
        self.remove(name)
        self.headers.append((name, value))

    def remove(self, *names: str) -> None:
        """Have no header called like one of `names`."""
        lower = {name.lower() for name in names}
        self.headers[:] = [pair for pair in self.headers if pair[0].lower() not in lower]
