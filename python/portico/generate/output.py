"""Where generated text goes: standard output, or files that are not there yet. Nothing else writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from portico.errors import OperatorError, quoted
from portico.generate.deployment import File


def show(files: Sequence[File]) -> None:
    """Print `files` one after the other; the first comment of each says what it is."""
    sys.stdout.write("\n".join(file.text for file in files))


def write(files: Sequence[File], path: str, *, force: bool) -> list[str]:
    """Write the first of `files` to `path` and the others beside it, all or none; return their paths.

    Raises OperatorError if one exists, unless `force`, or cannot be written.
    """
    directory = os.path.dirname(path)
    paths = [path, *(os.path.join(directory, file.name) for file in files[1:])]
    for other in paths:
        if os.path.lexists(other) and not force:
            raise OperatorError(f"{quoted(other)} exists already and is left as it is; --force overwrites it")
    for other, file in zip(paths, files, strict=True):
        try:
            # "x" again, because somebody may have been quicker.
            with open(other, "w" if force else "x", encoding="utf-8") as stream:
                stream.write(file.text)
        except OSError as error:
            raise OperatorError(f"cannot write {quoted(other)}: {error.strerror}") from None
    return paths
