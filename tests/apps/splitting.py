"""Passes whatever the request's body describes to the server: the application of test_response_splitting.

The body is JSON. A value is a string, or an object with one member that names a Python type that JSON does
not have: see `value_of`. The members: `status`, `headers`, `blocks`; `how` the blocks are given (`list`,
`generator`, `write`, `write and list`); optionally `again`, the status and headers of a second call,
and `exc_info`, whether that call says so.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

NEXT = "/next"
"""The path of the request that follows: its response is its own query."""


class TextSubclass(str):
    """A subclass of str that looks like something else to whoever asks it."""

    def __str__(self) -> str:
        return "other\r\nX-Injected: yes"

    def encode(self, *_arguments: Any, **_keywords: Any) -> bytes:
        return b"other\r\nX-Injected: yes"

    def __len__(self) -> int:
        return 1


class Block(bytes):
    """A subclass of bytes, with a length that is not true."""

    def __len__(self) -> int:
        return 3


def value_of(description: Any) -> Any:
    """The Python object that a JSON value describes."""
    if not isinstance(description, dict):
        return description
    [(kind, content)] = description.items()
    if kind in ("list", "tuple"):
        members = [value_of(member) for member in content]
        return members if kind == "list" else tuple(members)
    if kind == "Text":
        return TextSubclass(content)
    data = base64.b64decode(content)
    return {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview, "Block": Block}[kind](data)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
    """Do as the body says; nothing is caught."""
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == NEXT:
        start_response("200 OK", [("X-Next", environ["QUERY_STRING"])])
        return [environ["QUERY_STRING"].encode()]
    script = json.loads(body)
    blocks = [value_of(block) for block in script["blocks"]]
    write = start_response(value_of(script["status"]), value_of(script["headers"]))
    if "again" in script:
        write = _start_again(script, start_response)
    match script["how"]:
        case "list":
            return blocks
        case "generator":
            return _generate(blocks)
        case "write":
            for block in blocks:
                write(block)
            return []
        case _:
            write(blocks[0] if blocks else b"")
            return blocks[1:]


def _start_again(script: dict[str, Any], start_response: Any) -> Any:
    status, headers = (value_of(part) for part in script["again"])
    if not script.get("exc_info"):
        return start_response(status, headers)
    try:
        raise RuntimeError("to be told")
    except RuntimeError:
        return start_response(status, headers, sys.exc_info())


def _generate(blocks: list[Any]) -> Iterator[Any]:
    yield from blocks
