"""The folder of the control socket and the pid file goes away: requests, reloads and the stop go on."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.lifecycle import assert_nothing_lost, load_for

from lifecycle.load import Load

from .conftest import Serve
from .test_reloads import reload


def test_a_run_directory_that_goes_away(serve: Serve, tmp_path: Path, rate: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    places = ("--control", str(folder / "control.sock"), "--pid-file", str(folder / "pid"))
    portico = serve("-w", "2", *places)
    with Load(portico.port, new_per_s=rate) as load:
        shutil.rmtree(folder)
        load_for(0.5)
        for _ in range(3):
            reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()
