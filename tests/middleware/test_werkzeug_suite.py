"""Werkzeug's own tests of its middleware pass against `portico.middleware`, with nothing but the import
changed.

They come from Werkzeug's source distribution, of the version that is installed, which pip downloads once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOWNLOADS = ROOT / "target" / "downloads"
"""Not tracked; kept from run to run."""

MODULES = ("dispatcher", "http_proxy", "lint", "profiler", "proxy_fix", "shared_data")
EXCEPTIONS: dict[str, str] = {}
"""Tests that are not to pass, `lint.test_name[id]`, and why."""

# What pip says where there is no index to ask, or none that can be reached.
UNREACHABLE = ("from versions: none", "Failed to establish", "Name or service", "timed out", "Max retries")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Werkzeug's tests, which ask for our modules where they asked for Werkzeug's."""
    folder = tmp_path_factory.mktemp("werkzeug")
    with tarfile.open(source_distribution()) as archive:
        archive.extractall(folder, filter="data")
    (tests,) = folder.glob("*/tests")
    for path in (tests / "middleware").glob("*.py"):
        text = path.read_text("utf-8")
        path.write_text(text.replace("werkzeug.middleware", "portico.middleware"), "utf-8")
    return tests


def source_distribution() -> Path:
    wanted = version("werkzeug")
    known = DOWNLOADS / f"werkzeug-{wanted}.tar.gz"
    if not known.exists():
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--retries", "2", "--timeout", "20"),
            *("--no-deps", "--no-binary", "werkzeug", "--dest", str(DOWNLOADS), f"werkzeug=={wanted}"),
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if run.returncode and any(words in run.stderr for words in UNREACHABLE):
            pytest.skip(f"no index has werkzeug {wanted} within reach: {run.stderr.strip().splitlines()[-1]}")
        assert run.returncode == 0, run.stderr
    return known


@pytest.mark.parametrize("module", MODULES)
def test_werkzeugs_tests_pass(suite: Path, tmp_path: Path, module: str) -> None:
    if find_spec(f"portico.middleware.{module}") is None:
        pytest.skip(f"portico.middleware.{module} is not here yet")
    report = tmp_path / "report.xml"
    python_path = [str(ROOT / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(f"--junitxml={report}", f"middleware/test_{module}.py"),
        ],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(python_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert report.exists(), run.stdout + run.stderr
    outcomes = {
        f"{module}.{case.get('name')}": {child.tag for child in case} & {"failure", "error", "skipped"}
        for case in ElementTree.parse(report).iter("testcase")
    }
    assert outcomes, run.stdout + run.stderr
    failed = {name for name, outcome in outcomes.items() if outcome}
    assert failed == {name for name in EXCEPTIONS if name.startswith(f"{module}.")}, run.stdout
