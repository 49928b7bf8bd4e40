"""What the system says to calls of the bridge has a number and its words, as that of `os` has."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from portico import _core

_CLOSED_FD = 1_000_000


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda folder: _core.send_datagram(os.fsencode(folder / "nowhere"), b"", []), errno.ENOENT),
        (lambda _: _core.send_datagram(os.fsencode("/" + 200 * "x"), b"", []), errno.ENAMETOOLONG),
        (lambda _: _core.send_descriptors(_CLOSED_FD, b"", []), errno.EBADF),
        (lambda _: _core.receive_descriptors(_CLOSED_FD), errno.EBADF),
        (lambda _: _core.accept_connection(_CLOSED_FD), errno.EBADF),
        (lambda _: _core.unaccepted_connections(_CLOSED_FD), errno.EBADF),
        (lambda _: _core.Scoreboard.taken_over(_CLOSED_FD, _CLOSED_FD), errno.EBADF),
    ],
    ids=[
        *("send_datagram", "send_datagram to a long name", "send_descriptors", "receive_descriptors"),
        *("accept_connection", "unaccepted_connections", "taken_over"),
    ],
)
def test_says_what_the_system_has_said(tmp_path: Path, call: Callable[[Path], object], number: int) -> None:
    with pytest.raises(OSError, match=r"^\[Errno \d+\] ") as raised:
        call(tmp_path)
    assert (raised.value.errno, raised.value.strerror) == (number, os.strerror(number))


def test_makes_the_class_of_the_number(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _core.send_datagram(os.fsencode(tmp_path / "nowhere"), b"", [])
