"""What the page of `portico top` says of columns and keys is what there is."""

from __future__ import annotations

import re

import pytest
from portico.top.columns import COLUMNS

from .pages import blocks, page

TITLES = [column.title for column in COLUMNS]


def test_each_column_is_explained_in_its_order() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (?!does)", page("top").partition("\n## Keys")[0], re.MULTILINE)
    assert rows == TITLES


def test_screens_have_the_columns_that_there_are() -> None:
    screens = [*blocks("top", "text"), blocks("top", "console")[1]]
    assert [re.search(r"^[ ▲]?#.*$", screen, re.MULTILINE)[0].lstrip(" ▲").split() for screen in screens] == [
        [title for title in TITLES if title != "POOL"],
        [title for title in TITLES if title != "POOL"],
    ]
    assert max(map(len, screens[0].splitlines())) <= 80


def test_each_key_is_explained() -> None:
    view = pytest.importorskip("portico.top.view")
    keys = set(re.findall(r"(\S) \w+", view._KEYS.replace("enter requests", "")))
    explained = set(re.findall(r"^\| `(.)` \|", page("top").partition("\n## Keys")[2], re.MULTILINE))
    assert explained == keys
