"""portico.process.control.json_lines: what a module of Python's own reads and writes the same way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from portico.process.control.json_lines import read_line, write_line


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": [1, -2, 0.5, 1e300, True, False, None, "x"], "b": {"c": []}},
        'quotes " and \\ and / and \n\t\x00\x7f',
        "é € 😀 \ud800",
        10**30,
    ],
)
def test_writes_what_json_reads_as_the_same(value: Any) -> None:
    line = write_line(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == value


def test_writes_tuples_as_arrays_and_no_infinity() -> None:
    assert write_line(("a", float("inf"), float("nan"))) == b'["a", null, null]\n'


def test_writes_nothing_else() -> None:
    with pytest.raises(TypeError, match="got bytes"):
        write_line({"a": b""})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"protocol": 1, "verb": "scale", "workers": -4, "wait": True, "x": False, "y": None, "z": 0},
        {'"\\/\b\f\n\r\t': "é € 😀 \x7f"},
    ],
)
def test_reads_what_json_writes(value: dict[str, Any]) -> None:
    for line in (json.dumps(value), json.dumps(value, indent=1), json.dumps(value, separators=(",", ":"))):
        assert read_line(line.encode()) == value
    assert read_line(json.dumps(value, ensure_ascii=False).encode()) == value


def test_reads_every_escape() -> None:
    assert read_line(rb' { "a" : "\u0041\/\ud83d\ude00" } ' + b"\r\n") == {"a": "A/😀"}
    assert read_line(rb'{"a":"\ud800 \udc00"}') == {"a": "\ud800 \udc00"}


WRONG = [
    *("", " ", "x", "[]", "1", '"a"', "{", "}", "{}x", "{}{}", "{,}", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}"),
    *(
        '{"a":1 "b":2}',
        '{"a":01}',
        '{"a":-}',
        '{"a":1.5}',
        '{"a":1e3}',
        '{"a":+1}',
        '{"a":NaN}',
        '{"a":True}',
    ),
    *('{"a":{}}', '{"a":[]}', '{"a":"x}', '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":"\\u+123"}', '{"a":"\n"}'),
    *('{"a":1,"a":2}', '{"a":1234567890123456789}', '{"a":²}', "{'a':1}", '{"a":-01}', '{"a":"\\'),
]


@pytest.mark.parametrize("text", WRONG)
def test_reads_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any, which a client is told as one sentence
        read_line(text.encode())


def test_reads_no_other_encoding() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        read_line(b'{"a":"\xff"}')


def test_an_end_anywhere_is_an_error() -> None:
    line = rb'{"protocol": 1, "verb": "a\u00e9", "wait": true}'
    for end in range(len(line)):
        with pytest.raises(ValueError):  # noqa: PT011
            read_line(line[:end])
