"""Where and with what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import peers
from servers import ROOT


def description() -> dict[str, str]:
    """Name and value of everything the figures depend on."""
    versions = peers.versions()
    known = dict.fromkeys(("portico-server", *peers.PACKAGES, *peers.NEWER_PACKAGES))
    names = [f"{name} {versions[name]}" for name in known if name in versions]
    return {
        "machine": f"{_cpu_model()}, {os.cpu_count()} CPUs, {_memory_gib():.0f} GiB, {platform.machine()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": peers.peers_python().removeprefix("Python "),
        "load generator": _first_line(["wrk", "-v"]).split("Copyright")[0].strip(),
        "compiler of the C limit": _first_line(["cc", "--version"]),
        "versions": ", ".join(names),
    }


def commit() -> str:
    """The commit measured, marked when files differed from it."""
    name = _first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]) or "unknown"
    # The results themselves may differ: they are what is being written.
    status = ["git", "-C", str(ROOT), "status", "--porcelain", "--", ".", ":!bench/RESULTS.md"]
    return f"{name}, with changes" if _first_line(status) else name


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(done.stdout.splitlines()), "")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
