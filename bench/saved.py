"""The application that the case `save` writes anew, and a folder by which watchfiles cannot be imported."""

from __future__ import annotations

from pathlib import Path

MODULE = "saved"
FIRST = 100
"""What the application responds with that is there at the start."""
SOURCE = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"{number}"]
"""


def save(folder: Path, number: int) -> None:
    """Save the application that responds with `number`, as editors do: beside it, then over it."""
    beside = folder / f"{MODULE}.new"
    beside.write_text(SOURCE.format(number=number))
    beside.replace(folder / f"{MODULE}.py")


def hide_watchfiles(folder: Path) -> Path:
    """Return a folder, in `folder`, for the front of the import path."""
    hiding = folder / "hiding"
    hiding.mkdir()
    Path(hiding, "watchfiles.py").write_text("raise SystemExit\n")
    return hiding
