"""docs/workers.md: the files that it shows are served as they stand there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from support.pages import DOCS, blocks_of
from support.postgresql import PostgreSQL, postgresql
from support.server import TESTS
from support.waiting import DEADLINE_S, wait_until
from support.ways import THREADS, serving

PAGE = DOCS / "workers.md"

at_one_time = pytest.mark.parametrize(("way", "count"), [("threads", THREADS - 1), ("gevent", 3 * THREADS)])
"""More calls than there are threads, where nobody needs one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the page are."""
    written = tmp_path_factory.mktemp("workers")
    for block in blocks_of(PAGE.read_text("utf-8"), "python"):
        if block.name:
            (written / block.name).write_text(block.text)
    return written


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    """A PostgreSQL with the table that the page asks."""
    with postgresql() as running:
        with closing(running.connect()) as connection:
            connection.execute("CREATE TABLE stock (item text)")
            connection.execute("INSERT INTO stock VALUES ('shoe'), ('hat')")
        yield running


@contextmanager
def prices(count: int) -> Iterator[str]:
    """The address of a service that responds when so many ask at one time."""
    command = [sys.executable, str(TESTS / "support/grpc_service.py"), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            assert process.stdin is not None
            process.stdin.close()


@at_one_time
def test_calls_wait_in_psycopg2_at_one_time(folder: Path, database: PostgreSQL, way: str, count: int) -> None:
    pytest.importorskip("psycogreen")
    with (
        serving("stock", way, folder, {**database.environment, "DATABASE": ""}) as server,
        ThreadPoolExecutor(count) as readers,
    ):
        with closing(database.connect()) as connection, connection.transaction():
            connection.execute("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE")
            asked = [readers.submit(httpx.get, server.url, timeout=DEADLINE_S) for _ in range(count)]
            wait_until(lambda: database.waiting() == count, what="all to wait in the database")
        assert [each.result().text for each in asked] == ["2\n"] * count


@at_one_time
def test_calls_wait_in_grpc_at_one_time(folder: Path, way: str, count: int) -> None:
    pytest.importorskip("grpc")
    with (
        prices(count) as address,
        serving("prices", way, folder, {"PRICES": address}) as server,
        ThreadPoolExecutor(count) as readers,
    ):
        urls = [f"{server.url}/{number}" for number in range(count)]
        pages = list(readers.map(lambda url: httpx.get(url, timeout=2 * DEADLINE_S).text, urls))
        assert pages == [f"price of /{number}" for number in range(count)]
