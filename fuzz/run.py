#!/usr/bin/env python3
"""Runs the fuzz targets for a bounded time and prints what came of it; exit code 1 if anything crashed.

    fuzz/run.py [--seconds N] [--jobs N] [--sanitizer address|none] [--smoke] [--install] [TARGET...]

The targets are those of Cargo.toml, and `live` (live.py, needs a built portico). Nothing is installed
unless `--install` is given. `--smoke` never touches the network, and if what it needs is not here it says so
and exits with 0. An input that crashes stays in fuzz/found/; what the fuzzer learned stays in
fuzz/corpus/, where the next run begins.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
FOUND = FUZZ / "found"
WORK = FUZZ / "work"
CORPUS = FUZZ.parent / "tests" / "corpus"
HTTP_CORPUS = CORPUS / "http1"

HTTP_TARGETS = (
    *("head", "body", "chunked", "connection", "response", "splits", "forwarded"),
    *("passed_on", "response_head", "access_line", "trace_context"),
)
GATEWAY_TARGETS = (
    *("uwsgi", "scgi", "fastcgi", "proxy", "fastcgi_member"),
    *("gateway", "fastcgi_response"),
)
"""What reverse proxies speak beside HTTP; the first ones have a corpus of their own."""
TARGETS = HTTP_TARGETS + GATEWAY_TARGETS
LIVE = "live"

MAX_INPUT_BYTES = 4096
"""Longer inputs are slower, and find nothing more: limits beyond this are reached by choosing small ones."""
MAX_MEMORY_MB = 1024
MAX_INPUT_S = 10
"""One input that takes this long is a hang."""
CHOICES = (0, 0x3020_1001, 0x0304_0202, 0x2003, 4, 8, 0x1F, 0x20, 0x120, 0x304)
"""The last eight bytes of a seed (src/input.rs): limits of all kinds, reverse proxies."""


@dataclass
class TargetOutcome:
    """What one target's run came to."""

    target: str
    executions: int = 0
    per_second: int = 0
    coverage_before: int = 0
    coverage_after: int = 0
    new_inputs: int = 0
    found: tuple[Path, ...] = ()
    failure: str = ""


def main() -> int:
    """Parse the command line, run, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join([*TARGETS, LIVE])}")
    parser.add_argument("--seconds", type=int, help="for each target, default 120 (60 with --smoke)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--sanitizer", choices=("address", "none"), default="address")
    parser.add_argument("--smoke", action="store_true", help="only with what is installed already")
    parser.add_argument("--install", action="store_true", help="cargo install cargo-fuzz, if it is missing")
    arguments = parser.parse_args()
    chosen = arguments.targets or [*TARGETS, *([] if arguments.smoke else [LIVE])]
    if unknown := set(chosen) - {*TARGETS, LIVE}:
        parser.error(f"unknown target {', '.join(sorted(unknown))}")
    seconds = arguments.seconds or (60 if arguments.smoke else 120)
    if fuzzed := [target for target in chosen if target != LIVE]:
        missing = prepare(install=arguments.install, offline=arguments.smoke, sanitizer=arguments.sanitizer)
        if missing:
            print(f"fuzzing {'skipped' if arguments.smoke else 'impossible'}: {missing}")
            return 0 if arguments.smoke else 2
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        outcomes = list(pool.map(lambda target: fuzz(target, seconds, arguments.sanitizer), fuzzed))
    if LIVE in chosen:
        # Alone: the server shares the cores with nobody then.
        outcomes.append(live(seconds))
    print(table(outcomes))
    for outcome in outcomes:
        for path in outcome.found:
            print(f"{outcome.target}: crashes on {path.relative_to(FUZZ.parent)}")
        if outcome.failure:
            print(f"{outcome.target}: {outcome.failure}")
    return 1 if any(outcome.found or outcome.failure for outcome in outcomes) else 0


def prepare(*, install: bool, offline: bool, sanitizer: str) -> str:
    """Build the targets; return what is missing, or nothing."""
    if shutil.which("cargo") is None:
        return "cargo is not installed"
    if subprocess.run(["cargo", "fuzz", "--version"], capture_output=True).returncode:
        if not install:
            return "cargo-fuzz is not installed; --install does `cargo install cargo-fuzz --locked`"
        subprocess.run(["cargo", "install", "cargo-fuzz", "--locked"], check=True)
    environment = build_environment()
    if offline:
        environment["CARGO_NET_OFFLINE"] = "true"
        manifest = ["--manifest-path", str(FUZZ / "Cargo.toml")]
        fetched = subprocess.run(["cargo", "fetch", *manifest], env=environment, capture_output=True)
        if fetched.returncode:
            return "the crates of fuzz/Cargo.lock are not here; fuzz/run.py without --smoke fetches them"
    command = [
        "cargo",
        "fuzz",
        "build",
        "--fuzz-dir",
        str(FUZZ),
        "--target-dir",
        str(target_folder(sanitizer)),
    ]
    built = subprocess.run(
        [*command, "--sanitizer", sanitizer], env=environment, cwd=FUZZ.parent, check=False
    )
    if built.returncode:
        raise SystemExit("the fuzz targets do not build")
    return ""


def build_environment() -> dict[str, str]:
    """cargo-fuzz needs the compiler's -Z options, which a stable compiler takes if told so. Only here."""
    return {**os.environ, "RUSTC_BOOTSTRAP": "1"}


def target_folder(sanitizer: str) -> Path:
    """Where cargo builds: apart from everything else, because the flags differ."""
    return Path(os.environ.get("CARGO_TARGET_DIR", FUZZ / "target")) / f"fuzz-{sanitizer}"


def fuzz(target: str, seconds: int, sanitizer: str) -> TargetOutcome:
    """Run one target."""
    # The newest of several triples is what was just built.
    binaries = sorted(
        target_folder(sanitizer).glob(f"*/release/{target}"), key=lambda path: path.stat().st_mtime
    )
    grown, seeds = FUZZ / "corpus" / target, WORK / target / "seeds"
    for folder in (grown, FOUND):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir(parents=True)
    for index, seed in enumerate(seeds_of(target)):
        (seeds / f"{index:05}").write_bytes(seed)
    before = set(FOUND.iterdir())
    log = WORK / target / "log"
    dictionary = FUZZ / ("gateway.dict" if target in GATEWAY_TARGETS else "http.dict")
    command: list[str | Path] = [
        *(binaries[-1], grown, seeds, f"-dict={dictionary}", f"-artifact_prefix={FOUND / target}-"),
        *(f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", f"-rss_limit_mb={MAX_MEMORY_MB}"),
        *(f"-timeout={MAX_INPUT_S}", "-print_final_stats=1", "-reduce_inputs=0"),
    ]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_odr_violation=0", "RUST_BACKTRACE": "1"}
    with log.open("wb") as output:
        # The fuzzer ends by itself; if it does not, that is a failure too.
        try:
            code = subprocess.run(
                command, stdout=output, stderr=output, env=environment, timeout=seconds * 2 + 120
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    # Thousands of small files, made again for the next run.
    shutil.rmtree(seeds, ignore_errors=True)
    text = log.read_text("utf-8", "replace")
    outcome = read_log(target, text)
    outcome.found = tuple(
        sorted(path for path in set(FOUND.iterdir()) - before if path.name.startswith(f"{target}-"))
    )
    if code and not outcome.found:
        outcome.failure = f"the fuzzer ended with {code}, see {log.relative_to(FUZZ.parent)}"
    return outcome


def read_log(target: str, text: str) -> TargetOutcome:
    """The figures that libFuzzer prints."""

    def stat(name: str) -> int:
        match = re.search(rf"^stat::{name}:\s*(\d+)", text, re.MULTILINE)
        return int(match[1]) if match else 0

    coverage = [int(edges) for edges in re.findall(r"^#\d+\s+\w+\s+cov: (\d+)", text, re.MULTILINE)]
    return TargetOutcome(
        target,
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        coverage[0] if coverage else 0,
        coverage[-1] if coverage else 0,
        stat("new_units_added"),
    )


def seeds_of(target: str) -> Iterator[bytes]:
    """The seeds of a target: raw messages with the choices behind them."""
    for message in messages_of(target):
        # All limits for the short ones; what is long is about the default ones.
        for choices in CHOICES if len(message) < 512 else CHOICES[:1]:
            if len(message) <= MAX_INPUT_BYTES - 8:
                yield message + choices.to_bytes(8, "little")


def messages_of(target: str) -> list[bytes]:
    """What is known to be worth a target's while."""
    if target in ("response", "fastcgi_response"):
        return escaped_lines("response.txt")
    if target in ("gateway", "trace_context"):
        return escaped_lines(f"{target}.txt")
    if target in GATEWAY_TARGETS:
        return [path.read_bytes() for path in sorted((CORPUS / target).glob("**/*.bin"))]
    if target == "response_head":
        return [path.read_bytes() for path in sorted((CORPUS / "responses").glob("**/*.http"))]
    messages = [path.read_bytes() for path in sorted(HTTP_CORPUS.glob("**/*.http"))]
    messages += escaped_lines("requests.txt")
    if target in ("forwarded", "passed_on"):
        messages += escaped_lines("forwarded.txt")
    elif target in ("body", "chunked"):
        messages = [message.partition(b"\r\n\r\n")[2] for message in messages] + escaped_lines("chunked.txt")
    return messages


def escaped_lines(name: str) -> list[bytes]:
    """The lines of a file of seeds/, as bytes."""
    lines = (FUZZ / "seeds" / name).read_text("ascii").splitlines()
    return [ast.literal_eval(f"b'''{line}'''") for line in lines if not line.startswith("#")]


def live(seconds: int) -> TargetOutcome:
    """Run live.py, which prints its own account and a last line for the table."""
    python = FUZZ.parent / ".venv" / "bin" / "python"
    command = [
        str(python if python.exists() else sys.executable),
        str(FUZZ / "live.py"),
        "--seconds",
        str(seconds),
    ]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds * 2 + 120)
    print(process.stdout, end="")
    match = re.search(r"^sent (\d+) ", process.stdout, re.MULTILINE)
    executions = int(match[1]) if match else 0
    outcome = TargetOutcome(LIVE, executions, executions // max(1, seconds))
    if process.returncode:
        outcome.failure = f"live.py ended with {process.returncode}"
    return outcome


def table(outcomes: list[TargetOutcome]) -> str:
    """The outcomes as text."""
    lines = [
        f"{'target':<18}{'executions':>12}{'per second':>12}{'coverage':>16}{'new inputs':>12}{'crashes':>9}"
    ]
    for outcome in outcomes:
        coverage = f"{outcome.coverage_before} -> {outcome.coverage_after}" if outcome.coverage_after else "-"
        lines.append(
            f"{outcome.target:<18}{outcome.executions:>12}{outcome.per_second:>12}{coverage:>16}"
            f"{outcome.new_inputs:>12}{len(outcome.found) + bool(outcome.failure):>9}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
