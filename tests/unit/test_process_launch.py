"""portico.process.launch: the limit of descriptors (in a process of its own, since it cannot be undone)."""

from __future__ import annotations

import subprocess
import sys

import pytest

RAISE = """
import resource, sys
from portico.config.sources import resolve
from portico.process.descriptor_limit import raise_descriptor_limit
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(raise_descriptor_limit(resolve({"max_connections": [str(connections)]}, {})))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "warning", "limits"),
    [
        (256, 1000, 544, "", "1000 1000"),
        (256, 1000, 100, "", "445 1000"),
        (900, 1000, 100, "", "900 1000"),
        (
            256,
            1000,
            545,
            "max_connections is 545 (--max-connections on the command line), but a process may only have "
            "1000 descriptors: raise the limit (ulimit -n, or LimitNOFILE= of systemd) to 1001, or expect "
            "accept to pause before",
            "1000 1000",
        ),
    ],
    ids=["just enough", "as far as needed", "never lower", "too few"],
)
def test_raises_the_limit_of_descriptors(
    soft: int, hard: int, connections: int, warning: str, limits: str
) -> None:
    arguments = [str(soft), str(hard), str(connections)]
    found = subprocess.run(
        [sys.executable, "-c", RAISE, *arguments], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{warning}\n{limits}\n"
