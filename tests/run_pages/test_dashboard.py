"""docs/run/dashboard.md: its configurations serve a dashboard, and its numbers are those of the sources."""

from __future__ import annotations

import re
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from portico.admin.access import read_token
from portico.admin.dashboard import watching
from portico.process.admin import overview
from process.conftest import Start
from support.server import free_port

from .pages import blocks, page

PAGE = page("dashboard")
OPEN, GUARDED = blocks("dashboard", "toml")
(MAKE_TOKEN,) = blocks("dashboard", "console")
(SCRAPE,) = blocks("dashboard", "yaml")
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_first_configuration_has_it_for_this_machine(start: Start, tmp_path: Path) -> None:
    here = f"127.0.0.1:{free_port()}"
    assert "http://127.0.0.1:9100/" in PAGE
    (tmp_path / "portico.toml").write_text(OPEN.replace("127.0.0.1:9100", here))
    portico = start(HELLO, "-c", "portico.toml", "-w", "1")
    portico.wait_for(f"metrics are at /metrics on http://{here}")
    assert (status(f"http://{here}/"), status(f"http://{here}/", Host="shop.example")) == (200, 403)
    portico.stop()


def test_the_commands_make_a_token_that_is_asked_for(start: Start, tmp_path: Path) -> None:
    for line in MAKE_TOKEN.splitlines():
        subprocess.run(line.removeprefix("$ "), shell=True, check=True, cwd=tmp_path, timeout=60)
    file = tmp_path / "admin-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    here = f"127.0.0.1:{free_port()}"
    configuration = GUARDED.replace('":9100"', f'"{here}"').replace("/etc/shop/admin-token", str(file))
    assert (here in configuration, str(file) in configuration) == (True, True)
    (tmp_path / "portico.toml").write_text(configuration)
    portico = start(HELLO, "-c", "portico.toml", "-w", "1")
    portico.wait_for(f"metrics are at /metrics on http://{here}")
    bearer = f"Bearer {read_token(str(file))}"
    for path in ("/", "/metrics"):
        assert status(f"http://{here}{path}") == 401
        assert status(f"http://{here}{path}", Authorization=bearer) == 200
    portico.stop()


def test_prometheus_sends_a_token() -> None:
    (job,) = yaml.safe_load(SCRAPE)["scrape_configs"]
    # Its type is Bearer unless something else is said.
    assert list(job["authorization"]) == ["credentials_file"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (watching.MOST_WATCHERS, r"(Eight) may watch at the same time"),
        (overview._MOST_ROWS["requests"], r"the (\d+) that have been in the application longest"),
    ],
)
def test_limits_are_those_of_the_sources(number: int, sentence: str) -> None:
    (said,) = re.findall(sentence, PAGE)
    assert {"Eight": 8}.get(said) or int(said) == number
