"""tests/corpus/http1 as tests in Python need it: bytes of connections, and what has to become of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus" / "http1"


@dataclass
class Request:
    """A request that has to be read."""

    method: str
    target: str
    version: str
    path: str = ""
    query: str = ""
    body: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Case:
    """One file of the corpus. `status` is 0 if it is valid; `leftover` follows the last whole request."""

    name: str
    data: bytes
    requests: list[Request] = field(default_factory=list)
    status: int = 0
    after: int = 0
    leftover: str = ""


def read_case(path: Path) -> Case:
    """The file at `path` with its expectation."""
    case = Case(path.stem, path.read_bytes())
    for line in path.with_suffix(".expect").read_text().splitlines():
        key, _, text = line.partition(":")
        value = unescape(text.removeprefix(" "))
        if key == "request":
            method, target, version = value.split(" ")
            case.requests.append(Request(method, target, version))
        elif key in {"path", "query", "body"}:
            setattr(case.requests[-1], key, value)
        elif key == "header":
            name, _, text = value.partition(":")
            case.requests[-1].headers.append((name, text.removeprefix(" ")))
        elif key in {"status", "after"}:
            setattr(case, key, int(value))
        elif key == "leftover":
            case.leftover = value
        else:
            assert key == "rule", f"unknown key {key} in {path}"
    return case


def unescape(text: str) -> str:
    """The text of a bytes literal without its quotes, as Latin-1."""
    quoted = text.replace('"', '\\"')
    value = ast.literal_eval(f'b"{quoted}"')
    assert isinstance(value, bytes)
    return value.decode("latin-1")


VALID = [read_case(path) for path in sorted((CORPUS / "valid").glob("*.http"))]
INVALID = [read_case(path) for path in sorted((CORPUS / "invalid").glob("*.http"))]
