"""Understands a command line that has options of other servers: our words for it, or why there are none.

Receives the words behind a command that takes the settings, hands on words that our parser knows. An option
of ours is left as it is; one that is nobody's too: the parser says what it has to say of it. Runs in the
process of the command line.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence

from portico.config.old_words.gunicorn import GUNICORN
from portico.config.old_words.mod_wsgi import MOD_WSGI
from portico.config.old_words.uwsgi import UWSGI
from portico.config.old_words.waitress import WAITRESS
from portico.config.old_words.word import Becomes, Clash, Elsewhere, Instead, OldWord, Part, Same, Server
from portico.config.option_words import split_option
from portico.errors import OperatorError, quoted

SERVERS = (GUNICORN, UWSGI, WAITRESS, MOD_WSGI)
NEAR = 0.8
"""From which similarity on an option is a slip of the pen (difflib's ratio)."""

_HOST, _PORT = "0.0.0.0", "8080"
"""What waitress has in the place of a part of its address that is not given."""


class Option:
    """An option of ours: the `parameter` that it sets, and whether a value follows it."""

    def __init__(self, parameter: str, *, takes_value: bool) -> None:
        self.parameter = parameter
        self.takes_value = takes_value


class Understood:
    """A command line in our `words`; `written` has the old option that stood there, by parameter."""

    def __init__(self, words: list[str], written: dict[str, str]) -> None:
        self.words = words
        self.written = written


def understand(
    words: Sequence[str], options: Mapping[str, Option], servers: Sequence[Server] = SERVERS
) -> Understood:
    """Return `words` with the options of `servers` in ours, which are `options` with what each is.

    Raises OperatorError with a sentence for each option that is none here.
    """
    reader = _Reader(options, servers)
    reader.read(list(words))
    if reader.mistakes:
        raise OperatorError("\n".join(reader.mistakes))
    return Understood([*reader.weak, *reader.words], reader.written)


def understand_variable(text: str, options: Mapping[str, Option]) -> Understood:
    """Return the same of a variable with gunicorn's options, quoted as in a shell.

    Raises OperatorError as well if a quotation has no end.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise OperatorError(
            f"expected words of a command line, got {quoted(text)}, which is not closed"
        ) from None
    return understand(words, options, (GUNICORN,))


class _Reader:
    """Reads one command line, noting everything that cannot be."""

    def __init__(self, options: Mapping[str, Option], servers: Sequence[Server]) -> None:
        self.words: list[str] = []
        self.weak: list[str] = []
        self.written: dict[str, str] = {}
        self.mistakes: list[str] = []
        self._options = options
        self._servers = servers
        self._parts: dict[str, tuple[str, str]] = {}
        self._given: set[str] = set()

    def read(self, rest: list[str]) -> None:
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.words += [word, *rest]
                break
            if not word.startswith("-") or word == "-":
                self.words.append(word)
                continue
            name, value = split_option(word)
            if option := self._options.get(name):
                self._ours(word, name, value, option, rest)
            elif rows := self._rows(name):
                self._old(name, value, rows, rest)
            else:
                self.words.append(word)
        self._put_together()

    def _ours(self, word: str, name: str, value: str | None, option: Option, rest: list[str]) -> None:
        taken = [rest.pop(0)] if option.takes_value and value is None and rest else []
        given = value if value is not None else "".join(taken)
        for server, row in self._find(name):
            if isinstance(row, Clash) and row.meant(given):
                self._mistake(name, [(server, row.note)])
                return
        # Our own parser would take `-w=4` for the value `=4`, as getopt(3) does; gunicorn's does not.
        self.words += [word.replace("=", "", 1)] if word[2:3] == "=" and word[1:2] != "-" else [word, *taken]
        self._given.add(option.parameter)
        self.written.pop(option.parameter, None)

    def _old(
        self, name: str, value: str | None, rows: Sequence[tuple[Server, OldWord]], rest: list[str]
    ) -> None:
        """Take the option `name` of other servers, and its value, if one follows it, out of `rest`."""
        if value is not None and not name.startswith("--") and not any(row.metavar for _, row in rows):
            # Short options without values may stand together: `-LM`.
            rest.insert(0, f"-{value}")
            value = None
        fitting = [
            (server, row)
            for server, row in rows
            if row.meant(value if value is not None else rest[0] if row.takes_value and rest else "")
        ]
        # The one that is accepted is meant, if there is one.
        fitting.sort(key=lambda pair: isinstance(pair[1], Instead))
        server, row = fitting[0] if fitting else rows[0]
        if isinstance(row, Instead):
            if row.takes_value and value is None and rest and not rest[0].startswith("-"):
                del rest[0]
            explanations = [(server, row.note) for server, row in fitting or rows]
            self._mistake(name, explanations)
            return
        if row.takes_value and value is None:
            if not rest:
                self.mistakes.append(f"{name}: expected {row.metavar} after it")
                return
            value = rest.pop(0)
        self._accept(server, row, name, value or "")

    def _accept(self, server: Server, row: OldWord, name: str, value: str) -> None:
        if isinstance(row, Part):
            self._parts[row.part] = (name, value)
        elif isinstance(row, Becomes):
            try:
                words = row.translate(value)
            except Elsewhere as elsewhere:
                self._mistake(name, [(server, elsewhere.text)])
                return
            self._add(name, words, is_weak=row.is_weak)

    def _add(self, name: str, words: Sequence[str], *, is_weak: bool = False) -> None:
        (self.weak if is_weak else self.words).extend(words)
        for word in words:
            option = self._options.get(word)
            if option and not (is_weak and option.parameter in self._given):
                self.written[option.parameter] = name

    def _put_together(self) -> None:
        """Make our words of options that are only parts of one of ours."""
        parts = {part: value for part, (_, value) in self._parts.items()}
        if "application" in parts:
            application = parts["application"]
            if "callable" in parts and ":" not in application:
                application += f":{parts['callable']}"
            self.weak.append(application)
        elif "callable" in parts:
            name, value = self._parts["callable"]
            self.mistakes.append(f"{name}: write it behind APP, as in shop.wsgi:{value}")
        if "host" in parts or "port" in parts:
            host = parts.get("host", _HOST)
            if host.count(":") > 1 and not host.startswith("["):
                host = f"[{host}]"
            names = " and ".join(self._parts[part][0] for part in ("host", "port") if part in parts)
            self._add(names, ["--bind", f"{host}:{parts.get('port', _PORT)}"])

    def _mistake(self, name: str, explanations: Sequence[tuple[Server, str]]) -> None:
        servers_by_text: dict[str, list[str]] = {}
        for server, text in explanations:
            names = servers_by_text.setdefault(text, [])
            if server.name not in names:
                names.append(server.name)
        self.mistakes += [
            f"{name} of {' and '.join(names)}: {text}" for text, names in servers_by_text.items()
        ]

    def _rows(self, name: str) -> list[tuple[Server, OldWord]]:
        """Return the rows for `name`: exact ones, or else that of its family, unless it is nearly ours."""
        exact = list(self._find(name))
        if exact or difflib.get_close_matches(name, self._options, n=1, cutoff=NEAR):
            return exact
        return [
            (server, row)
            for server in self._servers
            for row in server.rows
            if any(word.endswith("*") and name.startswith(word[:-1]) for word in row.words)
        ][:1]

    def _find(self, name: str) -> Iterator[tuple[Server, OldWord]]:
        for server in self._servers:
            for row in server.rows:
                if name in row.words and not isinstance(row, Same):
                    yield server, row
