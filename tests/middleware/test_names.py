"""`portico.middleware`: a name is imported when it is asked for, and nothing else with it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import portico.middleware
import pytest

WERKZEUGS = {
    "dispatcher": ["DispatcherMiddleware"],
    "lint": ["HTTPWarning", "LintMiddleware", "WSGIWarning"],
    "profiler": ["Profile", "ProfilerMiddleware"],
    "proxy_fix": ["ProxyFix"],
    "shared_data": ["SharedDataMiddleware"],
}


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement, beside those that it begins with."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment(), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def environment() -> dict[str, str]:
    folder = portico.middleware.__path__[0].removesuffix("/portico/middleware")
    return {"PYTHONPATH": folder}


def test_the_package_itself_imports_nothing() -> None:
    assert modules_after("import portico.middleware") == {"portico", "portico.middleware", "__future__"}


@pytest.mark.parametrize("name", portico.middleware.__all__)
def test_a_name_leads_to_its_class(name: str) -> None:
    module, attribute = portico.middleware._NAMES[name]
    if find_spec(f"portico.middleware.{module}") is None:
        pytest.skip(f"portico.middleware.{module} is not here yet")
    found = getattr(portico.middleware, name)
    assert found is getattr(import_module(f"portico.middleware.{module}"), attribute)
    assert name in dir(portico.middleware)


@pytest.mark.parametrize(
    "name", ["DispatcherMiddleware", "Lint", "Profile", "ProxyFix", "SharedDataMiddleware"]
)
def test_a_name_brings_neither_the_engine_nor_its_neighbours(name: str) -> None:
    modules = modules_after(f"from portico.middleware import {name}")
    module = portico.middleware._NAMES[name][0]
    others = {f"portico.middleware.{other}" for other, _ in portico.middleware._NAMES.values()} - {
        f"portico.middleware.{module}"
    }
    assert modules & (others | {"portico._core", "portico.types", "werkzeug"}) == set()


@pytest.mark.parametrize("module", WERKZEUGS)
def test_modules_have_the_names_of_werkzeug(module: str) -> None:
    ours = import_module(f"portico.middleware.{module}")
    assert [name for name in WERKZEUGS[module] if not hasattr(ours, name)] == []


def test_the_error_of_an_unknown_name_has_those_there_are() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ProxyFixe'; it has DispatcherMiddleware, "):
        _ = portico.middleware.ProxyFixe
