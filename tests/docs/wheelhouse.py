"""Wheels of what is installed here, so that `pip install flask` on a page needs no network."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

_OF_AN_INSTALLATION = ("INSTALLER", "REQUESTED", "direct_url.json")
"""What an installer has added to a .dist-info."""


def pack_installed(names: Iterable[str], folder: Path) -> None:
    """Write wheels of the distributions called `names`, and of all that they need, into `folder`."""
    waiting, seen = [*names], set()
    while waiting:
        name = waiting.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # pip says so, if it is missed
        if found.name not in seen:
            seen.add(found.name)
            _pack(found, folder)
            waiting += _needed_by(found)


def _needed_by(found: Distribution) -> list[str]:
    needed = [Requirement(text) for text in found.requires or ()]
    return [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]


def _pack(found: Distribution, folder: Path) -> None:
    """Zip the files that its RECORD names (PEP 376), as they were in its wheel (PEP 427)."""
    record = found.read_text("RECORD")
    described = found.read_text("WHEEL")
    assert record is not None, f"{found.name} was not installed from a wheel"
    assert described is not None, f"{found.name} was not installed from a wheel"
    rows = [
        row
        for row in csv.reader(record.splitlines())
        # Scripts, which are made of entry points anew, and bytecode.
        if not row[0].startswith("..") and "__pycache__" not in row[0]
        if not row[0].endswith(_OF_AN_INSTALLATION)
    ]
    [recorded] = [row[0] for row in rows if row[0].endswith(".dist-info/RECORD")]
    tag = next(line.removeprefix("Tag: ") for line in described.splitlines() if line.startswith("Tag: "))
    with zipfile.ZipFile(folder / f"{recorded.partition('.dist-info/')[0]}-{tag}.whl", "w") as wheel:
        for name, *_ in rows:
            if name != recorded:
                wheel.write(str(found.locate_file(name)), name)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        wheel.writestr(recorded, text.getvalue())
