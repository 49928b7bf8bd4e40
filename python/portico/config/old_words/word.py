"""One option of another server, and what it is here: the same, other words, or a sentence.

Made once at import by the modules of rows; read by reading.py, docs/generate_moving.py and a test that
has each row. Holds no text of a command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Elsewhere(Exception):
    """What was asked for is not an option here; `text` says what to do, or why there is nothing to do."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class OldWord:
    """One option; which sort of outcome it has, its class says.

    `usage` is how its own manual shows it, with all its names: `-k --worker-class CLASS`. A value in brackets
    may be absent, and stands behind `=` only; `--cheaper*` is every option that begins so. `key` is how it
    is called in the other server's own file, where that is another name. `meant` says of a value whether it
    can be for this option, where two servers have the same.
    """

    def __init__(
        self, usage: str, *, key: str = "", note: str = "", meant: Callable[[str], bool] | None = None
    ) -> None:
        parts = usage.split()
        value = next((part for part in parts if not part.startswith("-")), "")
        self.words = tuple(part for part in parts if part.startswith("-"))
        self.metavar = value.strip("[]")
        self.takes_value = bool(value) and not value.startswith("[")
        self.key = key
        self.note = note
        self.meant = meant or (lambda value: True)

    @property
    def is_family(self) -> bool:
        """Whether it stands for all options that begin alike."""
        return any(word.endswith("*") for word in self.words)

    def here(self) -> str:
        """Return what it is here, in Markdown."""
        raise NotImplementedError

    def _with_note(self, text: str) -> str:
        return f"{text}; {self.note}" if self.note else text


class Same(OldWord):
    """An option that means the same here, under the same name."""

    def here(self) -> str:
        return self._with_note("the same")


class Clash(OldWord):
    """An option whose name is another's here; `meant` tells a value that only the old one can have."""

    def here(self) -> str:
        return self.note


class Becomes(OldWord):
    """An option that means the same as `to` here, words of our command line before a value.

    Where the value has to be changed, `convert` returns our words for it, or raises Elsewhere. `is_weak`: any
    word for the same setting wins, wherever it stands.
    """

    def __init__(
        self,
        usage: str,
        to: str,
        *,
        convert: Callable[[str], Sequence[str]] | None = None,
        is_weak: bool = False,
        key: str = "",
        note: str = "",
        meant: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(usage, key=key, note=note, meant=meant)
        self.to = to
        self.is_weak = is_weak
        self._convert = convert

    def translate(self, value: str) -> list[str]:
        """Return our words for it; raises Elsewhere where there are none for this value."""
        if self._convert is not None:
            return list(self._convert(value))
        return [self.to, value] if self.metavar else self.to.split()

    def here(self) -> str:
        if not self.to:
            return self.note
        metavar = f" {self.metavar}" if self.metavar and self._convert is None else ""
        return self._with_note(f"`{self.to}{metavar}`")


class Part(OldWord):
    """An option that is a part of one of ours, called `part`; reading.py puts the parts together."""

    def __init__(self, usage: str, part: str, *, note: str) -> None:
        super().__init__(usage, note=note)
        self.part = part

    def here(self) -> str:
        return self.note


class Instead(OldWord):
    """An option that there is no word for here: `note` says what to do, or why nothing has to be done."""

    def here(self) -> str:
        return self.note


class Server:
    """Another server with all its options; `name` is how it writes itself."""

    def __init__(self, name: str, rows: Sequence[OldWord]) -> None:
        self.name = name
        self.rows = tuple(rows)
