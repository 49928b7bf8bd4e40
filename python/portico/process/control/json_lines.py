"""Lines of JSON (RFC 8259), as far as the control socket needs them.

The module `json` would cost 1.2 MB in the supervisor and in each worker that is forked after it. Written is
what reports consist of; read are flat objects of texts, whole numbers, true, false and null, which is all
that a request may be. Whatever else it is raises ValueError.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Scalar = str | int | bool | None

_LEAST, _MOST = float("-inf"), float("inf")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SPACES = " \t\r\n"
_MOST_DIGITS = 18


class Written:
    """What is JSON already, and stays as it is: somebody else has written it, in ASCII."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def write_line(value: Any) -> bytes:
    """Return `value` as a line; raises TypeError for a type that reports do not have."""
    return (_written(value) + "\n").encode("ascii")


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # There is no word for infinity and the like.
        return repr(value) if _LEAST < value < _MOST else "null"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(name)}: {_written(each)}' for name, each in value.items())}}}"
    if isinstance(value, Written):
        return value.text
    raise TypeError(f"expected what JSON has, got {type(value).__name__}")


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def read_line(line: bytes) -> dict[str, Scalar]:
    """Return the object in `line`."""
    return _Reader(line.decode("utf-8")).whole()


class _Reader:
    """Reads one text from its start to its end; `_at` is where it is."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> dict[str, Scalar]:
        found: dict[str, Scalar] = {}
        self._take("{")
        if self._next() == "}":
            self._take("}")
        else:
            while True:
                name = self._string()
                self._take(":")
                if name in found:
                    raise ValueError("a name is there twice")
                found[name] = self._value()
                if self._next() != ",":
                    break
                self._take(",")
            self._take("}")
        if self._next():
            raise ValueError("there is something after the object")
        return found

    def _next(self) -> str:
        """Return the next character that is no space; empty at the end."""
        while self._text[self._at : self._at + 1] in (*_SPACES,):
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise ValueError(f"expected {character}")
        self._at += 1

    def _value(self) -> Scalar:
        if self._next() == '"':
            return self._string()
        start = self._at
        while self._text[self._at : self._at + 1].isalnum() or self._text[self._at : self._at + 1] in (
            *"-+.",
        ):
            self._at += 1
        word = self._text[start : self._at]
        if word in _WORDS:
            return _WORDS[word]
        digits = word.removeprefix("-")
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
        if not is_number or (digits[0] == "0" and digits != "0"):
            raise ValueError("expected a text, a whole number, true, false or null")
        return int(word)

    def _string(self) -> str:
        self._take('"')
        parts: list[str] = []
        while True:
            character = self._one()
            if character == '"':
                # Halves of one character become that; a half without the other stays one.
                text = "".join(parts)
                return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            if character == "\\":
                character = self._escape()
            elif character < " ":
                raise ValueError("a control character stands in a text")
            parts.append(character)

    def _escape(self) -> str:
        letter = self._one()
        if letter != "u":
            if letter not in _ESCAPES:
                raise ValueError("there is no such escape")
            return _ESCAPES[letter]
        digits = "".join(self._one() for _ in range(4))
        if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError("an escape has four digits")
        return chr(int(digits, 16))

    def _one(self) -> str:
        character = self._text[self._at : self._at + 1]
        if not character:
            raise ValueError("a text has no end")
        self._at += 1
        return character
