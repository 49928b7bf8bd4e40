"""A thousand applications, each with a pool of its own: what a start and a reload take, and who notices."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from portico.ctl.connection import ask
from support.processes import children

from ..test_pools import SAYS, Several

COUNT = 1000
SERVED = (0, 1, 500, 998, 999)


def file(threads_of_500: int) -> str:
    head = "[processes]\nworkers = 1\n[scaling]\nworkers_min = 0\n[routes]\nworkers = 1\n"
    return head + "".join(
        f'[[app]]\napp = "shop"\nname = "app{number}"\nhost = "app{number}.example.com"\n'
        f"threads = {threads_of_500 if number == 500 else 2}\n"
        for number in range(COUNT)
    )


def proportional_kb(pid: int) -> int:
    """The memory of a process, with its share of what it has together with others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def seconds_to_read(several: Several) -> float:
    """How long the shortest of all commands takes, with that file."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "portico", "routes", "GET", "https://app1.example.com/"]
    subprocess.run(command, cwd=several.folder, check=True, capture_output=True, timeout=60)
    return time.monotonic() - began_s


def test_one_of_a_thousand_pools_changes_within_a_second_and_no_other_notices(tmp_path: Path) -> None:
    several = Several(tmp_path)
    (tmp_path / "shop.py").write_text(SAYS)
    try:
        began_s = time.monotonic()
        portico = several.start(file(2))
        started_s = time.monotonic() - began_s
        assert started_s < 5
        states = [pool["state"] for pool in several.pools().values()]
        assert states == ["asleep"] * COUNT
        server = [portico.process.pid, *children(portico.process.pid)]
        memory_kb = sum(map(proportional_kb, server))
        assert memory_kb < 80_000, memory_kb
        says = {number: several.says("/", Host=f"app{number}.example.com") for number in SERVED}
        took_s = []
        for threads in (3, 4, 5):
            several.write(file(threads))
            before = several.pools()
            began_s = time.monotonic()
            assert ask(several.control, "reload", timeout_s=60, wait=True)["generation"] > 1
            took_s.append(time.monotonic() - began_s)
            after = several.pools()
            # Not even those that serve.
            assert [name for name in after if after[name] != before[name]] == []
            now = {number: several.says("/", Host=f"app{number}.example.com") for number in SERVED}
            changed = [number for number in SERVED if now[number]["pid"] != says[number]["pid"]]
            assert changed == [500]
            assert now[500]["parent"] == says[500]["parent"]
            says = now
        # The machine may do something else meanwhile: then it takes longer to read the file, too.
        assert min(took_s) < max(1.0, 3 * seconds_to_read(several)), took_s
    finally:
        several.kill()
