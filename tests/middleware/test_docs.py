"""The page about middleware: its Python runs, its tables have the arguments that there are."""

from __future__ import annotations

import inspect
import re

import portico.middleware
import pytest
from support.pages import DOCS, blocks_of

from .calling import shows_path

PAGE = (DOCS / "middleware.md").read_text("utf-8")
BLOCKS = [block.text for block in blocks_of(PAGE, "python")]
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_of_the_page_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"__name__": "shop", "application": shows_path}
    exec(compile(block, "docs/middleware.md", "exec"), names)
    said = re.search(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
    if said:
        assert capsys.readouterr().out.splitlines()[-1] == said[1]


@pytest.mark.parametrize("name", ["SharedDataMiddleware", "ProxyFix", "Profile"])
def test_tables_have_every_argument(name: str) -> None:
    arguments = list(inspect.signature(getattr(portico.middleware, name)).parameters)
    arguments = [argument for argument in arguments if argument not in ("app", "exports")]
    assert re.findall(r"^\| `(\w+)` \|", SECTIONS[name], re.MULTILINE) == arguments
