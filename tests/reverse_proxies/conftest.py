"""One deployment for each pairing and application, shared by all tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reverse_proxies.deployment import (
    APPLICATIONS,
    NAME,
    RunningDeployment,
    running_deployment,
    temporary_folder,
)
from reverse_proxies.pairings import PAIRINGS, Pairing

SITES = {f"{pairing}-{name}": (pairing, name) for pairing in PAIRINGS for name in APPLICATIONS}


@pytest.fixture(scope="session")
def certificate() -> Iterator[Path]:
    """A certificate for shop.example and its key, in one file that reverse proxies of another user may
    read."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: reverse proxies, since openssl is missing (apt-get install openssl)")
    with temporary_folder() as folder:
        path, key = folder / "shop.pem", folder / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
                *("-keyout", str(key), "-out", str(path)),
            ],
            check=True,
            capture_output=True,
        )
        path.write_text(path.read_text() + key.read_text())
        path.chmod(0o644)
        yield path


@pytest.fixture(scope="session", params=list(SITES.values()), ids=list(SITES))
def deployment(request: pytest.FixtureRequest, certificate: Path) -> Iterator[RunningDeployment]:
    """portico behind a reverse proxy, with two workers."""
    pairing, application = request.param
    with running_deployment(pairing, application, certificate) as running:
        yield running


@pytest.fixture
def pairing(deployment: RunningDeployment) -> Pairing:
    """What the reverse proxy of `deployment` can do."""
    return deployment.pairing
