"""What `portico.wire` costs: a worker nothing, who imports it the extension alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import portico.wire
import pytest
from portico import _core


def in_fresh_process(program: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(ended.stdout)


def test_loads_the_extension_and_nothing_else() -> None:
    loaded = in_fresh_process(
        "import json, sys; before = set(sys.modules); import portico.wire; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert loaded == ["portico", "portico._core", "portico.wire"]


def test_a_worker_has_none_of_its_types() -> None:
    names = in_fresh_process(
        "import json, portico._core as core; "
        "print(json.dumps([kind.__name__ for kind in object.__subclasses__() + Exception.__subclasses__()]))"
    )
    assert "Scoreboard" in names
    assert set(names) & set(portico.wire.__all__) == set()


def test_every_name_is_one_object() -> None:
    for name in portico.wire.__all__:
        if name not in ("CONTINUE", "Event"):
            assert getattr(_core, name) is getattr(portico.wire, name)
            assert name in _core.__all__


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match=r"module 'portico\._core' has no attribute 'Response'"):
        _ = _core.Response  # type: ignore[attr-defined]


def test_everything_says_what_it_is() -> None:
    assert [name for name in portico.wire.__all__ if not getattr(portico.wire, name).__doc__] == []
