#!/usr/bin/env python3
"""Builds what is published, into dist/: a wheel for each Python and each kind of machine, and the sources.

    tests/wheels.py [--runnable] [TARGET...]

`make wheels` runs it. TARGET is one of Rust's, as below; without one all of them, or with --runnable (as in
`make test-slow`) only the wheels that some Python of this machine can load. zig links, so that a wheel needs
no newer C library than its tag says, whatever this machine has; maturin knows how each CPython is configured,
so none of them has to be here. Rust's standard library for another target comes by rustup: where it cannot be
had, that is said, and the rest is built. Exit code 1 if something else fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from pythons import found, known

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
MATURIN = Path(sys.executable).with_name("maturin")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
TARGETS = {
    "x86_64-unknown-linux-gnu": "manylinux2014",
    "aarch64-unknown-linux-gnu": "manylinux2014",
    "x86_64-unknown-linux-musl": "musllinux_1_2",
    "aarch64-unknown-linux-musl": "musllinux_1_2",
}
"""What Rust calls it, and which C library a wheel for it needs (PEP 600, PEP 656)."""


def main() -> int:
    """Build, then say what was left out."""
    parser = argparse.ArgumentParser(description="Build what is published, into dist/.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"among {', '.join(TARGETS)}")
    parser.add_argument("--runnable", action="store_true", help="only what a Python of this machine can load")
    options = parser.parse_args()
    if unknown := [target for target in options.targets if target not in TARGETS]:
        parser.error(f"expected targets among {', '.join(TARGETS)}, got {', '.join(unknown)}")
    targets = options.targets or ([host()] if options.runnable else list(TARGETS))
    here = known([sys.executable, *found()]) if options.runnable else PYTHONS
    pythons = [version for version in PYTHONS if version in here]
    shutil.rmtree(DIST, ignore_errors=True)
    left_out = {target: why for target in targets if (why := missing_library(target))}
    commands = [build(target, pythons) for target in targets if target not in left_out]
    for command in [*commands, [str(MATURIN), "sdist", "--out", str(DIST)]]:
        if code := subprocess.run(command, cwd=ROOT, env=variables()).returncode:
            print(f"failed with code {code}: {' '.join(command)}")
            return 1
    print(f"in {DIST.relative_to(ROOT)}:", *sorted(file.name for file in DIST.iterdir()), sep="\n  ")
    for target, why in left_out.items():
        print(f"no wheels for {target} ({TARGETS[target]}): {why}")
    return 0


def host() -> str:
    """The target that this machine is."""
    said = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return next(line.partition(" ")[2] for line in said.splitlines() if line.startswith("host: "))


def missing_library(target: str) -> str:
    """Why Rust's standard library for `target` is not here and cannot be had; empty if it is here."""
    if has_library(target):
        return ""
    if shutil.which("rustup") is None:
        return "Rust's standard library for it is not installed, and there is no rustup to bring it"
    print(f"asking rustup for the standard library for {target}", flush=True)
    try:
        brought = subprocess.run(
            ["rustup", "target", "add", target], cwd=ROOT, capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        return "rustup did not bring Rust's standard library for it within 5 minutes"
    if brought.returncode == 0 and has_library(target):
        return ""
    said = [line.strip() for line in brought.stderr.splitlines() if line.startswith("error:")]
    return f"rustup cannot bring Rust's standard library for it ({next(iter(said), 'it says nothing')})"


def has_library(target: str) -> bool:
    """Whether rustc, as it is installed, can compile for `target`."""
    asked = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target], cwd=ROOT, capture_output=True, text=True
    )
    return asked.returncode == 0 and any(Path(asked.stdout.strip()).glob("libstd-*.rlib"))


def build(target: str, pythons: Collection[str]) -> list[str]:
    """The command that builds the wheels of `target` for `pythons`."""
    return [
        *(str(MATURIN), "build", "--release", "--locked", "--zig", "--target", target),
        *("--compatibility", TARGETS[target], "--out", str(DIST)),
        *(word for version in pythons for word in ("--interpreter", f"python{version}")),
    ]


def variables() -> dict[str, str]:
    """The environment, without the Python that other builds are for, and with a folder of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "PYO3_PYTHON"}
    home = kept.get("CARGO_HOME") or str(Path.home() / ".cargo")
    return {
        **kept,
        # Where maturin looks for the Python that has zig.
        "PATH": os.pathsep.join((str(MATURIN.parent), kept.get("PATH", os.defpath))),
        "CARGO_TARGET_DIR": str(ROOT / "target" / "wheels"),
        # The lines that a panic names are the same wherever it was built.
        "CARGO_ENCODED_RUSTFLAGS": f"--remap-path-prefix={home}=cargo",
    }


if __name__ == "__main__":
    sys.exit(main())
