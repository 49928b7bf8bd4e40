"""Machines of a test: network namespaces, each connected to the first one by a link of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

in_namespaces = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("ip") is None, reason="takes root and ip (iproute2)"
)
"""For tests that make some."""


class Machines:
    """A middle, and so many hosts around it: host N is 10.77.N.2, and reaches the middle as 10.77.N.1."""

    def __init__(self, count: int) -> None:
        self._name = f"portico-{os.getpid()}"
        self.count = count

    def host(self, number: int) -> list[str]:
        """What a command begins with that runs on a host."""
        return ["ip", "netns", "exec", f"{self._name}-{number}"]

    @property
    def middle(self) -> list[str]:
        """What a command begins with that runs in the middle."""
        return self.host(self.count)

    def make(self) -> None:
        for number in range(self.count + 1):
            _run("ip", "netns", "add", f"{self._name}-{number}")
            _run(*self.host(number), "ip", "link", "set", "lo", "up")
        for number in range(self.count):
            ends = [f"host{number}", "uplink"]
            _run(
                *self.middle,
                *("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]),
                *("netns", f"{self._name}-{number}"),
            )
            for side, end, last in ((self.middle, ends[0], 1), (self.host(number), ends[1], 2)):
                _run(*side, "ip", "address", "add", f"10.77.{number}.{last}/24", "dev", end)
                _run(*side, "ip", "link", "set", "dev", end, "up")

    def set_link(self, number: int, state: str) -> None:
        """Have the link of a host `up`, or `down`: what is sent on it goes nowhere."""
        _run(*self.host(number), "ip", "link", "set", "dev", "uplink", state)

    def remove(self) -> None:
        for number in range(self.count + 1):
            subprocess.run(
                ["ip", "netns", "delete", f"{self._name}-{number}"],
                capture_output=True,
                timeout=20,
                check=False,
            )


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Have machines inside the block."""
    made = Machines(count)
    try:
        made.make()
        yield made
    finally:
        made.remove()
