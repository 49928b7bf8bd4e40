"""Servers that tests share, so that the whole suite stays quick."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from support.browser import PROGRAM, Browser
from support.server import Server


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "large: moves a gigabyte (a few seconds)")
    config.addinivalue_line(
        "markers", "alone: judges by so short a time that no other test may run beside it"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Which tests stay in one process, and in order: those that share servers."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            deployment = re.search(r"\[(.*?-(?:flask|django))\b", test)
            return deployment[1] if deployment and "reverse_proxies" in file else file

    return Together(config, log)


@pytest.fixture(
    scope="session",
    params=[pytest.param(1, id="1-thread"), pytest.param(8, id="8-threads")],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One worker that serves `apps.conformance`, with one crew thread and then with eight."""
    with Server(threads=request.param, options=["-e", "TEST_SETTING=from the command line"]) as running:
        yield running


@pytest.fixture(scope="session")
def validated_server() -> Iterator[Server]:
    """The same applications, each between `wsgiref.validate` and the server."""
    with Server("apps.validated:application", threads=8) as running:
        yield running


@pytest.fixture
def key() -> str:
    """A name for this test's events and gates in the applications."""
    return uuid.uuid4().hex


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Show the end of a shared server's error log beside a failure."""
    report = yield
    running = getattr(item, "funcargs", {}).get("server")
    if report.when == "call" and report.failed and isinstance(running, Server):
        report.sections.append(("error log of the server", running.log_tail()[-3000:]))
    return report


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium, for all tests of a file."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is missing")
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()
