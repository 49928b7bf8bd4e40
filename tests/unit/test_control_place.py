"""Where control sockets are, and whose directory that has to be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from portico.process.control.opening import is_own, run_directory, sockets_in, stale_sockets


@pytest.mark.parametrize(
    ("environment", "user_id", "directory"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/portico"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/portico"),
        ({"XDG_RUNTIME_DIR": ""}, 7, "/tmp/portico-7"),
        ({}, 7, "/tmp/portico-7"),
    ],
)
def test_the_run_directory(environment: dict[str, str], user_id: int, directory: str) -> None:
    assert run_directory(environment, user_id) == directory


@pytest.mark.parametrize(("mode", "is_ours"), [(0o700, True), (0o755, True), (0o770, False), (0o1777, False)])
def test_a_directory_in_which_others_may_write_is_not_ours(tmp_path: Path, mode: int, is_ours: bool) -> None:
    tmp_path.chmod(mode)
    assert is_own(str(tmp_path)) == is_ours


def test_a_link_to_a_directory_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    assert not is_own(str(tmp_path / "link"))


def test_only_sockets_that_nobody_serves_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.sock").touch()
    (tmp_path / "link.sock").symlink_to("served.sock")
    with socket.socket(socket.AF_UNIX) as served, socket.socket(socket.AF_UNIX) as left:
        served.bind("served.sock")
        served.listen(0)
        left.bind("left.sock")
        left.close()
        directory = str(tmp_path)
        assert sorted(sockets_in(directory)) == [f"{directory}/left.sock", f"{directory}/served.sock"]
        # From the second time on the queue is full, which it is only where somebody serves.
        for _ in range(3):
            assert stale_sockets(directory) == [f"{directory}/left.sock"]


def test_a_server_that_is_here_is_not_woken_to_see_whether_it_is(tmp_path: Path) -> None:
    path = tmp_path / f"shop-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(path))
        served.listen(1)
        served.setblocking(False)
        assert stale_sockets(str(tmp_path)) == []
        with pytest.raises(BlockingIOError):
            served.accept()
