"""The applications of a folder: each file `NAME.toml` in it is one, with the keys of an `[[app]]`.

Receives the folder and what the file beside it says, hands on tables as `reading.py` has them, and sentences
for files that are left out: a mistake in one keeps none of the others from being served. Runs in the process
of the command line only.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portico.config.document import Document
from portico.config.error_pages import unusable
from portico.config.routes import rules
from portico.config.routes.application_files import SUFFIX, changed_ns
from portico.config.routes.entry import Entry, Row
from portico.config.routes.keys import TABLES
from portico.config.setting import Setting
from portico.config.settings import Settings
from portico.config.table_reader import TableReader
from portico.config.toml_file import decoded, open_document
from portico.config.toml_positions import Place
from portico.errors import OperatorError, quoted

_HEADER = "[[app]]"
_ROOT = 0
# More is no application: somebody else's file is read by root.
_MOST_BYTES = 1 << 20
_OF_OWNER = (Settings.user, Settings.group, Settings.groups, Settings.capabilities)
"""What the owner of a file decides."""


class Applications:
    """The tables of the files, and the mistakes of those that are left out, by path.

    `changed_ns` is when each file was changed, before it was read.
    """

    def __init__(
        self, entries: list[Entry], left_out: dict[str, list[str]], changed_ns: dict[str, list[int]]
    ) -> None:
        self.entries = entries
        self.left_out = left_out
        self.changed_ns = changed_ns


def read_applications(
    folder: str,
    environment: Mapping[str, str],
    *,
    as_owner: bool,
    beside: Sequence[Entry],
    rows: Iterable[Row],
) -> Applications:
    """Return what is in the files of `folder`.

    `as_owner`: each runs as who owns the file. `beside` are the tables of the file that names the folder, and
    `rows` their rows, which come first. Raises OSError if there is no such folder.
    """
    changed = changed_ns(folder)
    entries: list[Entry] = []
    taken = _Taken(beside, rows)
    left_out: dict[str, list[str]] = {}
    for name in changed:
        path = os.path.join(folder, name)
        try:
            entry, mistakes = _read(path, environment, as_owner=as_owner)
        except OperatorError as error:
            left_out[path] = [error.message]
            continue
        mistakes = mistakes or taken.take(entry)
        if mistakes:
            left_out[path] = mistakes
        else:
            entries.append(entry)
    return Applications(entries, left_out, changed)


def _read(path: str, environment: Mapping[str, str], *, as_owner: bool) -> tuple[Entry, list[str]]:
    name = os.path.basename(path).removesuffix(SUFFIX)
    kind = Settings.name.kind
    try:
        kind.parse(name)
    except ValueError:
        where = os.path.dirname(path)
        raise OperatorError(f"{where}: expected {kind.expected}, got {quoted(name + SUFFIX)}") from None
    data, found = _content(path, follows_links=not as_owner)
    document: Document
    table, document = open_document(decoded(data, path), path, environment)
    values = TableReader(document, {}).table(table, (), TABLES["app"], header=_HEADER)
    entry = Entry(document, (), _HEADER, values, source=(path, found.st_mtime_ns))
    for place, sentence in rules.of_entry(entry):
        document.mistake(place, sentence)
    for sentence in unusable(entry.get(Settings.error_pages), document.folder):
        document.mistake(entry.place_of(Settings.error_pages), sentence)
    if as_owner:
        _be_of_owner(entry, document, found)
    if not entry.get(Settings.name):
        _give(entry, Settings.name, name, path)
    return entry, document.mistakes


def _content(path: str, *, follows_links: bool) -> tuple[bytes, os.stat_result]:
    """Return what is in the file and whose it is: of one and the same file, whatever is renamed meanwhile."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follows_links else os.O_NOFOLLOW)
    try:
        with open(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OperatorError(f"{path}: expected a file, got something else")
            if found.st_size > _MOST_BYTES:
                raise OperatorError(f"{path}: expected at most {_MOST_BYTES} bytes, got {found.st_size}")
            return file.read(_MOST_BYTES), found
    except OSError as error:
        if not follows_links and os.path.islink(path):
            why = "expected a file, got a link, of which anybody may be the owner"
            raise OperatorError(f"{path}: {why}") from None
        raise OperatorError(f"{path}: cannot read it: {error.strerror}") from None


def _be_of_owner(entry: Entry, document: Document, found: os.stat_result) -> None:
    """Let the application run as the owner of its file, if nobody else can have written that."""
    own = os.geteuid()
    is_roots = found.st_uid == _ROOT and own == _ROOT
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = f"{stat.S_IMODE(found.st_mode):o}"
        document.mistake(Place(1, 1), f"expected a file that its owner alone may write, got mode {mode}")
    if own not in (_ROOT, found.st_uid):
        document.mistake(
            Place(1, 1),
            f"expected a file of the user {own}, as whom portico runs, got one of {_user(found.st_uid)}: "
            "only root can become another",
        )
    if is_roots:
        # What root writes may name who it is for.
        if not entry.get(Settings.user):
            document.mistake(Place(1, 1), "expected user in a file that is root's, got none")
        return
    rows: list[Setting[Any]] = [*_OF_OWNER]
    if own == _ROOT:
        # The router reads them, and may be root.
        rows.append(Settings.error_pages)
    for row in rows:
        if entry.has(row):
            document.mistake(
                entry.place_of(row), f"{row.key}: expected none, since {_user(found.st_uid)} owns the file"
            )
    if own == _ROOT:
        _give(entry, Settings.user, _user(found.st_uid), entry.origin)


def _give(entry: Entry, row: Setting[Any], value: str, origin: str) -> None:
    entry.found.values[row.attribute] = value
    entry.found.origins[row.attribute] = origin


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class _Taken:
    """Names, hosts and paths that are taken: who comes first has them."""

    def __init__(self, entries: Iterable[Entry], rows: Iterable[Row]) -> None:
        self._names: dict[str, Entry] = {}
        self._rows: dict[rules.RowKey, Row] = {}
        # Mistakes among these are told with the file that they are in.
        for _ in (*rules.of_names(entries, self._names), *rules.of_rows(rows, self._rows)):
            pass

    def take(self, entry: Entry) -> list[str]:
        """Return why `entry` cannot be served beside the others; take its places if it can."""
        mistakes = [*rules.of_names([entry], self._names), *rules.of_rows(entry.rows(), self._rows)]
        if mistakes:
            self._names = {name: each for name, each in self._names.items() if each is not entry}
            self._rows = {key: row for key, row in self._rows.items() if row.entry is not entry}
        path = entry.source[0]
        return [f"{path}:{place.line}:{place.column}: {sentence}" for place, sentence in mistakes]
