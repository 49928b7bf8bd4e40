"""The corpus of static files: its lines, and the files that they ask for (`tests/corpus/static/tree.txt`)."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus/static"
NAMES = ("conditions", "ranges", "negotiation", "paths")
MODIFIED_S = 1_700_000_000
_DATE = "Tue, 14 Nov 2023 22:13:{} GMT"


@dataclass(frozen=True)
class Case:
    """A line of the corpus: a request, `app` or a status, and what the response has to have."""

    request: tuple[str, ...]
    outcome: str
    expected: tuple[str, ...]


def lines() -> list[str]:
    """All cases, as they stand there."""
    texts = [(CORPUS / f"{name}.txt").read_text() for name in NAMES]
    return [line for text in texts for line in text.splitlines() if line and not line.startswith("#")]


def read_case(line: str, root: Path) -> Case:
    """Read a line, with the entity tags and dates of the files below `root`."""
    for name, text in (("date", "20"), ("date+1", "21"), ("date-1", "19")):
        line = line.replace(f"{{{name}}}", _DATE.format(text))
    line = re.sub(r"\{etag ([^}]*)\}", lambda match: etag(root / match[1]), line)
    parts = line.split(" | ")
    at = next(at for at, part in enumerate(parts) if re.fullmatch("app|[0-9]{3}", part))
    return Case(tuple(parts[:at]), parts[at], tuple(parts[at + 1 :]))


def etag(path: Path) -> str:
    """The entity tag of a file."""
    status = path.stat()
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    return f'"{status.st_ino:x}-{status.st_size:x}-{seconds:x}.{nanoseconds:x}"'


def make_tree(folder: Path) -> Path:
    """Make the files in `folder`; returns the directory that is served."""
    for line in (CORPUS / "tree.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, content = line.partition(" = ")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content, older, _ = content.partition(" (older)")
        if content.startswith("-> "):
            path.symlink_to(content[3:])
        elif content == "(directory)":
            path.mkdir()
        else:
            path.write_text({"(empty)": "", "(thousand)": "abcdefghij" * 100}.get(content, content))
            modified_ns = (MODIFIED_S - (10 if older else 0)) * 10**9 + 5000
            os.utime(path, ns=(modified_ns, modified_ns))
    root = folder / "root"
    os.mkfifo(root / "fifo", 0o400)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    return root
