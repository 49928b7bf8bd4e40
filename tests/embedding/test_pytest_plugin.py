"""The fixture `portico_server`, as pytest finds it where portico is installed."""

from __future__ import annotations

import sys
from pathlib import Path

from .embedded import ROOT
from .test_docs_embedding import run_pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TESTS = """
import socket
from urllib.request import urlopen

import pytest
from hello import application

addresses = []


def test_serves_several(portico_server):
    servers = [portico_server(application), portico_server(application, threads=1)]
    for server in servers:
        with urlopen(server.url) as response:
            assert response.read() == b"Hello, world!"
        addresses.append(("127.0.0.1", server.port))


def test_all_have_stopped_with_their_test():
    assert len(addresses) == 2
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address).close()


def test_a_wrong_setting_is_an_error(portico_server):
    with pytest.raises(TypeError, match="thread is not a setting"):
        portico_server(application, thread=1)
"""


def test_plugin_is_found_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"portico": "portico.pytest_plugin"}


def test_fixture_serves_as_long_as_a_test_lasts(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    assert "3 passed" in run_pytest(tmp_path, "test_it.py")
