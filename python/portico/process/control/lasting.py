"""An outcome that is waited for and has something to let go of, also where nobody waits any longer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Lasting:
    """Called again and again until it returns its result, as any outcome; or until it is ended."""

    __slots__ = ("until_s",)

    def __init__(self, until_s: float) -> None:
        # When it wants to be called, whatever happens: seconds on the monotonic clock.
        self.until_s = until_s

    def __call__(self) -> dict[str, Any] | None:
        raise NotImplementedError

    def end(self) -> None:
        """Let go of everything: there is a result, the client has gone, or this is a worker by now."""
