"""A file of TOML: its text, and the tables and places that are in it, or where it is none.

Runs in the process of the command line only.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from portico.config.document import Document
from portico.config.toml_positions import Place, places
from portico.errors import OperatorError, quoted

_MOST_BYTES = 64 << 20


def open_document(text: str, path: str, environment: Mapping[str, str]) -> tuple[Mapping[str, Any], Document]:
    """Return the tables in `text`, which is that of the file at `path`, and it as a document.

    Raises OperatorError if it is not TOML.
    """
    # Here and not above: many a start has no file to read.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(text), Document(path, places(text, tomllib.loads), environment)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(_syntax_error(path, text, str(error))) from None
    except ValueError:  # of int(), which the reader lets through
        raise OperatorError(_too_long_number(path, text)) from None
    except RecursionError:
        raise OperatorError(f"{path}: expected arrays and tables, got too many inside each other") from None


def text_of_file(path: str, origin: str) -> str:
    """Return the text of the file at `path`, of which `origin` says named it; raises OperatorError."""
    before = f"{origin}: " if origin else ""
    if path.endswith(".py") or path.startswith(("python:", "file:")):
        raise OperatorError(
            f"{before}expected a TOML file, got {quoted(path)}: settings that are made by Python go into the "
            "environment or to the command line, hooks into a module that --hooks names"
        )
    if path.endswith((".ini", ".xml", ".yaml", ".yml")):
        raise OperatorError(
            f"{before}expected a TOML file, got {quoted(path)}: what the options of uWSGI are here is on "
            "docs/moving.md"
        )
    try:
        data = data_of_file(path)
    except OSError as error:
        raise OperatorError(f"{before}cannot read {quoted(path)}: {error.strerror}") from None
    return decoded(data, path)


def data_of_file(path: str) -> bytes:
    """Return all that is in the file at `path`; raises OSError, also if it is larger than any that is meant.

    What has no end, such as /dev/zero, would take all memory, and that from a server that reloads.
    """
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data


def decoded(data: bytes, path: str) -> str:
    """Return the text in `data`, which is that of the file at `path`; raises OperatorError if it is none."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise OperatorError(
            f"{path}:{line}:{column}: expected UTF-8, got the byte {data[error.start]:#04x}"
        ) from None


def _too_long_number(path: str, text: str) -> str:
    found = re.search(r"[0-9](_?[0-9]){4300}", text)
    at = found.start() if found else 0
    place = Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return f"{path}:{place.line}:{place.column}: expected a number, got thousands of digits"


def _syntax_error(path: str, text: str, said: str) -> str:
    """Put the reader's words behind the place, as in every other sentence."""
    words, _, where = said.rpartition(" (at ")
    if names := re.search(r"\((?:'[^']*',? ?)+\)", words):
        # A path of keys is a tuple there.
        words = words.replace(names[0], ".".join(re.findall("'([^']*)'", names[0])))
    if found := re.match(r"line (\d+), column (\d+)", where):
        line, column = int(found[1]), int(found[2])
        key = re.match(r"\s*([^=\[\]{}#]+?)\s*=", text.split("\n")[line - 1])
        if key and words == "Cannot overwrite a value":
            words, column = f"{key[1]} has a value already", key.start(1) + 1
    else:
        line = text.count("\n") + 1
        column = len(text) - text.rfind("\n")
        words = f"{words} at the end of the file"
    return f"{path}:{line}:{column}: not TOML: {words[:1].lower()}{words[1:]}"
