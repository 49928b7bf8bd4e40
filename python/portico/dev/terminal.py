"""The terminal as it was: a debugger that is ended at its prompt leaves it without echo.

Used by the loop, which outlives its workers.
"""

from __future__ import annotations

import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STANDARD_INPUT_FD = 0


class Terminal:
    """The state of standard input at the time when this was made, if it is a terminal."""

    def __init__(self) -> None:
        self._state = _state()

    def restore(self) -> None:
        """Set it again where it has changed."""
        if self._state is None or _state() == self._state:
            return
        try:  # noqa: SIM105 - workers are forked from here, and contextlib costs each 0.4 MB
            termios.tcsetattr(_STANDARD_INPUT_FD, termios.TCSADRAIN, self._state)
        except termios.error:
            pass  # in the background, where it belongs to somebody else


def _state() -> list[Any] | None:
    try:
        return termios.tcgetattr(_STANDARD_INPUT_FD)
    except termios.error:
        return None
