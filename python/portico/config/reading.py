"""How the text of one value is read, wherever it came from: the sentence that names its origin is the same.

Runs in the process of the command line only.
"""

from __future__ import annotations

from portico.config.unfit import UnfitError
from portico.errors import OperatorError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.config.setting import Setting


def text_of(value: object) -> str:
    """Return the text of a value that has a type, for `parse`: no exponent, a flag's word."""
    # Not one that is infinite, or none at all.
    if isinstance(value, float) and value - value == 0:
        # Here and not above: few values are fractions.
        from decimal import Decimal

        return f"{Decimal(repr(value)):f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse(row: Setting[Any], text: str, origin: str) -> Any:
    """Return the value of `text`; raises OperatorError, naming `origin`, if it is not of the row's kind."""
    try:
        return row.kind.parse(text)
    except UnfitError as error:
        where = "" if error.got == text.strip() else f" in {quoted(text)}"
        raise OperatorError(f"{origin}: expected {error.expected}, got {quoted(error.got)}{where}") from None
    except ValueError:
        raise OperatorError(f"{origin}: expected {row.kind.expected}, got {quoted(text)}") from None
