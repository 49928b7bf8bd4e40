"""Files that are compressed already, and who takes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from portico.middleware.precompressed import compressed_siblings, preferred_coding


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param("gzip, deflate, br", "br", id="browser"),
        pytest.param("gzip", "gzip", id="gzip"),
        pytest.param("x-gzip", "gzip", id="x-gzip"),
        pytest.param("GZIP", "gzip", id="case"),
        pytest.param("gzip;q=1, br;q=0.5", "gzip", id="weights"),
        pytest.param("gzip ; q=0.5 , br;q=0.5", "br", id="equal-weights"),
        pytest.param("br;q=0, gzip;q=0", None, id="forbidden"),
        pytest.param("*", "br", id="everything"),
        pytest.param("br;q=0, *", "gzip", id="everything-else"),
        pytest.param("gzip;q=0.5, identity", None, id="rather-plain"),
        pytest.param("gzip, identity", "gzip", id="as-well-plain"),
        pytest.param("", None, id="nothing"),
        pytest.param("deflate, zstd", None, id="others"),
        pytest.param("gzip;q=high", None, id="no-weight"),
    ],
)
def test_coding_that_a_client_prefers(accepted: str, coding: str | None) -> None:
    assert preferred_coding(accepted, {"br", "gzip"}) == coding


def test_only_what_is_there_is_preferred() -> None:
    assert preferred_coding("br, gzip;q=0.1", {"gzip"}) == "gzip"
    assert preferred_coding("br, gzip", set()) is None


def test_siblings_are_files_and_not_older(tmp_path: Path) -> None:
    path = str(tmp_path / "app.js")
    (tmp_path / "app.js.gz").write_bytes(b"")
    os.utime(path + ".gz", (1000, 1000))
    (tmp_path / "app.js.br").mkdir()
    assert compressed_siblings(path, 1000.0) == {"gzip": path + ".gz"}
    assert compressed_siblings(path, 1000.5) == {}
