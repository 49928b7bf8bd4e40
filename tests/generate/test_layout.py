"""portico.generate.layout: templates and comments."""

from __future__ import annotations

import pytest
from portico.generate.layout import Derived, comment, fill, listing

TEMPLATE = """
    one <word> {
        <lines>
    }

    <nothing>

    end
"""


def test_a_field_alone_is_as_many_lines_as_it_has() -> None:
    text = fill(TEMPLATE, word="two", lines="a\n    b\n", nothing="")
    assert text == "one two {\n    a\n        b\n}\n\nend\n"


def test_values_are_not_templates() -> None:
    assert fill("<a> <b>", a="<b>", b="<a>") == "<b> <a>\n"


@pytest.mark.parametrize("fields", [{"a": "1"}, {"a": "1", "b": "2", "c": "3"}], ids=["missing", "unused"])
def test_fields_have_to_match(fields: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        fill("<a> <b>", **fields)


def test_a_comment_is_wrapped_where_it_is_not_indented() -> None:
    long = "word " * 30
    lines = comment(f"{long}\n  {long}\n\nend").splitlines()
    assert [line[:3] for line in lines] == ["# w", "# w", "#  ", "#", "# e"]
    assert max(len(line) for line in lines[:2]) <= 100


def test_a_listing_stands_in_columns() -> None:
    lines = listing([Derived("a", "1s", "this"), Derived("long", "2s", "that")]).splitlines()
    assert lines == ["  a 1s     this", "  long 2s  that"]
