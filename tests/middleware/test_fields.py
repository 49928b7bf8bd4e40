"""Lists in header fields (RFC 9110 5.6.1)."""

from __future__ import annotations

import pytest
from portico.middleware.fields import list_items


@pytest.mark.parametrize(
    ("value", "items"),
    [
        pytest.param("a", ["a"], id="one"),
        pytest.param("a, b\t,c", ["a", "b", "c"], id="whitespace"),
        pytest.param("", [], id="nothing"),
        pytest.param(" , ,a,,", ["a"], id="empty-elements"),
        pytest.param('"a, b", c', ["a, b", "c"], id="quoted-comma"),
        pytest.param(r'"a\"b\\", c', ['a"b\\', "c"], id="escapes"),
        pytest.param('a;b="c,d", e', ['a;b="c,d"', "e"], id="quoted-parameter"),
        pytest.param('a, "b', [], id="unclosed"),
        pytest.param('a, "b\\"', [], id="end-escaped"),
        pytest.param('"', [], id="only-a-quote"),
        pytest.param('""', [""], id="empty-quoted"),
    ],
)
def test_items_of_a_list(value: str, items: list[str]) -> None:
    assert list_items(value) == items


def test_a_long_unclosed_string_takes_no_long_time() -> None:
    assert list_items('"\\a' * 20_001) == []
