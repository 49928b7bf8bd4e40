"""A command line of `portico run` in which nothing is unusual, read without the parser of options.

To import that one takes longer than all else of a start. Receives the words behind `portico`, hands on what
the parser would make of them; or nothing, wherever it would say more than that: another command, help, an
option that is not ours, a mistake. So there is no sentence here, and what is plain means what it does there.
"""

from __future__ import annotations

from portico.command_line.parameters import FILE, POOL, POOL_WAYS
from portico.config.kinds import Flag
from portico.config.option_words import split_option
from portico.config.settings import TABLE, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portico.config.setting import Setting

_COMMAND = "run"
_COMPLETION = "_PORTICO_COMPLETE"
"""The variable by which a shell asks what a word may become."""
_OTHERS = {"-c": FILE, "--config": FILE, "--pool": POOL}
"""The options that are no settings, by how they are written; what each sets."""
_WAYS = "--pool-ways"


def read_plain(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what `words` give, by parameter; None where they are for the parser of options."""
    if _COMPLETION in environment or not words:
        return None
    if words[0] == _COMMAND:
        words = words[1:]
    elif not (words[0].startswith("-") or any(character in words[0] for character in ":./")):
        return None
    reader = _Reader(words)
    return reader.given if reader.read() else None


class _Reader:
    """Reads one command line, up to the first word that is not plain."""

    def __init__(self, words: Sequence[str]) -> None:
        self.given: dict[str, Any] = {}
        self._rest = [*reversed(words)]
        self._rows: dict[str, tuple[Setting[Any], bool]] = {}
        for row in TABLE:
            for flag in row.flags:
                self._rows[flag] = (row, True)
                if isinstance(row.kind, Flag):
                    self._rows[row.kind.opposite(flag)] = (row, False)

    def read(self) -> bool:
        """Read all words; say whether they are plain."""
        while self._rest:
            word = self._rest.pop()
            if not (self._option(word) if word.startswith("-") else self._application(word)):
                return False
        return True

    def _application(self, word: str) -> bool:
        is_first = Settings.app.name not in self.given
        self.given[Settings.app.name] = word
        return is_first and bool(word)

    def _option(self, word: str) -> bool:
        name, text = split_option(word)
        row, is_on = self._rows.get(name, (None, False))
        if row is not None and isinstance(row.kind, Flag):
            self.given[row.name] = is_on
            return text is None
        if name == _WAYS and text is None:
            return self._ways()
        if text is None and self._rest:
            text = self._rest.pop()
        if not text:
            return False
        if row is None:
            self.given[_OTHERS.get(name, name)] = text
            return name in _OTHERS
        if row.many:
            self.given.setdefault(row.name, []).append(text)
        else:
            self.given[row.name] = text
        return _is_right(row, text)

    def _ways(self) -> bool:
        """Take what the server of all pools says: two descriptors, and where the pool is asked."""
        words = [self._rest.pop() for _ in range(min(3, len(self._rest)))]
        if len(words) < 3 or not all(word.isdecimal() for word in words[:2]):
            return False
        self.given[POOL_WAYS] = (int(words[0]), int(words[1]), words[2])
        return True


def _is_right(row: Setting[Any], text: str) -> bool:
    """Say whether `text` is a value for `row`: one that is none may be meant for another server's option."""
    try:
        for part in row.kind.split(text) if row.many else (text,):
            row.kind.parse(part)
    except ValueError:
        return False
    return text == "-" or not text.startswith("-")
